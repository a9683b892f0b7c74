"""Refills: accepted at once, sent like orders (claim ▸ commit ▸ call ▸ record), then followed."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import structlog

from gateway.catalogue.spending import spend_read
from gateway.errors import UserError
from gateway.metrics import COMMIT_DOUBTS, REFILLS, upstream_call
from gateway.operators.acting import record, require_reason
from gateway.orders.dispatch import LATE_MS, lease_ms
from gateway.orders.recording import storable
from gateway.orders.refilling import (
    RefillOutcome,
    after_refill_call,
    after_refill_status,
    refusal_of_refill,
)
from gateway.orders.tracking import POLL_LEASE_MS, Polled
from gateway.store import orders
from gateway.store import refills as store
from gateway.store.connection import TRANSIENT, CommitInDoubt, Connection, Pool, transaction
from providers.base import Provider
from providers.errors import Ambiguous, ProviderError, Unavailable
from schemas import panel_v2 as wire
from schemas.aftercare import ClaimedRefill, NewRefill, RefillChange, RefillState
from schemas.config import DispatchSettings, TrackingSettings
from schemas.operators import Subject, Warrant
from schemas.orders import Order
from schemas.providers import ProviderRecord
from schemas.upstream import Exchange

log = structlog.get_logger()

_RECORD_TRIES = 60
_TURN_SECONDS = 5.0
_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Requested:
    """What was requested, by order id: ``made`` are refill ids, ``refused`` are wire texts.

    ``provider_ids`` are the accounts that have something to do now.
    """

    made: dict[int, int]
    refused: dict[int, str]
    provider_ids: frozenset[int]


async def request_refills(
    pool: Pool, reseller_id: int, order_ids: Sequence[int], wait: timedelta
) -> Requested:
    """Accept refills of those orders that can have one; nothing upstream is waited for.

    When the COMMIT gets no answer, the same is done again: the locks are held until the first one
    has ended, and what it has made is known by its ids.
    """
    doubtful: dict[int, int] = {}
    try:
        requested = await _request(pool, reseller_id, order_ids, wait, doubtful)
    except CommitInDoubt:
        COMMIT_DOUBTS.labels("refill", "again").inc()
        requested = await _request(pool, reseller_id, order_ids, wait, doubtful)
    REFILLS.labels("requested").inc(len(requested.made))
    for order_id, refill_id in requested.made.items():
        log.info("refill.requested", refill_id=refill_id, order_id=order_id)
    return requested


async def _request(
    pool: Pool,
    reseller_id: int,
    order_ids: Sequence[int],
    wait: timedelta,
    doubtful: dict[int, int],
) -> Requested:
    """One try; ``doubtful`` are the refills that the one before may have made, then this one's."""
    refused = dict.fromkeys(order_ids, wire.INCORRECT_ORDER)
    wanted: list[Order] = []
    async with pool.acquire() as conn, transaction(conn):
        locked = await orders.lock_own_orders(conn, order_ids, reseller_id)
        made = await _made(conn, reseller_id, doubtful)
        terms = await store.list_terms(conn, [order.id for order in locked])
        now = datetime.now(UTC)
        for order in locked:
            refusal = refusal_of_refill(order, terms[order.id], now, wait)
            if refusal is None:
                wanted.append(order)
            if refusal is None or order.id in made:
                del refused[order.id]
            else:
                refused[order.id] = refusal
        if wanted:
            made |= await store.insert_refills(conn, [_new(order) for order in wanted])
        doubtful |= made
    accounts = frozenset(order.provider_id for order in locked if order.id in made)
    return Requested(made, refused, accounts)


async def _made(conn: Connection, reseller_id: int, doubtful: dict[int, int]) -> dict[int, int]:
    """Those of the refills that are there, by order id."""
    if not doubtful:
        return {}
    there = await store.list_told_refills(conn, reseller_id, list(doubtful.values()))
    return {order_id: id_ for order_id, id_ in doubtful.items() if id_ in there}


