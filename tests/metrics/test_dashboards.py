"""The dashboards as files: complete, made of what there is, and tied to no place."""

import json
from typing import Any

import pytest
import yaml

from tests.metrics.families import families
from tests.metrics.shipped import GRAFANA, dashboards, names_in, panels_of, recorded

_DASHBOARDS = dashboards()


def test_there_are_three_dashboards_of_their_own_names() -> None:
    assert sorted(_DASHBOARDS) == ["internals", "overview", "providers"]
    assert len({dashboard["uid"] for dashboard in _DASHBOARDS.values()}) == 3


@pytest.mark.parametrize("dashboard", _DASHBOARDS.values(), ids=_DASHBOARDS)
def test_every_panel_says_what_it_shows_in_which_unit(dashboard: dict[str, Any]) -> None:
    panels = [*panels_of(dashboard)]
    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    for panel in panels:
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]


@pytest.mark.parametrize("dashboard", _DASHBOARDS.values(), ids=_DASHBOARDS)
def test_panels_do_not_lie_on_each_other(dashboard: dict[str, Any]) -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in panels_of(dashboard):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, (panel["title"], taken.get((x, y)))
                taken[x, y] = panel["title"]


@pytest.mark.parametrize("dashboard", _DASHBOARDS.values(), ids=_DASHBOARDS)
def test_no_data_source_is_wired_in(dashboard: dict[str, Any]) -> None:
    [source] = [v for v in dashboard["templating"]["list"] if v["type"] == "datasource"]
    assert source["query"] == "prometheus"
    for panel in panels_of(dashboard):
        for one in (panel, *panel["targets"]):
            assert one["datasource"] == {"type": "prometheus", "uid": f"${{{source['name']}}}"}


@pytest.mark.parametrize("dashboard", _DASHBOARDS.values(), ids=_DASHBOARDS)
def test_queries_name_only_what_there_is(dashboard: dict[str, Any]) -> None:
    there = {series for family in families() for series in family.series} | recorded()
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            assert names_in(target["expr"]) <= there, panel["title"]


def test_every_family_is_on_a_dashboard_or_in_a_rule_that_is() -> None:
    text = json.dumps([*_DASHBOARDS.values()]) + (
        GRAFANA.parent / "prometheus" / "recording.yml"
    ).read_text(encoding="utf-8")
    # One to a worker is shown as their number.
    missing = {f.name for f in families() if f.name not in text} - {"smm_worker_up"}
    assert not missing


def test_the_provisioning_files_are_read_as_yaml() -> None:
    [source] = yaml.safe_load(
        (GRAFANA / "provisioning/datasources/prometheus.yml").read_text(encoding="utf-8")
    )["datasources"]
    assert source["type"] == "prometheus"
    [provider] = yaml.safe_load(
        (GRAFANA / "provisioning/dashboards/smm-gateway.yml").read_text(encoding="utf-8")
    )["providers"]
    assert provider["type"] == "file"
