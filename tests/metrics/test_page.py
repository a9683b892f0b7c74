"""The page itself: as Prometheus reads it, and small whatever there is to show."""

import json
import subprocess
import sys

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics_page import write_metrics
from tests.metrics.shipped import ROOT

_LARGEST = 1_000_000


def test_a_page_says_what_the_library_would_say() -> None:
    registry = CollectorRegistry()
    counter = Counter("c", 'Of "things"\nand \\ more', ["name", "other"], registry=registry)
    for odd in ("", "plain", 'a "quoted" }, name\\ with\nall', "ünïcode ✓"):
        counter.labels(odd, "x").inc(3)
    for value in (0, 1, 1.5, 1e21, 1e-9, float("inf"), float("-inf")):
        Gauge(f"g{len(registry._names_to_collectors)}", "G", registry=registry).set(value)
    Histogram("h", "Seconds", ["a"], registry=registry).labels("b").observe(0.2)
    ours, theirs = write_metrics(registry), generate_latest(registry).decode()
    assert [*text_string_to_metric_families(ours)] == [*text_string_to_metric_families(theirs)]


def test_the_largest_page_with_fifty_accounts_stays_below_a_megabyte() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "tests.metrics.large_page"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    page = json.loads(told.stdout)
    assert page["lines"] > 5_000, "series are missing"
    assert page["bytes"] < _LARGEST
