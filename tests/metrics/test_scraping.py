"""A real Prometheus scrapes a gateway that works, and answers all that charts and rules ask."""

from pathlib import Path

from gateway.embedded import Addresses
from tests.conftest import eventually
from tests.gateway_process import GatewayProcess
from tests.metrics.prometheus_process import PrometheusProcess
from tests.metrics.shipped import (
    names_in,
    needs_prometheus,
    panel_expressions,
    rule_expressions,
)
from tests.panel_client import PanelClient
from tests.sandbox_process import SandboxProcess
from tests.world import World

#: Nothing of this happens here.
_WITHOUT_TRAFFIC = {
    "smm_alert_messages_total",
    "smm_alerts_open",
    "smm_alerts_undelivered",
    "smm_backup_age_seconds",
    "smm_backup_verified_age_seconds",
    "smm_cancels_total",
    "smm_catalogue_age_seconds",
    "smm_catalogue_changes_total",
    "smm_commit_doubts_total",
    "smm_contradictions_total",
    "smm_doubtful_orders_total",
    "smm_loop_failures_total",
    "smm_order_reroutes_total",
    "smm_pace_waits_total",
    "smm_provider_balance_hours",
    "smm_rate_limited_total",
    "smm_reconciled_total",
    "smm_refills_total",
    "smm_runs_total",
    "smm_slow_clients_total",
    "smm_spool_entries",
    "smm_valkey_losses_total",
}


@needs_prometheus
async def test_every_chart_and_rule_is_answered_and_shows_something_where_there_is_traffic(
    engines: Addresses, database_url: str, world: World, sandbox: SandboxProcess, tmp_path: Path
) -> None:
    await sandbox.control("speed", {"seconds": 0.2})
    await world.sandbox(sandbox)
    customer = await world.reseller()
    running = GatewayProcess(
        database_url,
        engines.redis_url,
        tmp_path / "gateway.log",
        workers=2,
        settings={"tracking": {"balance_ms": 200}, "audit": {"every_ms": 500}},
        start_seconds=120,
    )
    target = running.internal_url.removeprefix("http://")
    async with (
        running,
        PrometheusProcess(tmp_path / "prometheus", [target]) as prometheus,
        PanelClient(running.url, customer.key) as client,
    ):
        number, asked = 0, panel_expressions()
        missing = [
            name
            for name, expression in asked.items()
            if not names_in(expression) & _WITHOUT_TRAFFIC and "ALERTS" not in expression
        ]

        async def all_answered() -> bool:
            nonlocal number, missing
            number += 1
            await client.add(1, 100, f"https://a.example/{number}")
            partial = f"https://a.example/{number}?sandbox=partial:30"
            await client.add(1, 100, partial)
            await client.call("add", service=999_999, link="x", quantity=1)
            await client.call("balance")
            missing = [name for name in missing if not await prometheus.query(asked[name])]
            return not missing

        for expression in (*asked.values(), *rule_expressions().values()):
            await prometheus.query(expression)
        try:
            await eventually(all_answered, seconds=90, every=0.5)
        except TimeoutError:
            raise AssertionError(f"empty: {missing}") from None
        assert not await prometheus.firing(), "a gateway that is well"
        # A gauge of the database is not added up over the workers.
        [down] = await prometheus.query("count(up == 1)")
        assert down["value"][1] == "1"
        [rows] = await prometheus.query("smm_workers_ready")
        assert rows["value"][1] == "2"
