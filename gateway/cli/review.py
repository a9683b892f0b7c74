"""``smm-gateway review``: orders in doubt or in review, and what operators decide about them."""

import argparse
from datetime import timedelta
from typing import Any

from gateway.catalogue.upstreams import timeouts
from gateway.cli.session import (
    acting_flags,
    number,
    printing_flags,
    run_with_database,
    show,
    warrant_of,
)
from gateway.config import Settings, require_master_keys
from gateway.errors import UserError
from gateway.orders.resolutions import require_known_upstream, resolve_order
from gateway.orders.resolving import Word
from gateway.orders.suggesting import Next, suggested
from gateway.store import attempts, doubts, order_search
from gateway.store.connection import Pool
from providers.transport import Transport
from schemas.doubts import Decision, DoubtfulOrder, LookRecord, ResolutionRecord
from schemas.money import format_amount

_LIMIT = 1_000


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("review", help="orders that need a person's decision")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    listed = verbs.add_parser("list", parents=[flags], help="orders in doubt and in review")
    listed.add_argument("--limit", type=number, default=100)
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    shown = verbs.add_parser("show", parents=[flags], help="all that is known of one")
    shown.add_argument("id", type=number)
    shown.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _show(a, p)))
    resolved = verbs.add_parser(
        "resolve", parents=[flags, acting_flags(reason=True)], help="decide about one, once"
    )
    resolved.add_argument("id", type=number)
    how = resolved.add_mutually_exclusive_group(required=True)
    how.add_argument("--placed", metavar="UPSTREAM_ID", help="the upstream has it, as this order")
    how.add_argument(
        "--not-placed", action="store_true", help="the upstream does not have it: send it"
    )
    how.add_argument(
        "--cancel", action="store_true", help="pay all back; what may run upstream is at our cost"
    )
    how.add_argument("--completed", action="store_true", help="it was delivered after all")
    how.add_argument("--partial", type=number, metavar="REMAINS", help="so much was not delivered")
    resolved.add_argument(
        "--unchecked", action="store_true", help="take --placed without asking the upstream"
    )
    resolved.add_argument(
        "--attempt",
        type=number,
        metavar="N",
        help="the last attempt that you saw: refused if it was sent again since",
    )
    resolved.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _resolve(a, s, p)))


def suggestion(order: DoubtfulOrder) -> str:
    """What an operator should do next, with the flags for it."""
    found = suggested(order)
    named = ", ".join(found.upstream_ids)
    match found.next:
        case Next.WAIT:
            return "wait: it is still being looked for"
        case Next.LOOK:
            return f"look at {named} there, then --placed, --completed, --partial, --cancel"
        case Next.COMPARE if len(found.upstream_ids) == 1:
            return f"--placed {named}, if it is the same order there"
        case Next.COMPARE:
            return f"--placed one of {named}"
        case Next.FIND:
            return "it was paid for: find it there, then --placed"
        case _:
            return "look for it there, then --placed or --not-placed"


