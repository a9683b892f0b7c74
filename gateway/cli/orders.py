"""``smm-gateway order``."""

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

from gateway.cli import order_acts
from gateway.cli.by_hand import add_report_command
from gateway.cli.order_filters import filter_flags, filter_of, require_names
from gateway.cli.refills import refill_row
from gateway.cli.session import number, printing_flags, run_with_database, show
from gateway.errors import UserError
from gateway.store import attempts, cancellations, refills, schedules
from gateway.store import order_search as store
from gateway.store.connection import Pool
from schemas.aftercare import CancelRecord
from schemas.money import format_amount
from schemas.order_records import AttemptRecord, OrderRecord
from schemas.schedules import Run, Schedule


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("order", help="orders and what became of them")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    shown = verbs.add_parser("show", parents=[flags], help="one order with its attempts")
    shown.add_argument("id", type=number)
    shown.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _show(a, p)))
    listed = verbs.add_parser(
        "list", parents=[flags, filter_flags()], help="orders that are looked for, the newest first"
    )
    listed.add_argument("--before", type=number, metavar="ID", help="the page before this order")
    listed.add_argument("--limit", type=number, default=50)
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    add_report_command(verbs, flags, _order)
    order_acts.add_verbs(verbs, flags)


def _order(order: OrderRecord) -> dict[str, object]:
    return {
        "order": order.id,
        "status": order.wire_status,
        "charge": format_amount(order.wire_charge),
        "start_count": str(order.start_count or 0),
        "remains": str(order.wire_remains),
        "currency": order.currency,
        "state": order.state,
        "provider": order.provider,
        "upstream_id": order.upstream_id,
        "attempts": order.attempts,
        "link": order.link,
        "quantity": order.quantity,
        "service": order.service_id,
        "reseller": order.reseller,
        "external_id": order.external_id,
        "parent": order.parent_id,
    }


def _plan(plan: Schedule, runs: list[Run]) -> dict[str, object]:
    due = plan.next_run_at
    return {
        "runs": f"{len(runs)} of {plan.runs}",
        "interval_minutes": plan.interval_minutes,
        "next_run_at": due.isoformat(timespec="seconds") if due else None,
    }


def _run(run: Run) -> dict[str, object]:
    return {
        "run": run.number,
        "order": run.order_id,
        "state": run.state,
        "quantity": run.quantity,
        "charge": format_amount(run.charge),
        "refunded": format_amount(run.refunded),
    }


def _attempt(attempt: AttemptRecord) -> dict[str, object]:
    ended = attempt.finished_at
    return {
        "attempt": attempt.number,
        "provider": attempt.provider,
        "state": attempt.state,
        "upstream_id": attempt.upstream_id,
        "http_status": attempt.http_status,
        "reason": attempt.reason,
        "started_at": attempt.started_at.isoformat(timespec="seconds"),
        "finished_at": ended.isoformat(timespec="seconds") if ended else None,
    }


def _cancellation(request: CancelRecord) -> dict[str, object]:
    return {
        "state": request.state,
        "tries": request.tries,
        "reason": request.reason,
        "requested_at": request.requested_at.isoformat(timespec="seconds"),
    }


async def _show(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        order = await store.get_order(conn, arguments.id)
        if order is None:
            raise UserError(f"there is no order {arguments.id}: see `smm-gateway order list`")
        tried = [_attempt(a) for a in await attempts.list_attempts(conn, order.id)]
        states = await attempts.list_states(conn, order.id)
        asked = await refills.list_refills(conn, state=None, order_id=order.id, limit=100)
        cancel = await cancellations.get_cancellation(conn, order.id)
        plan = (await schedules.list_schedules(conn, [order.id])).get(order.id)
        runs = await schedules.list_runs(conn, [order.id])
    stopped = _cancellation(cancel) if cancel else None
    parts = [_run(run) for run in runs]
    refilled = [refill_row(refill) for refill in asked]
    shown = _order(order) | (_plan(plan, runs) if plan else {})
    if arguments.json:
        more = {"parts": parts} if plan else {}
        show(arguments, shown | {"cancel": stopped, "refills": refilled} | more)
        return 0
    show(arguments, shown)
    print("history    ", " > ".join(states))
    _print_rows("part", parts)
    _print_rows("attempt", tried)
    _print_rows("cancel", [stopped] if stopped else [])
    _print_rows("refill", refilled)
    return 0


def _print_rows(name: str, rows: Iterable[Mapping[str, object]]) -> None:
    for row in rows:
        print(f"{name:<11} ", "  ".join(f"{k}={v}" for k, v in row.items() if v is not None))


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    wanted = filter_of(arguments)
    async with pool.acquire() as conn:
        await require_names(conn, wanted)
        found = await store.list_found_orders(
            conn, wanted, before_id=arguments.before, limit=arguments.limit
        )
    rows = [_order(order) for order in found]
    if not arguments.json:
        rows = [{k: v for k, v in row.items() if k not in _ONLY_IN_SHOW} for row in rows]
    show(arguments, rows)
    return 0


_ONLY_IN_SHOW = frozenset({"start_count", "currency", "external_id", "reseller", "attempts"})
