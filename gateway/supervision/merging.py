"""One page of metrics out of those of several processes. Pure.

Counters and histograms add up. A gauge is by default a truth that all processes share, like how
many orders are open: the largest is shown. Some add up, and what describes a process itself is
shown for each, under the label ``worker``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

#: Gauges of which each process has its own part.
ADDED_GAUGES = frozenset(
    {
        "smm_spool_entries",
        "smm_spool_bytes",
        "smm_database_connections",
        "smm_database_connections_limit",
    }
)
#: Families that say something of one process alone.
_OF_A_PROCESS = ("process_", "python_", "smm_build_info")


@dataclass(slots=True)
class Family:
    """One family of a page: its lines of help and type, and the values of its series.

    A series is named as it is written, with its labels.
    """

    head: list[str] = field(default_factory=list)
    kind: str = "untyped"
    series: dict[str, float] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether its series only ever grow."""
        return self.kind in ("counter", "histogram")


Page = dict[str, Family]


def read_page(text: str) -> Page:
    """The families of a page that prometheus-client wrote, by name.

    Raises:
        ValueError: when it is none.
    """
    page: Page = {}
    family = Family()
    for line in text.split("\n"):  # labels may hold what else str.splitlines() ends lines at
        if line.startswith("# "):
            _, what, name, *rest = line.split(" ", 3)
            family = page.setdefault(name, Family())
            family.head.append(line)
            if what == "TYPE":
                family.kind = rest[0]
        elif line:
            name, _, value = line.rpartition(" ")
            family.series[name] = float(value)
    return page


def counts_of(page: Page) -> Page:
    """What of a page only ever grows and adds up."""
    return {name: f for name, f in page.items() if f.counts and not _describes_process(name)}


def merge(pages: Mapping[str, Page]) -> Page:
    """One page of several, by the names of their processes."""
    merged: Page = {}
    for worker, page in pages.items():
        for name, family in page.items():
            known = merged.setdefault(name, Family(family.head, family.kind))
            if _describes_process(name):
                own = {_labelled(series, worker): value for series, value in family.series.items()}
                known.series |= own
            elif family.counts or name in ADDED_GAUGES:
                for series, value in family.series.items():
                    known.series[series] = known.series.get(series, 0.0) + value
            else:
                for series, value in family.series.items():
                    known.series[series] = _larger(known.series.get(series, math.nan), value)
    return merged


def write_page(page: Page) -> str:
    """A page as it is read."""
    lines: list[str] = []
    for family in page.values():
        lines += family.head
        lines += (f"{name} {value!r}" for name, value in family.series.items())
    return "\n".join(lines) + "\n"


def _describes_process(family: str) -> bool:
    return family.startswith(_OF_A_PROCESS)


def _larger(one: float, other: float) -> float:
    """The larger number; one that is none gives way."""
    return other if math.isnan(one) else one if math.isnan(other) else max(one, other)


def _labelled(series: str, worker: str) -> str:
    name, brace, labels = series.partition("{")
    return f'{name}{{worker="{worker}",{labels}' if brace else f'{name}{{worker="{worker}"}}'
