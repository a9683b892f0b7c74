"""The gateway without metrics, to measure what they cost: ``python -m tests.bench.unmeasured``.

Whatever would be counted on the way of an order is not. Nobody can ask the product for this.
"""

import sys
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

from gateway.cli import main
from gateway.request_metrics import Requests


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _same(series: Any, *_: Any, **__: Any) -> Any:
    return series


def forget_metrics() -> None:
    """Make all counting in this process cost a call and nothing else."""
    for kind, verbs in ((Counter, ("inc",)), (Gauge, ("set", "inc")), (Histogram, ("observe",))):
        for verb in verbs:
            setattr(kind, verb, _nothing)
        setattr(kind, "labels", _same)  # noqa: B010 - a method of a class of theirs
    for verb in ("count", "count_refused"):
        setattr(Requests, verb, _nothing)


if __name__ == "__main__":
    forget_metrics()
    sys.exit(main())
