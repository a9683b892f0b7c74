"""All families that the gateway can show, read from the code: ``python -m tests.metrics.families``
writes their table into docs/metrics.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import REGISTRY

import gateway.app.measures
import gateway.cli
import gateway.metrics
import gateway.request_metrics  # noqa: F401 - importing them registers all there is

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
_BEGIN, _END = "<!-- families -->\n", "<!-- end of families -->\n"
#: What a histogram's series are called.
_PARTS = ("_bucket", "_sum", "_count")


@dataclass(frozen=True, slots=True)
class FamilyInfo:
    """One family as queries name it: a counter with its ``_total``."""

    name: str
    kind: str
    labels: Sequence[str]
    help: str

    @property
    def series(self) -> set[str]:
        """The names of its series."""
        parts = _PARTS if self.kind == "histogram" else ("",)
        return {self.name + part for part in parts}


def families() -> list[FamilyInfo]:
    """The families of the gateway itself, by name."""
    collectors: list[Any] = list(set(REGISTRY._names_to_collectors.values()))
    found = []
    for collector in collectors:
        for metric in collector.collect():
            if not metric.name.startswith("smm_"):
                continue
            labels = getattr(collector, "_labelnames", ()) or getattr(metric, "_labelnames", ())
            total = "_total" if metric.type == "counter" else ""
            found.append(
                FamilyInfo(metric.name + total, metric.type, tuple(labels), metric.documentation)
            )
    return sorted(found, key=lambda family: family.name)


def table() -> str:
    """The families as Markdown."""
    rows = ["| family | type | labels | is |", "|---|---|---|---|"]
    rows += [
        f"| `{f.name}` | {f.kind} | {', '.join(f'`{label}`' for label in f.labels)} | {f.help} |"
        for f in families()
    ]
    return "\n".join(rows) + "\n"


def with_table(document: str) -> str:
    """The document with the table as it should be."""
    before, _, rest = document.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}{table()}{_END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