def _new(order: Order) -> NewRefill:
    return NewRefill(order.id, order.reseller_id, order.provider_id, order.upstream_id or "")


async def told_refills(
    pool: Pool, reseller_id: int, refill_ids: Sequence[int]
) -> dict[int, RefillState]:
    """The states of those refills that are the reseller's; the others are left out."""
    async with pool.acquire() as conn:
        return await store.list_told_refills(conn, reseller_id, refill_ids)


async def freeze_forgotten_refills(pool: Pool) -> int:
    """Make refills ``unknown`` whose lease is over without a recorded answer; how many.

    They are never sent again: the upstream may have taken them.
    """
    async with pool.acquire() as conn, transaction(conn):
        frozen = await store.set_refills_unknown(conn, "the sender is gone")
    for refill_id in frozen:
        REFILLS.labels(RefillState.UNKNOWN).inc()
        log.warning("refill.forgotten", refill_id=refill_id)
    return len(frozen)


async def close_refill(pool: Pool, refill_id: int, state: RefillState, warrant: Warrant) -> None:
    """End a refill that its upstream leaves open, by an operator's word.

    Raises:
        AlreadyDone: when the same request has done so before.
        UserError: when there is no such refill, none that waits for its upstream, or no reason.
    """
    reason = require_reason(warrant)
    async with pool.acquire() as conn, transaction(conn):
        if not await store.set_refill_closed(conn, refill_id, state, reason):
            raise UserError(
                f"refill {refill_id} is not unknown, placed or in progress: "
                "see `smm-gateway refill list`"
            )
        subject, after = Subject("refill", str(refill_id)), {"state": state}
        await record(conn, warrant.act("refill.closed", subject, after=after))
    REFILLS.labels(state).inc()
    log.info("refill.closed", refill_id=refill_id, state=state, reason=reason)


