"""Resolutions: an operator decides about an order in doubt or in review, once and with a reason."""

from dataclasses import dataclass, replace

import structlog

from gateway.catalogue.upstreams import adapt
from gateway.errors import UserError
from gateway.operators.acting import record
from gateway.orders.resolving import IN_DOUBT, Case, Outcome, Word, resolve
from gateway.orders.settling import report, write_changes
from gateway.sealing import MasterKeys
from gateway.store import attempts, doubts, orders, providers, schedules
from gateway.store.connection import Connection, Pool, transaction
from providers.base import Provider
from providers.errors import ProviderError
from providers.registry import is_worked_by_hand
from providers.transport import Transport
from schemas.doubts import Decision, ResolutionRecord
from schemas.money import Micros, format_amount
from schemas.operators import Act, Subject, Warrant
from schemas.orders import Order, OrderState, Placement

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Resolved:
    """How an order stands after a resolution; ``again`` where it had been made before.

    ``refund`` is what it paid back, ``before`` where the order was.
    """

    order_id: int
    state: OrderState
    again: bool
    before: OrderState
    refund: Micros = 0


async def resolve_order(
    pool: Pool, order_id: int, word: Word, warrant: Warrant, *, correction_ms: int
) -> Resolved:
    """Write an operator's decision down, with the moves and the money that follow from it.

    The same decision again changes nothing.

    Raises:
        UserError: when there is no such order, or it cannot be decided so.
    """
    async with pool.acquire() as conn, transaction(conn):
        case = await lock_case(conn, order_id)
        order = case.order
        if order.state not in IN_DOUBT:
            _require_same(order, await doubts.list_resolutions(conn, order_id), word)
            return Resolved(order_id, order.state, again=True, before=order.state)
        outcome = resolve(case, word, correction_ms=correction_ms)
        await _write(conn, case, outcome, word)
        await record(conn, _act(order, outcome, word, warrant))
    report(outcome.changes)
    state = outcome.changes[-1].state
    log.info("order.resolved", order_id=order_id, decision=word.decision, state=state)
    paid = sum(change.refund for change in outcome.changes)
    return Resolved(order_id, state, again=False, before=order.state, refund=paid)


def _act(order: Order, outcome: Outcome, word: Word, warrant: Warrant) -> Act:
    after = {
        "state": outcome.changes[-1].state,
        "decision": word.decision,
        "upstream_id": word.upstream_id,
        "remains": word.remains,
        "refund": format_amount(sum(change.refund for change in outcome.changes)),
    }
    before = {"state": order.state}
    warrant = replace(warrant, reason=word.reason)
    return warrant.act(
        "order.resolved", Subject("order", str(order.id)), before=before, after=after
    )


async def lock_case(conn: Connection, order_id: int) -> Case:
    """Lock an order and read all that decides about it.

    Raises:
        UserError: when there is no such order.
    """
    locked = await orders.lock_orders(conn, [order_id])
    if not locked:
        raise UserError(f"there is no order {order_id}: see `smm-gateway review list`")
    [order] = locked
    plan = (await schedules.list_schedules(conn, [order_id])).get(order_id)
    runs = await schedules.list_runs(conn, [order_id])
    return Case(order, await doubts.list_tried_attempts(conn, order_id), plan, runs)


def _require_same(order: Order, made: list[ResolutionRecord], word: Word) -> None:
    """Raises ``UserError`` unless the order was last resolved with the same word."""
    if not made:
        raise UserError(
            f"order {order.id} is {order.state}: only unknown orders and those in review are "
            "resolved; see `smm-gateway review list`"
        )
    last = made[-1]
    if (last.decision, last.upstream_id) != (word.decision, word.upstream_id):
        told = f" as {last.upstream_id}" if last.upstream_id else ""
        raise UserError(
            f"order {order.id} was resolved as {last.decision}{told} already and is "
            f"{order.state} now"
        )


async def _write(conn: Connection, case: Case, outcome: Outcome, word: Word) -> None:
    order = case.order
    if word.decision is Decision.PLACED:
        assert word.upstream_id is not None
        provider_id = case.named(word.upstream_id).provider_id
        placement = Placement(provider_id, word.upstream_id, order.id)
        if not await attempts.insert_placements(conn, [placement]):
            owner = await doubts.get_owner(conn, provider_id, word.upstream_id)
            raise UserError(f"{word.upstream_id} is order {owner} already: look for another id")
    reason = f"resolved as {word.decision}"
    for fate in outcome.attempts:
        await doubts.set_attempt_decided(
            conn, order.id, fate.number, fate.state, fate.upstream_id, reason
        )
    for change in outcome.changes:  # of one order, one after the other
        await write_changes(conn, [change])
    version = outcome.changes[-1].order.version + 1
    await doubts.insert_resolution(
        conn, order.id, version, word.decision, word.upstream_id, word.reason
    )


async def require_known_upstream(
    pool: Pool, transport: Transport, keys: MasterKeys, order_id: int, upstream_id: str
) -> None:
    """Ask the upstream of the attempt that it is about whether it has the order that is named.

    Raises:
        UserError: when it does not, or does not answer; and when the order is another one's.
    """
    async with pool.acquire() as conn, transaction(conn):
        case = await lock_case(conn, order_id)
        if case.order.state not in IN_DOUBT:
            return  # what was resolved is not asked for again
        provider_id = case.named(upstream_id).provider_id
        owner = await doubts.get_owner(conn, provider_id, upstream_id)
        record = await providers.get_provider_by_id(conn, provider_id)
    if owner not in (None, order_id):
        raise UserError(f"{upstream_id} is order {owner} already: look for another id")
    assert record is not None
    if not is_worked_by_hand(record.kind):
        await _ask(adapt(record, transport, keys)[0], record.name, upstream_id)


async def _ask(adapter: Provider, provider: str, upstream_id: str) -> None:
    try:
        status = (await adapter.status([upstream_id])).get(upstream_id)
    except ProviderError as error:
        raise UserError(
            f"{provider} cannot be asked for {upstream_id} ({error}): try again, or add "
            "--unchecked if you have seen the order there"
        ) from None
    if status is None or status.error is not None:
        said = status.error if status and status.error else "nothing"
        raise UserError(f"{provider} does not have order {upstream_id}: it says {said!r}")
