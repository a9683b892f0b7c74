"""What goes wrong in a drill, which alert says so, and the steps of the runbook that end it."""

import json
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.conftest import eventually
from tests.drill.stage import PANEL, QUIET, SERVICE, Drill, hold_lock

Step: TypeAlias = Callable[[Drill], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that goes wrong; ``mends`` is what the alert's section of the runbook says."""

    name: str
    alert: str
    breaks: Step
    mends: Step


async def _kill_panel(drill: Drill) -> None:
    await drill.sandbox.kill()


async def _restart_panel(drill: Drill) -> None:
    await drill.sandbox.restart()
    await drill.run("provider", "balance", PANEL)


async def _empty_account(drill: Drill) -> None:
    await drill.sandbox.control("balance", {"amount": "0"})


async def _top_up(drill: Drill) -> None:
    await drill.sandbox.control("balance", {"amount": "1000000"})
    await drill.run("provider", "balance", PANEL)


async def _lose_answers(drill: Drill) -> None:
    fault = {"action": "add", "fault": "reset-after", "share": 0.5, "seed": 7}
    await drill.sandbox.control("faults", fault)


async def _refuse_status(drill: Drill) -> None:
    fault = {"action": "status", "fault": "500-before", "times": 1_000_000}
    await drill.sandbox.control("faults", fault)


async def _repair_panel(drill: Drill) -> None:
    await drill.sandbox.control("faults", method="DELETE")


async def _slow_panel(drill: Drill) -> None:
    await drill.sandbox.control("conduct", {"latency_before_ms": 11_000})


async def _quicken_panel(drill: Drill) -> None:
    await drill.sandbox.control("conduct", {"latency_before_ms": 0})


async def _repeat_an_id(drill: Drill) -> None:
    async def accepted() -> list[dict[str, object]]:
        return drill.sandbox.accepted()

    known = (await eventually(accepted))[0]["order"]
    link = f'https://a.example/odd?sandbox=body-after:{{"order":{known}}}'
    await drill.order(link)


async def _decide(drill: Drill) -> None:
    for row in json.loads(await drill.run("review", "list", "--json")):
        if row["state"] == "review":
            reason = "the panel's list has it under another order's id"
            await drill.run("review", "resolve", str(row["order"]), "--cancel", "--reason", reason)


async def _pause(drill: Drill) -> None:
    await drill.run("provider", "pause", PANEL, "--reason", "a drill")


async def _resume(drill: Drill) -> None:
    await drill.run("provider", "resume", PANEL)


async def _raise_price(drill: Drill) -> None:
    """The upstream asks ten times as much, while orders at the old price wait."""
    await _pause(drill)
    await drill.order("https://a.example/dear")
    await drill.pool.execute("update route set cost = cost * 10 where service_id = $1", SERVICE)
    await _resume(drill)


async def _cancel_dear(drill: Drill) -> None:
    async def none_wait() -> bool:
        for order in await drill.open_orders("queued"):
            await drill.try_to_run("order", "cancel", str(order), "--reason", "a drill")
        return not await drill.open_orders("queued")

    await drill.pool.execute("update route set cost = cost / 10 where service_id = $1", SERVICE)
    await eventually(none_wait, seconds=60, every=1)


async def _sell_below_cost(drill: Drill) -> None:
    await drill.run("service", "set", str(SERVICE), "--rate", "0.01", "--below-cost")


async def _sell_above_cost(drill: Drill) -> None:
    await drill.run("service", "set", str(SERVICE), "--rate", "rule", "--not-below-cost")


async def _break_books(drill: Drill) -> None:
    await _change_balance(drill, 1)


async def _correct_books(drill: Drill) -> None:
    code, out, _ = await drill.try_to_run("audit")
    assert code == 1, "the audit names what is broken"
    assert "balance_is_history" in out, out
    await _change_balance(drill, -1)


async def _change_balance(drill: Drill, by: int) -> None:
    """As somebody does who knows better than the ledger."""
    await drill.pool.execute(
        """update balance set amount = amount + $2
            where reseller_id = (select id from reseller where name = $1)""",
        QUIET,
        by,
    )


async def _forget_transaction(drill: Drill) -> None:
    _forgotten.append(await hold_lock(drill.database_url))


async def _end_transaction(drill: Drill) -> None:
    await drill.pool.execute(
        """select pg_terminate_backend(pid) from pg_stat_activity
            where state = 'idle in transaction' and query like 'lock table%'"""
    )
    _forgotten.clear()


_forgotten: list[object] = []


def _last_worker(drill: Drill) -> int:
    lines = [json.loads(x) for x in drill.gateway.log_text().splitlines() if x.startswith("{")]
    pid: int = [line["pid"] for line in lines if line["event"] == "worker.ready"][-1]
    return pid


async def _freeze_worker(drill: Drill) -> None:
    os.kill(_last_worker(drill), signal.SIGSTOP)


async def _kill_worker(drill: Drill) -> None:
    os.kill(_last_worker(drill), signal.SIGKILL)


async def _kill_gateway(drill: Drill) -> None:
    await drill.gateway.kill()


async def _start_gateway(drill: Drill) -> None:
    await drill.gateway.start()


SCENARIOS = (
    Scenario("the panel's account is empty", "ProviderOutOfFunds", _empty_account, _top_up),
    Scenario("the panel is down", "ProviderDown", _kill_panel, _restart_panel),
    Scenario("answers to orders are lost", "UnknownShare", _lose_answers, _repair_panel),
    Scenario("an order needs a person", "OrdersNeedReview", _repeat_an_id, _decide),
    Scenario("the panel takes orders slowly", "ProviderSlow", _slow_panel, _quicken_panel),
    Scenario("the panel tells no status", "TrackingLag", _refuse_status, _repair_panel),
    Scenario("orders are stuck", "StuckOrders", _pause, _resume),
    Scenario("the panel asks more than we do", "OrdersWithheld", _raise_price, _cancel_dear),
    Scenario("we sell below cost", "MarginNegative", _sell_below_cost, _sell_above_cost),
    Scenario("the books are broken", "AuditFailure", _break_books, _correct_books),
    Scenario("somebody holds a lock", "ErrorRate", _forget_transaction, _end_transaction),
    Scenario("a worker hangs", "WorkerGone", _freeze_worker, _kill_worker),
    Scenario("the gateway is down", "GatewayDown", _kill_gateway, _start_gateway),
)
