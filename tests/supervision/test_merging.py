"""One page out of several: counters add up, shared truths do not, and nothing that counts falls."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.supervision.merging import Page, counts_of, merge, read_page, write_page


def _page(*lines: str) -> Page:
    return read_page("\n".join(lines))


def _orders(number: float) -> Page:
    return _page("# HELP smm_x_total X", "# TYPE smm_x_total counter", f"smm_x_total {number}")


def _gauge(name: str, value: str) -> Page:
    return _page(f"# HELP {name} X", f"# TYPE {name} gauge", f"{name} {value}")


def _value(page: Page, family: str, series: str | None = None) -> float:
    return page[family].series[series or family]


def test_a_page_is_written_as_it_was_read() -> None:
    registry = CollectorRegistry()
    odd = 'a "quoted" } name\\ with\nall'
    Counter("c", "Of things", ["name"], registry=registry).labels(odd).inc(3)
    Gauge("g", "In {braces}", registry=registry).set(float("inf"))
    Histogram("h", "Seconds", registry=registry).observe(0.2)
    text = generate_latest(registry).decode()
    written = write_page(read_page(text))
    assert written == text.replace("+Inf\n", "inf\n")
    assert [*text_string_to_metric_families(written)] == [*text_string_to_metric_families(text)]


def test_a_label_may_hold_what_others_take_for_the_end_of_a_line() -> None:
    registry = CollectorRegistry()
    odd = "a\r\v\f\x1c\x1d\x1e\x85\u2028\u2029b 1\n# c"
    Counter("c", "Of things", ["name"], registry=registry).labels(odd).inc(3)
    text = generate_latest(registry).decode()
    assert write_page(read_page(text)) == text


def test_counters_and_histograms_add_up() -> None:
    merged = merge({"1": _orders(3), "2": _orders(4)})
    assert _value(merged, "smm_x_total") == 7


def test_what_all_processes_know_is_shown_once_and_not_added() -> None:
    pages = {"1": _gauge("smm_open_orders", "5"), "2": _gauge("smm_open_orders", "5")}
    assert _value(merge(pages), "smm_open_orders") == 5


def test_what_each_process_has_of_its_own_adds_up() -> None:
    pages = {"1": _gauge("smm_spool_bytes", "5"), "2": _gauge("smm_spool_bytes", "6")}
    assert _value(merge(pages), "smm_spool_bytes") == 11


@pytest.mark.parametrize("values", [("NaN", "2"), ("2", "NaN")])
def test_a_number_wins_over_none(values: tuple[str, str]) -> None:
    name = "smm_database_sync_standbys"
    merged = merge({str(n): _gauge(name, value) for n, value in enumerate(values)})
    assert _value(merged, name) == 2


def test_what_describes_a_process_is_shown_for_each() -> None:
    name = "process_open_fds"
    merged = merge({"1": _gauge(name, "9"), "2": _gauge(name, "8")})
    assert _value(merged, name, 'process_open_fds{worker="1"}') == 9
    assert _value(merged, name, 'process_open_fds{worker="2"}') == 8


def test_what_an_ended_process_counted_stays_and_its_gauges_go() -> None:
    page = _orders(3) | _gauge("smm_spool_bytes", "5") | _gauge("process_open_fds", "9")
    merged = merge({"": counts_of(page), "2": _orders(4)})
    assert _value(merged, "smm_x_total") == 7
    assert merged.keys() == {"smm_x_total"}


def test_a_series_that_no_living_process_has_stays() -> None:
    assert _value(merge({"": counts_of(_orders(3)), "2": {}}), "smm_x_total") == 3
