"""What the panel API's calls leave behind: plain additions on the hot path, read at a scrape."""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import REGISTRY, Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

#: Upper bounds in seconds.
_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_NAMES = (*map(str, _BOUNDS), "+Inf")


class _Durations:
    """How long the calls of one action took: a number for each bucket, and the sum."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * len(_NAMES)
        self.seconds = 0.0


class Requests(Collector):
    """Calls by action and outcome, how long they took, and why orders were not taken."""

    def __init__(self) -> None:
        # A series that begins at 1 has not grown, to whoever asks how much it grew.
        self._counts: dict[tuple[str, str], int] = {("add", "failed"): 0, ("add", "shed"): 0}
        self._durations: dict[str, _Durations] = {}
        self._refused: dict[str, int] = {}

    def count(self, action: str, outcome: str, seconds: float) -> None:
        """Count one call that was answered after ``seconds``."""
        pair = (action, outcome)
        self._counts[pair] = self._counts.get(pair, 0) + 1
        durations = self._durations.get(action)
        if durations is None:
            durations = self._durations[action] = _Durations()
        durations.buckets[bisect_left(_BOUNDS, seconds)] += 1
        durations.seconds += seconds

    def count_refused(self, reason: str) -> None:
        """Count one ``add`` that was not taken."""
        self._refused[reason] = self._refused.get(reason, 0) + 1

    def collect(self) -> Iterator[Metric]:
        """For prometheus-client."""
        calls = CounterMetricFamily("smm_requests", "Panel API calls", labels=["action", "outcome"])
        for pair, number in sorted(self._counts.items()):
            calls.add_metric(list(pair), number)
        yield calls
        seconds = HistogramMetricFamily(
            "smm_request_seconds", "Duration of panel API calls", labels=["action"]
        )
        for action, durations in sorted(self._durations.items()):
            up_to = [float(number) for number in accumulate(durations.buckets)]
            seconds.add_metric([action], [*zip(_NAMES, up_to, strict=True)], durations.seconds)
        yield seconds
        refused = CounterMetricFamily(
            "smm_adds_refused", "Orders that were not taken, by why", labels=["reason"]
        )
        for reason, number in sorted(self._refused.items()):
            refused.add_metric([reason], number)
        yield refused


REQUESTS = Requests()
REGISTRY.register(REQUESTS)