def _age(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    hours, minutes = divmod(minutes, 60)
    return f"{hours // 24}d {hours % 24}h" if hours >= 24 else f"{hours}h {minutes:02}m"


def _row(order: DoubtfulOrder) -> dict[str, object]:
    return {
        "order": order.order_id,
        "state": order.state,
        "why": order.cause,
        "age": _age(order.now - order.since),
        "provider": order.provider,
        "upstream_id": order.upstream_id,
        "charge": format_amount(order.charge),
        "currency": order.currency,
        "suggestion": suggestion(order),
    }


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        found = await doubts.list_doubtful_orders(conn, arguments.limit)
    show(arguments, [_row(order) for order in found])
    return 0


def _look_fields(look: LookRecord) -> dict[str, object]:
    fields: dict[str, object] = {
        "looks": look.looks,
        "verdict": look.verdict,
        "first_at": look.first_at.isoformat(timespec="seconds"),
        "looked_at": look.looked_at.isoformat(timespec="seconds"),
    }
    return fields | look.evidence


def _resolution_fields(made: ResolutionRecord) -> dict[str, object]:
    return {
        "decision": made.decision,
        "upstream_id": made.upstream_id,
        "reason": made.reason,
        "at": made.at.isoformat(timespec="seconds"),
    }


async def _show(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        order = await order_search.get_order(conn, arguments.id)
        if order is None:
            raise UserError(f"there is no order {arguments.id}: see `smm-gateway review list`")
        listed = await doubts.list_doubtful_orders(conn, _LIMIT)
        tried = await attempts.list_attempts(conn, order.id)
        bodies = await doubts.list_attempt_bodies(conn, order.id)
        history = await attempts.list_states(conn, order.id)
        look = await doubts.get_look(conn, order.id)
        made = await doubts.list_resolutions(conn, order.id)
    rows = [_row(one) for one in listed if one.order_id == order.id]
    attempted: list[dict[str, object]] = [
        {
            "attempt": attempt.number,
            "provider": attempt.provider,
            "state": attempt.state,
            "upstream_id": attempt.upstream_id,
            "http_status": attempt.http_status,
            "reason": attempt.reason,
            "answer": bodies.get(attempt.number),
            "started_at": attempt.started_at.isoformat(timespec="seconds"),
        }
        for attempt in tried
    ]
    known: dict[str, Any] = {
        "order": order.id,
        "state": order.state,
        "reseller": order.reseller,
        "provider": order.provider,
        "service": order.service_id,
        "upstream_service": order.upstream_service,
        "link": order.link,
        "quantity": order.quantity,
        "charge": format_amount(order.charge),
        "refunded": format_amount(order.refunded),
        "history": [str(state) for state in history],
        "suggestion": rows[0]["suggestion"] if rows else None,
    }
    evidence = _look_fields(look) if look else None
    resolutions = [_resolution_fields(one) for one in made]
    if arguments.json:
        more = {"attempts": attempted, "evidence": evidence, "resolutions": resolutions}
        show(arguments, known | more)
        return 0
    show(arguments, known)
    for attempt_fields in attempted:
        _show_part(arguments, attempt_fields)
    if evidence:
        _show_part(arguments, {"evidence": "the last look", **evidence})
    for resolution in resolutions:
        _show_part(arguments, resolution)
    return 0


def _show_part(arguments: argparse.Namespace, fields: dict[str, object]) -> None:
    print()
    show(arguments, fields)


def _word(arguments: argparse.Namespace) -> Word:
    reason = arguments.reason.strip()
    if not reason or "\0" in reason:
        raise UserError("a decision needs a reason: --reason TEXT")
    if arguments.unchecked and arguments.placed is None:
        raise UserError("--unchecked goes with --placed")
    seen: int | None = arguments.attempt
    if arguments.placed is not None:
        placed = arguments.placed.strip()
        return Word(Decision.PLACED, reason, upstream_id=placed, attempt=seen)
    if arguments.partial is not None:
        return Word(Decision.PARTIAL, reason, remains=arguments.partial, attempt=seen)
    if arguments.not_placed:
        return Word(Decision.NOT_PLACED, reason, attempt=seen)
    decision = Decision.CANCELED if arguments.cancel else Decision.COMPLETED
    return Word(decision, reason, attempt=seen)


async def _resolve(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    word = _word(arguments)
    if word.upstream_id is not None and not arguments.unchecked:
        async with Transport(timeouts(settings.dispatch)) as transport:
            await require_known_upstream(
                pool, transport, require_master_keys(settings), arguments.id, word.upstream_id
            )
    done = await resolve_order(
        pool,
        arguments.id,
        word,
        warrant_of(arguments),
        correction_ms=settings.tracking.correction_ms,
    )
    again = " (it was resolved so before: nothing was changed)" if done.again else ""
    show(
        arguments,
        {"order": done.order_id, "state": done.state, "changed": not done.again},
        text=lambda: f"order {done.order_id} is {done.state}{again}",
    )
    return 0
