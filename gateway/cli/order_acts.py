"""``smm-gateway order note``, ``cancel``, ``resend``, ``refund`` and ``bulk``: acting on orders."""

import argparse
from dataclasses import replace
from typing import Any
from uuid import uuid4

from gateway.cli.jobs import show_asked
from gateway.cli.order_filters import filter_flags, filter_of, require_names
from gateway.cli.progress import ProgressBar
from gateway.cli.session import acting_flags, number, run_with_database, show, warrant_of
from gateway.config import Settings
from gateway.errors import UserError
from gateway.operators.job_kinds import bulk_arguments
from gateway.operators.jobs import ask_for_job
from gateway.orders.bulk import Bulk, find_orders, run_bulk
from gateway.orders.operator_acts import act_on_order, add_note
from gateway.store.connection import Pool
from schemas.doubts import Decision
from schemas.jobs import JobKind
from schemas.money import format_amount
from schemas.order_work import Deed, Effect, OrderAction, Result

#: What many orders may be resolved as: the others take an id of each.
_DECISIONS = [d.value for d in Decision if d is not Decision.PLACED]


def add_verbs(verbs: Any, flags: argparse.ArgumentParser) -> None:
    """Add the verbs to the group of orders."""
    acting, why = acting_flags(), acting_flags(reason=True)
    noted = verbs.add_parser("note", parents=[flags, why], help="keep the --reason with an order")
    noted.add_argument("id", type=number)
    noted.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _note(a, p)))
    stopped = verbs.add_parser(
        "cancel", parents=[flags, why], help="cancel an order, or ask its upstream to"
    )
    stopped.add_argument("id", type=number)
    stopped.set_defaults(
        run=lambda a: run_with_database(a, lambda s, p: _act(a, s, p, Deed(OrderAction.CANCEL)))
    )
    sent = verbs.add_parser(
        "resend", parents=[flags, acting], help="send an order that waits now, not later"
    )
    sent.add_argument("id", type=number)
    sent.set_defaults(
        run=lambda a: run_with_database(a, lambda s, p: _act(a, s, p, Deed(OrderAction.RESEND)))
    )
    paid = verbs.add_parser("refund", parents=[flags, why], help="pay back an order that has ended")
    paid.add_argument("id", type=number)
    _add_amount(paid, required=True)
    paid.set_defaults(
        run=lambda a: run_with_database(
            a, lambda s, p: _act(a, s, p, Deed(OrderAction.REFUND, remains=a.remains))
        )
    )
    many = verbs.add_parser(
        "bulk",
        parents=[flags, filter_flags(), acting],
        help="do one thing to many orders: shown first, and done with --apply",
    )
    many.add_argument("action", choices=[action.value for action in OrderAction])
    many.add_argument("--as", dest="decision", choices=_DECISIONS, help="what to resolve them as")
    _add_amount(many, required=False)
    many.add_argument("--apply", action="store_true", help="do it")
    many.add_argument("--background", action="store_true", help="with --apply: by the workers")
    many.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _bulk(a, s, p)))


def _add_amount(parser: argparse.ArgumentParser, *, required: bool) -> None:
    how = parser.add_mutually_exclusive_group(required=required)
    how.add_argument("--all", action="store_true", help="refund the whole charge")
    how.add_argument("--remains", type=number, metavar="N", help="so much was not delivered")


def _row(effect: Effect) -> dict[str, object]:
    return {
        "order": effect.order_id,
        "result": effect.result,
        "before": effect.before,
        "after": effect.after,
        "refund": format_amount(effect.refund),
        "why": effect.why,
    }


async def _note(arguments: argparse.Namespace, pool: Pool) -> int:
    await add_note(pool, arguments.id, warrant_of(arguments))
    show(arguments, {"order": arguments.id, "noted": True}, text=lambda: "noted")
    return 0


async def _act(arguments: argparse.Namespace, settings: Settings, pool: Pool, deed: Deed) -> int:
    effect = await act_on_order(
        pool,
        arguments.id,
        deed,
        warrant_of(arguments),
        correction_ms=settings.tracking.correction_ms,
    )
    if effect.result is Result.REFUSED:
        raise UserError(f"{effect.why}: see `smm-gateway order show {arguments.id}`")
    show(arguments, _row(effect))
    return 0


def deed_of(arguments: argparse.Namespace) -> Deed:
    """What the flags of ``bulk`` say is done.

    Raises:
        UserError: when they do not fit each other.
    """
    action = OrderAction(arguments.action)
    decision = Decision(arguments.decision) if arguments.decision else None
    if (action is OrderAction.RESOLVE) != (decision is not None):
        raise UserError("--as goes with resolve, which needs it")
    if action is OrderAction.REFUND and not arguments.all and arguments.remains is None:
        raise UserError("a refund needs --all, or --remains N")
    if (decision is Decision.PARTIAL) and arguments.remains is None:
        raise UserError("--as partial needs --remains N")
    return Deed(action, decision, arguments.remains)


async def _bulk(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    deed, wanted, warrant = deed_of(arguments), filter_of(arguments), warrant_of(arguments)
    async with pool.acquire() as conn:
        await require_names(conn, wanted)
    seen = await find_orders(pool, wanted)
    if warrant.request is None:
        warrant = replace(warrant, request=str(uuid4()))
    if arguments.apply and arguments.background:
        given = bulk_arguments(seen, deed)
        show_asked(arguments, await ask_for_job(pool, JobKind.BULK, given, warrant))
        return 0
    with ProgressBar(f"{deed.action}:", len(seen)) as progress:
        done = await run_bulk(
            pool,
            seen,
            deed,
            warrant if arguments.apply else None,
            correction_ms=settings.tracking.correction_ms,
            tell=progress.tell,
        )
    _show_bulk(arguments, done)
    return 0


def _show_bulk(arguments: argparse.Namespace, done: Bulk) -> None:
    rows = [_row(effect) for effect in done.effects]
    numbers = {str(result): number for result, number in done.numbers.items()}
    if arguments.json:
        value = {"applied": arguments.apply, "numbers": numbers, "orders": rows}
        show(arguments, value | {"refund": format_amount(done.refund)})
        return
    show(arguments, rows)
    told = ", ".join(f"{number} {result}" for result, number in numbers.items()) or "no orders"
    verb = "paid back" if arguments.apply else "would be paid back; add --apply to do it"
    print(f"{told}; {format_amount(done.refund)} {verb}")
    if done.numbers.get(Result.REFUSED) and not arguments.apply:
        print("those that are refused are left as they are")
