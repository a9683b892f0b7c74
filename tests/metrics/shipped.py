"""What is shipped for Prometheus and Grafana, as the tests read it."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
RUNBOOK = ROOT / "docs" / "runbook.md"
RULES = ("recording.yml", "alerts.yml")

needs_prometheus = pytest.mark.skipif(
    shutil.which("promtool") is None or shutil.which("prometheus") is None,
    reason="Prometheus is not installed: the rules and dashboards are NOT tested",
)

_METRIC = re.compile(r"\b(smm[_:][a-zA-Z0-9_:]+)")


def read_rules(name: str) -> Any:
    """One file of rules."""
    return yaml.safe_load((PROMETHEUS / name).read_text(encoding="utf-8"))


def rules_of(document: Any) -> list[dict[str, Any]]:
    """All rules of a file."""
    return [rule for group in document["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The shipped alerts by name."""
    return {rule["alert"]: rule for rule in rules_of(read_rules("alerts.yml"))}


def recorded() -> set[str]:
    """What the recording rules make."""
    return {rule["record"] for rule in rules_of(read_rules("recording.yml"))}


def rule_expressions() -> dict[str, str]:
    """The expressions of all rules, by what they make."""
    rules = [rule for name in RULES for rule in rules_of(read_rules(name))]
    return {rule.get("alert") or rule["record"]: rule["expr"] for rule in rules}


def names_in(expression: str) -> set[str]:
    """Our metrics that an expression names."""
    return set(_METRIC.findall(expression))


def panels_of(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels of a dashboard but the rows that part them."""
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", ())
        else:
            yield panel


def dashboards() -> dict[str, dict[str, Any]]:
    """The shipped dashboards by the names of their files."""
    files = sorted((GRAFANA / "dashboards").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def panel_expressions() -> dict[str, str]:
    """What the panels ask, by dashboard and title, with all providers chosen."""
    return {
        f"{name}: {panel['title']} {target['refId']}": target["expr"].replace("$provider", ".*")
        for name, dashboard in dashboards().items()
        for panel in panels_of(dashboard)
        for target in panel["targets"]
    }
