"""What operators do to single orders, each in one transaction with its row in their log.

Everything can be asked for as a preview: the same decision on the locked order, nothing written.
"""

import asyncio
from dataclasses import replace
from uuid import uuid4

import structlog

from gateway.errors import UserError
from gateway.money.ledger import BalanceLocked
from gateway.operators.acting import AlreadyDone, record, require_reason
from gateway.orders.cancellations import request_cancels
from gateway.orders.cancelling import Step, step_of
from gateway.orders.lifecycle import IllegalMove
from gateway.orders.operator_moves import refunded, resent
from gateway.orders.resolutions import lock_case, resolve_order
from gateway.orders.resolving import IN_DOUBT, Case, Word, resolve
from gateway.orders.settling import report, write_changes
from gateway.store import operator_actions, order_search, refills
from gateway.store.connection import BUSY, CommitInDoubt, Connection, Pool, transaction
from schemas.money import format_amount, parse_amount
from schemas.operators import Act, Subject, Warrant
from schemas.order_work import Deed, Effect, OrderAction, Result
from schemas.orders import Order, OrderChange, OrderState
from schemas.panel_v2 import PanelError

log = structlog.get_logger()

_MAY_PASS: tuple[type[Exception], ...] = (BalanceLocked, *BUSY)
#: Seconds before what stood in the way is tried again; a lock itself is waited for besides.
_PAUSES = (0.1, 0.5)
_LOGGED = {OrderAction.RESEND: "order.resent", OrderAction.REFUND: "order.refunded"}


async def add_note(pool: Pool, order_id: int, warrant: Warrant) -> None:
    """Keep a note on an order, which is the warrant's reason, in the operators' log.

    Raises:
        AlreadyDone: when the same request has done so before.
        UserError: when there is no such order, or nothing to note.
    """
    require_reason(warrant)
    async with pool.acquire() as conn, transaction(conn):
        if await order_search.get_order(conn, order_id) is None:
            raise UserError(f"there is no order {order_id}: see `smm-gateway order list`")
        await record(conn, warrant.act("order.noted", Subject("order", str(order_id))))


async def act_on_order(
    pool: Pool, order_id: int, deed: Deed, warrant: Warrant, *, correction_ms: int
) -> Effect:
    """Do something to an order, once for each request.

    Raises:
        AlreadyDone: when the same request has done so before.
        UserError: when it cannot be done to this order, or needs a reason and has none.
    """
    if deed.action is not OrderAction.RESEND:
        require_reason(warrant)
    match deed.action:
        case OrderAction.CANCEL:
            return await _cancel(pool, order_id, warrant)
        case OrderAction.RESOLVE:
            return await _resolve(pool, order_id, deed, warrant, correction_ms)
        case _:
            return await _change(pool, order_id, deed, warrant, correction_ms)


async def preview(pool: Pool, order_id: int, deed: Deed, *, correction_ms: int) -> Effect:
    """What a deed would do to an order as it is now.

    Raises:
        UserError: when it could not be done.
    """
    async with pool.acquire() as conn, transaction(conn):
        case = await lock_case(conn, order_id)
        if deed.action is OrderAction.CANCEL:
            return await _effect_of_cancel(conn, case.order)
        if deed.action is OrderAction.RESOLVE:
            if case.order.state not in IN_DOUBT:
                raise UserError(f"order {order_id} is {case.order.state}: nothing is in doubt")
            outcome = resolve(case, _word(deed, "preview"), correction_ms=correction_ms)
            return _effect(case.order, outcome.changes[-1], sum(c.refund for c in outcome.changes))
        return _effect(case.order, _decided(case, deed, correction_ms))


def _decided(case: Case, deed: Deed, correction_ms: int) -> OrderChange | None:
    if deed.action is OrderAction.RESEND:
        return resent(case)
    return refunded(case, deed.remains, correction_ms=correction_ms)


def _effect(order: Order, change: OrderChange | None, refund: int | None = None) -> Effect:
    if change is None:
        return Effect(order.id, Result.UNCHANGED, order.state, order.state)
    paid = change.refund if refund is None else refund
    return Effect(order.id, Result.DONE, order.state, change.state, paid)


async def _change(
    pool: Pool, order_id: int, deed: Deed, warrant: Warrant, correction_ms: int
) -> Effect:
    async with pool.acquire() as conn, transaction(conn):
        case = await lock_case(conn, order_id)
        change = _decided(case, deed, correction_ms)
        changes = [] if change is None else [change]
        await write_changes(conn, changes)
        for one in changes:
            await record(conn, _act(one, deed, warrant))
    report(changes)
    return _effect(case.order, change)


def _act(change: OrderChange, deed: Deed, warrant: Warrant) -> Act:
    after = {"state": str(change.state)}
    if deed.action is OrderAction.REFUND:
        after |= {"refund": format_amount(change.refund)}
    subject, before = Subject("order", str(change.order.id)), {"state": change.order.state}
    return warrant.act(_LOGGED[deed.action], subject, before=before, after=after)


