"""Money by an operator's word: credits, corrections, and the second word that large ones need."""

from dataclasses import replace
from uuid import uuid4

import structlog

from gateway.errors import UserError
from gateway.metrics import COMMIT_DOUBTS, count_movements
from gateway.money.ledger import BalanceLocked, Book
from gateway.operators.acting import AlreadyDone, record, require_reason
from gateway.resellers.accounts import find_reseller
from gateway.store import confirmations as store
from gateway.store.connection import TRANSIENT, CommitInDoubt, Connection, Pool, transaction
from schemas.money import MAX_AMOUNT, Micros, format_amount
from schemas.money_moves import Confirmation, ConfirmationState, MoneyCause, MoneyMove
from schemas.operators import Subject, Warrant
from schemas.resellers import Reseller

log = structlog.get_logger()

_MAY_PASS: tuple[type[Exception], ...] = (BalanceLocked, *TRANSIENT)
_ACTIONS = {
    MoneyCause.TOPUP: "reseller.credited",
    MoneyCause.CORRECTION: "reseller.corrected",
}


async def move_money(
    pool: Pool, move: MoneyMove, warrant: Warrant, *, confirm_above: Micros | None
) -> Reseller | int:
    """Credit or correct a balance; returns the reseller as it is then.

    What is above ``confirm_above`` waits for a second operator: the answer is the number under
    which it does. When the COMMIT gets no answer, the same is done again under the same request:
    what the first try has done is not done twice.

    Raises:
        AlreadyDone: when the same request has done so, or asked for it, before.
        UserError: when there is no such reseller, no reason, the balance would be beyond all
            measure or below what the reseller may owe, or it is not known whether it was done.
    """
    require_reason(warrant)
    if warrant.request is None:
        warrant = replace(warrant, request=str(uuid4()))
    async with pool.acquire() as conn:
        before = await find_reseller(conn, move.reseller)
    asks = confirm_above is not None and abs(move.amount) > confirm_above
    try:
        number = await _move(pool, move, warrant, asks=asks)
    except CommitInDoubt:
        COMMIT_DOUBTS.labels("money", "again").inc()
        number = await _move_again(pool, move, warrant, before, asks=asks)
    if number is not None:
        return number
    count_movements(move.cause, before.currency, abs(move.amount))
    async with pool.acquire() as conn:
        return await find_reseller(conn, move.reseller)


async def _move(pool: Pool, move: MoneyMove, warrant: Warrant, *, asks: bool) -> int | None:
    """Move the money, or have it wait; the number under which it does."""
    async with pool.acquire() as conn, transaction(conn):
        if asks:
            return await _ask(conn, move, warrant)
        await _carry_out(conn, move, warrant)
    return None


async def _move_again(
    pool: Pool, move: MoneyMove, warrant: Warrant, before: Reseller, *, asks: bool
) -> int | None:
    """As ``_move``, after a try that may have done it: its locks are held until it has ended."""
    assert warrant.request is not None
    try:
        return await _move(pool, move, warrant, asks=asks)
    except AlreadyDone:
        async with pool.acquire() as conn:
            return await store.get_confirmation_id(conn, warrant.request)
    except _MAY_PASS:
        raise UserError(_in_doubt(before)) from None


def _in_doubt(before: Reseller) -> str:
    return (
        f"it is not known whether {before.name} was credited, because the database broke off its "
        f"answer: before you repeat it, compare `smm-gateway reseller show {before.name}` with "
        f"the balance before, {format_amount(before.balance)}; orders and refunds move it too"
    )


async def _ask(conn: Connection, move: MoneyMove, warrant: Warrant) -> int:
    reseller = await find_reseller(conn, move.reseller)
    number = await store.insert_confirmation(conn, reseller.id, move.cause, move.amount, warrant)
    if number is None:
        raise AlreadyDone("this was asked for already: see `smm-gateway confirmation list`")
    after = {"cause": move.cause, "amount": format_amount(move.amount), "confirmation": number}
    subject = Subject("reseller", move.reseller)
    await record(conn, warrant.act("money.asked", subject, after=after))
    return number


async def _carry_out(
    conn: Connection, move: MoneyMove, warrant: Warrant, asked_by: str | None = None
) -> None:
    """Move the money; ``asked_by`` is who asked for what the warrant's operator confirms."""
    reseller = await find_reseller(conn, move.reseller)
    reason = require_reason(warrant)
    book = await Book.open(conn, [reseller.id])
    before = book.balance(reseller.id)
    if move.amount == 0 or abs(before + move.amount) > MAX_AMOUNT:
        raise UserError("the amount must not be 0, and keep the balance below a trillion")
    if move.cause is MoneyCause.TOPUP:
        if move.amount < 0:
            raise UserError("a credit is above 0: to take money, use `smm-gateway reseller adjust`")
        book.top_up(reseller.id, move.amount, "manual", reason)
    elif not book.correct(reseller.id, move.amount, reason):
        most = format_amount(max(0, before - reseller.floor))
        raise UserError(
            f"{move.reseller} has only {most} {reseller.currency} left to take: take no more, or "
            "raise the credit limit first"
        )
    await book.write(conn)
    after = {
        "balance": format_amount(before + move.amount),
        "amount": format_amount(move.amount),
    }
    if asked_by is not None:
        after["asked_by"] = asked_by
    subject = Subject("reseller", move.reseller)
    act = warrant.act(
        _ACTIONS[move.cause], subject, before={"balance": format_amount(before)}, after=after
    )
    await record(conn, act)


async def decide(
    pool: Pool, confirmation_id: int, warrant: Warrant, *, confirmed: bool
) -> Confirmation:
    """Confirm what another operator has asked for, or decline it; the same word again changes
    nothing. The ledger has the reason of who asked.

    Raises:
        UserError: when there is no such number, it was decided otherwise, who asked for it confirms
            it, or the money cannot be moved any more.
    """
    state = ConfirmationState.CONFIRMED if confirmed else ConfirmationState.DECLINED
    async with pool.acquire() as conn, transaction(conn):
        asked = await store.lock_confirmation(conn, confirmation_id)
        if asked is None:
            raise UserError(
                f"nothing waits as {confirmation_id}: see `smm-gateway confirmation list`"
            )
        if asked.state is state:
            return asked
        if asked.state is not ConfirmationState.WAITING:
            raise UserError(f"{confirmation_id} was {asked.state} by {asked.decided_by} already")
        if confirmed and asked.asked_by == warrant.actor.name:
            raise UserError("you have asked for this: another operator has to confirm it")
        await store.set_confirmation_decided(conn, confirmation_id, state, warrant.actor.name)
        reseller = await find_reseller(conn, asked.reseller)
        if confirmed:
            own = replace(warrant, reason=asked.reason)
            await _carry_out(conn, asked.move, own, asked_by=asked.asked_by)
        else:
            subject = Subject("reseller", asked.reseller)
            after = {"confirmation": confirmation_id, "amount": format_amount(asked.amount)}
            await record(conn, warrant.act("money.declined", subject, after=after))
    if confirmed:
        count_movements(asked.cause, reseller.currency, abs(asked.amount))
    log.info("money.decided", confirmation_id=confirmation_id, state=state)
    return replace(asked, state=state, decided_by=warrant.actor.name)
