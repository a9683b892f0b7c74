"""Writes the page that Prometheus reads, from a registry of prometheus-client.

Theirs checks every name and label again for each line; with fifty accounts that would hold the
event loop for longer than a group of orders takes.
"""

from collections.abc import Iterator

from prometheus_client.registry import Collector

#: Munged into the text format, where only counters have another name than their family.
_SUFFIX = {"counter": "_total"}
_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_ESCAPED_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})


def write_metrics(registry: Collector) -> str:
    """The metrics of a registry in Prometheus's text format."""
    return "".join(_lines(registry))


def _lines(registry: Collector) -> Iterator[str]:
    for metric in registry.collect():
        name = metric.name + _SUFFIX.get(metric.type, "")
        yield f"# HELP {name} {metric.documentation.translate(_ESCAPED_HELP)}\n"
        yield f"# TYPE {name} {metric.type}\n"
        for sample in metric.samples:
            if not sample.labels:
                yield f"{sample.name} {sample.value!r}\n"
                continue
            labels = ",".join(
                [f'{label}="{_escape(value)}"' for label, value in sample.labels.items()]
            )
            yield f"{sample.name}{{{labels}}} {sample.value!r}\n"


def _escape(value: str) -> str:
    return value if value.isalnum() else value.translate(_ESCAPED)
