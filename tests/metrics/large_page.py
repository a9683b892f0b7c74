"""The largest page that a process with 50 provider accounts can show.

``python -m tests.metrics.large_page`` prints its size in bytes, its lines, and the processor
seconds that it took.

Every series that could come into being is there. How many resellers and services there are makes no
difference, because none is ever a label.
"""

import itertools
import json
import time
from typing import Any

from prometheus_client import REGISTRY, Counter, Gauge, Histogram

import gateway.metrics
from gateway.metrics_page import write_metrics
from gateway.request_metrics import REQUESTS
from gateway.web.api_actions import ACTIONS
from schemas.orders import OrderState

ACCOUNTS = 50
_STATES = tuple(OrderState)
_UPSTREAM = ("add", "status", "balance", "services", "refill", "refill_status", "cancel", "orders")
#: As many values as each label can have.
_VALUES: dict[str, tuple[str, ...]] = {
    "provider": tuple(f"a-provider-with-quite-a-name-{n}" for n in range(ACCOUNTS)),
    "action": _UPSTREAM,
    "outcome": ("placed", "rejected", "unavailable", "ambiguous", "withheld"),
    "kind": ("rejected", "unavailable", "ambiguous", "defect"),
    "calls": ("adds", "reads"),
    "verdict": ("placed", "not_placed", "review", "open"),
    "state": _STATES,
    "loop": tuple(f"loop:{n}" for n in range(ACCOUNTS * 5)),
}
_OTHERS = tuple(f"value-{n}" for n in range(10))


def fill() -> None:
    """Make every series that there can be."""
    for family in vars(gateway.metrics).values():
        if isinstance(family, Counter | Gauge | Histogram):
            names: Any = family._labelnames
            for values in itertools.product(*(_VALUES.get(name, _OTHERS) for name in names)):
                _touch(family.labels(*values) if names else family)
    for action in (*(a.name for a in ACTIONS), "none"):
        for outcome in ("answered", "refused", "limited", "shed", "failed"):
            REQUESTS.count(action, outcome, 0.0123)
    for reason in range(20):
        REQUESTS.count_refused(f"reason-{reason}")


def _touch(series: Counter | Gauge | Histogram) -> None:
    if isinstance(series, Histogram):
        series.observe(0.123456789)
    else:
        series.inc(123_456_789)


if __name__ == "__main__":
    fill()
    write_metrics(REGISTRY)
    began = time.process_time()
    page = write_metrics(REGISTRY).encode()
    seconds = time.process_time() - began
    print(json.dumps({"bytes": len(page), "lines": page.count(b"\n"), "seconds": seconds}))