class Refiller:
    """Sends and follows the refills of one provider account."""

    def __init__(
        self,
        pool: Pool,
        dispatch: DispatchSettings,
        tracking: TrackingSettings,
        clock: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._dispatch = dispatch
        self._tracking = tracking
        self._clock = clock

    async def claim(self, provider: ProviderRecord) -> tuple[ClaimedRefill, float] | None:
        """Take one refill, and when: after this it counts as possibly sent.

        Raises:
            OverBudget: when one waits, and the account may not be asked now.
        """
        at, refill = self._clock(), None
        try:
            async with self._pool.acquire() as conn, transaction(conn, patience=LATE_MS / 1000):
                lease = lease_ms(self._dispatch)
                refill = await store.claim_refill(conn, provider.id, lease_ms=lease)
                if refill:
                    await spend_read(conn, provider)
        except CommitInDoubt:
            if refill:
                await self._give_back(refill, at)
            return None
        return (refill, at) if refill else None

    async def _give_back(self, refill: ClaimedRefill, at: float) -> None:
        """Put a refill back whose claim got no answer, for as long as its lease lasts.

        It was sent by nobody, and would end as one of which nobody knows. The row's lock is the
        claim's until that has ended; if it was rolled back, there is nothing to put back.
        """
        while self._clock() < at + lease_ms(self._dispatch) / 1000:
            try:
                async with self._pool.acquire() as conn, transaction(conn, patience=_TURN_SECONDS):
                    given_back = await store.set_refill_given_back(conn, refill)
            except TRANSIENT as error:
                reason = type(error).__name__
                log.warning("refill.claim_in_doubt", refill_id=refill.id, reason=reason)
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            COMMIT_DOUBTS.labels("refill", "resolved").inc()
            log.info("refill.out_of_doubt", refill_id=refill.id, given_back=given_back)
            return
        COMMIT_DOUBTS.labels("refill", "given_up").inc()
        log.error("refill.left_to_its_lease", refill_id=refill.id)

    async def send(
        self, adapter: Provider, provider: ProviderRecord, refill: ClaimedRefill, claimed_at: float
    ) -> RefillChange:
        """Ask for one claimed refill and record what came of it; never raises for the upstream."""
        outcome = await self._call(adapter, provider, refill, claimed_at)
        change = _storable(after_refill_call(refill, outcome, self._dispatch))
        tell = log.info if change.state is RefillState.PLACED else log.warning
        tell(
            "refill.sent",
            refill_id=refill.id,
            order_id=refill.order_id,
            provider=provider.name,
            state=change.state,
            reason=change.reason,
        )
        if await self._record(refill, change):
            REFILLS.labels(
                "delayed" if change.state is RefillState.REQUESTED else change.state
            ).inc()
        return change

    async def _call(
        self, adapter: Provider, provider: ProviderRecord, refill: ClaimedRefill, claimed_at: float
    ) -> RefillOutcome:
        if (self._clock() - claimed_at) * 1000 > LATE_MS:
            # Stopped, swapped out or starved since the claim: the lease may end before an answer.
            unsent = Exchange(sent=False, elapsed_ms=0)
            return Unavailable("too much time has gone since the claim", unsent)
        try:
            with upstream_call(provider.name, "refill", self._clock):
                answers = await adapter.refill([refill.upstream_order])
        except ProviderError as error:
            return error
        except Exception as error:
            # A defect of an adapter proves nothing about the upstream.
            log.exception("refill.defect", refill_id=refill.id)
            return Ambiguous(f"the adapter failed: {type(error).__name__}")
        return answers.get(refill.upstream_order)

    async def _record(self, refill: ClaimedRefill, change: RefillChange) -> bool:
        """Write an outcome down, trying for a while when the database is away.

        When that fails too, the lease ends and the refill becomes ``unknown``.
        """
        for tried in range(_RECORD_TRIES):
            try:
                async with self._pool.acquire() as conn, transaction(conn, patience=_TURN_SECONDS):
                    return await store.set_refill_result(conn, refill.tries, change)
            except TRANSIENT as error:
                log.warning(
                    "refill.record_delayed", refill_id=refill.id, reason=type(error).__name__
                )
                await asyncio.sleep(min(2**tried / 10, 5))
        log.error("refill.not_recorded", refill_id=refill.id)
        return False

    async def follow(self, adapter: Provider, provider: ProviderRecord, limit: int) -> Polled:
        """Ask for the states of refills that are due. A read that fails changes nothing.

        Raises:
            OverBudget: when some are due, and the account may not be asked now.
        """
        async with self._pool.acquire() as conn, transaction(conn):
            due = await store.claim_refill_polls(
                conn, provider.id, limit=limit, lease_ms=POLL_LEASE_MS
            )
            if due:
                await spend_read(conn, provider)
        if not due:
            return Polled(0, answered=True)
        # Some panels name a refill after its order, so that one id may stand for several.
        ids = sorted({refill.upstream_id for refill in due})
        try:
            with upstream_call(provider.name, "refill_status", self._clock):
                heard = await adapter.refill_status(ids)
        except ProviderError as error:
            log.warning("refill.poll_failed", provider=provider.name, reason=str(error))
            return Polled(len(due), answered=False)
        now = datetime.now(UTC)
        changes = [
            _storable(after_refill_status(r, heard.get(r.upstream_id), now, self._tracking))
            for r in due
        ]
        async with self._pool.acquire() as conn, transaction(conn):
            written = set(await store.set_refills(conn, changes))
        for change in changes:
            if change.next_in is None and change.id in written:
                REFILLS.labels(change.state).inc()
                log.info("refill.ended", refill_id=change.id, state=change.state)
        return Polled(len(due), answered=True)


def _storable(change: RefillChange) -> RefillChange:
    return replace(change, reason=storable(change.reason)) if change.reason else change
