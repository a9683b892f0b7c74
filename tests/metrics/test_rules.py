"""The shipped rules: valid, made of what there is, firing when they should, with real windows."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.metrics.families import families
from tests.metrics.rule_cases import CASES, Case
from tests.metrics.shipped import (
    PROMETHEUS,
    RULES,
    RUNBOOK,
    alerts,
    names_in,
    needs_prometheus,
    read_rules,
    recorded,
    rule_expressions,
    rules_of,
)

_RUNBOOK_PARTS = ("**Means**", "**Look**", "**Do**", "**Over**")


def _promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_the_configuration_and_its_rules_are_valid() -> None:
    _promtool("check", "config", PROMETHEUS / "prometheus.yml")
    _promtool("check", "rules", *(PROMETHEUS / name for name in RULES))


def test_rules_name_only_what_there_is() -> None:
    there = {series for family in families() for series in family.series} | recorded()
    for rule, expression in rule_expressions().items():
        assert names_in(expression) <= there, rule


def test_every_alert_has_its_section_of_the_runbook() -> None:
    sections = {
        title.strip(): body
        for title, _, body in (
            part.partition("\n") for part in RUNBOOK.read_text(encoding="utf-8").split("\n## ")[1:]
        )
    }
    for name, rule in alerts().items():
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"
        assert name in sections, f"{name} has no section"
        for part in _RUNBOOK_PARTS:
            assert part in sections[name], f"{name} does not say {part}"
    told_otherwise = {n for n, body in sections.items() if "no rule for it in Prometheus" in body}
    described = {name for name in sections if name[:1].isupper() and " " not in name}
    assert described - told_otherwise <= alerts().keys()


def test_every_alert_is_tried_out() -> None:
    assert CASES.keys() == alerts().keys()


def _tried(name: str, case: Case) -> list[dict[str, Any]]:
    labels = {"severity": alerts()[name]["labels"]["severity"], **case.labels}
    fires = [{"exp_labels": labels}]
    return [
        _trial(name, case.bad, {case.quiet: [], case.fires: fires}),
        _trial(name, case.well, {case.quiet: [], case.fires: [], case.fires + 5: []}),
    ]


def _trial(name: str, series: Any, expected: dict[int, list[Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": s, "values": values} for s, values in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": expected_alerts}
            for minute, expected_alerts in expected.items()
        ],
    }


@needs_prometheus
@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_when_it_should_and_only_then(name: str, tmp_path: Path) -> None:
    for file in RULES:
        document = read_rules(file)
        for rule in rules_of(document):
            rule.pop("annotations", None)  # whose words are of no concern here
        (tmp_path / file).write_text(yaml.safe_dump(document))
    trials = {
        "rule_files": [*RULES],
        "evaluation_interval": "1m",
        "tests": _tried(name, CASES[name]),
    }
    (tmp_path / "trials.yml").write_text(yaml.safe_dump(trials))
    _promtool("test", "rules", tmp_path / "trials.yml")