def _word(deed: Deed, reason: str) -> Word:
    assert deed.decision is not None
    return Word(deed.decision, reason, remains=deed.remains, attempt=deed.attempt)


async def _resolve(
    pool: Pool, order_id: int, deed: Deed, warrant: Warrant, correction_ms: int
) -> Effect:
    word = _word(deed, require_reason(warrant))
    done = await resolve_order(pool, order_id, word, warrant, correction_ms=correction_ms)
    result = Result.UNCHANGED if done.again else Result.DONE
    return Effect(order_id, result, done.before, done.state, done.refund)


async def _cancel(pool: Pool, order_id: int, warrant: Warrant) -> Effect:
    async with pool.acquire() as conn, transaction(conn):
        before = (await lock_case(conn, order_id)).order
    done = await request_cancels(pool, warrant, [order_id])
    if refusal := done.refused.get(order_id):
        return _not_canceled(before, refusal)
    return _effect_of_step(before, done.steps[order_id])


async def _effect_of_cancel(conn: Connection, order: Order) -> Effect:
    terms = await refills.list_terms(conn, [order.id])
    try:
        step = step_of(order, terms[order.id], by_operator=True)
    except PanelError as refusal:
        return _not_canceled(order, str(refusal))
    return _effect_of_step(order, step)


def _effect_of_step(order: Order, step: Step) -> Effect:
    if step is not Step.AT_ONCE:
        result = Result.STOPPED if step is Step.STOPPED else Result.ASKED
        return Effect(order.id, result, order.state, order.state)
    owed = order.charge - order.refunded
    return Effect(order.id, Result.DONE, order.state, OrderState.CANCELED, owed)


def _not_canceled(order: Order, refusal: str) -> Effect:
    if order.state is OrderState.CANCELED:
        return Effect(order.id, Result.UNCHANGED, order.state, order.state)
    why = f"order {order.id} is {order.state}: {refusal}"
    return Effect(order.id, Result.REFUSED, order.state, order.state, why=why)


async def effect_of(
    pool: Pool, order_id: int, deed: Deed, warrant: Warrant | None, *, correction_ms: int
) -> Effect:
    """As ``act_on_order``, or ``preview`` without a warrant, with refusals as effects.

    What stands in the way for a moment is tried again a few times. What the same request has done
    before, maybe in a try whose COMMIT got no answer, is told as it was done then.
    """
    if warrant is not None and warrant.request is None:
        warrant = replace(warrant, request=str(uuid4()))
    for pause in _PAUSES:
        try:
            return await _effect_now(pool, order_id, deed, warrant, correction_ms)
        except _MAY_PASS as error:
            log.warning("order.act_delayed", order_id=order_id, reason=type(error).__name__)
            await asyncio.sleep(pause)
    try:
        return await _effect_now(pool, order_id, deed, warrant, correction_ms)
    except CommitInDoubt:
        why = f"it is not known whether it was done: see `smm-gateway order show {order_id}`"
    except _MAY_PASS as error:
        log.warning("order.act_failed", order_id=order_id, reason=type(error).__name__)
        why = f"order {order_id} or its reseller's balance is in use: try again later"
    return Effect(order_id, Result.REFUSED, why=why)


async def _effect_now(
    pool: Pool, order_id: int, deed: Deed, warrant: Warrant | None, correction_ms: int
) -> Effect:
    try:
        if warrant is None:
            return await preview(pool, order_id, deed, correction_ms=correction_ms)
        effect = await act_on_order(pool, order_id, deed, warrant, correction_ms=correction_ms)
    except AlreadyDone:
        effect = Effect(order_id, Result.UNCHANGED, why="done before by the same request")
    except UserError as refusal:
        effect = Effect(order_id, Result.REFUSED, why=str(refusal))
    except IllegalMove as defect:
        log.exception("order.act_illegal", order_id=order_id, action=deed.action)
        effect = Effect(order_id, Result.REFUSED, why=f"that move does not exist: {defect}")
    if warrant is None or effect.result in (Result.DONE, Result.ASKED, Result.STOPPED):
        return effect
    return await _done_before(pool, order_id, warrant) or effect


async def _done_before(pool: Pool, order_id: int, warrant: Warrant) -> Effect | None:
    """What the warrant's request has done to the order, by the operators' log."""
    assert warrant.request is not None
    async with pool.acquire() as conn:
        act = await operator_actions.get_action(conn, warrant.request)
    if act is None or act.subject != Subject("order", str(order_id)):
        return None
    before = OrderState(act.before["state"])
    refund = parse_amount(act.after.get("refund", "0"))
    step = act.after.get("cancel")
    if step is None:
        return Effect(order_id, Result.DONE, before, OrderState(act.after["state"]), refund)
    if step != Step.AT_ONCE:
        result = Result.STOPPED if step == Step.STOPPED else Result.ASKED
        return Effect(order_id, result, before, before)
    return Effect(order_id, Result.DONE, before, OrderState.CANCELED, refund)
