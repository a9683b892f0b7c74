"""The drill itself: shorter windows and nothing else, and one scenario played to its end."""

import re
from pathlib import Path

from tests.drill.playing import Played, play, table
from tests.drill.scenarios import SCENARIOS, Scenario
from tests.drill.stage import Drill, stage
from tests.drill.windows import short_rules
from tests.metrics.shipped import alerts, needs_prometheus, rule_expressions, rules_of

_NUMBER = re.compile(r"\[\d+[smhd]\]|\b\d+\b")


def test_short_rules_differ_from_the_shipped_ones_in_numbers_alone() -> None:
    shipped, short = rule_expressions(), {}
    for document in short_rules().values():
        for rule in rules_of(document):
            short[rule.get("alert") or rule["record"]] = rule["expr"]
    assert short.keys() == shipped.keys()
    for name, expression in shipped.items():
        assert _NUMBER.sub("N", short[name]) == _NUMBER.sub("N", expression), name
    assert short["StuckOrders"].endswith("> 15")
    assert short["ErrorRate"] == shipped["ErrorRate"]


def test_scenarios_are_about_alerts_that_there_are() -> None:
    assert {scenario.alert for scenario in SCENARIOS} <= alerts().keys()


def test_the_table_says_how_it_went() -> None:
    well = Played(SCENARIOS[0], 3.2, 4.1)
    ill = Played(SCENARIOS[1], None, 1, "TimeoutError before the steps")
    lines = table([well, ill]).splitlines()
    assert lines[1].endswith("ok")
    assert "never" in lines[2]
    assert (well.well, ill.well) == (True, False)


@needs_prometheus
async def test_an_empty_account_raises_its_alert_and_topping_up_ends_it(tmp_path: Path) -> None:
    [scenario] = [s for s in SCENARIOS if s.alert == "ProviderOutOfFunds"]
    seen: list[str] = []

    async def witness(drill: Drill, now: Scenario) -> None:
        seen.append((await drill.prometheus.firing())[now.alert])

    async with stage(tmp_path) as drill:
        played = await play(drill, scenario, 120, (witness,))
    assert played.well, played.trouble
    assert seen == ["sandbox refuses our account"]
