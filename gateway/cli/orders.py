"""``smm-gateway order``."""

import argparse
from typing import Any

from gateway.cli.by_hand import add_report_command
from gateway.cli.session import number, printing_flags, run_with_database, show
from gateway.errors import UserError
from gateway.store import attempts
from gateway.store import orders as store
from gateway.store.connection import Pool
from schemas.money import format_amount
from schemas.orders import AttemptRecord, OrderRecord, OrderState


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("order", help="orders and what became of them")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    shown = verbs.add_parser("show", parents=[flags], help="one order with its attempts")
    shown.add_argument("id", type=number)
    shown.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _show(a, p)))
    listed = verbs.add_parser("list", parents=[flags], help="the newest orders")
    listed.add_argument("--state", choices=[state.value for state in OrderState])
    listed.add_argument("--reseller")
    listed.add_argument("--limit", type=number, default=50)
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    add_report_command(verbs, flags, _order)


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


async def _show(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        order = await store.get_order(conn, arguments.id)
        if order is None:
            raise UserError(f"there is no order {arguments.id}: see `smm-gateway order list`")
        tried = [_attempt(a) for a in await attempts.list_attempts(conn, order.id)]
        states = await attempts.list_states(conn, order.id)
    show(arguments, _order(order))
    if not arguments.json:
        print("history    ", " > ".join(states))
        for attempt in tried:
            print("attempt    ", "  ".join(f"{k}={v}" for k, v in attempt.items() if v is not None))
    return 0


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        found = await store.list_orders(
            conn,
            state=OrderState(arguments.state) if arguments.state else None,
            reseller=arguments.reseller,
            limit=arguments.limit,
        )
    rows = [_order(order) for order in found]
    if not arguments.json:
        rows = [{k: v for k, v in row.items() if k not in _ONLY_IN_SHOW} for row in rows]
    show(arguments, rows)
    return 0


_ONLY_IN_SHOW = frozenset({"start_count", "currency", "external_id", "reseller", "attempts"})
