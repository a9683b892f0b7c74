"""Reconciliation: asks upstreams about orders in doubt, and writes down what that proves.

The upstream is only read from. What the evidence comes to is one pure function,
``reconciling.judge``; a verdict is written under the order's lock, and only while the order is
still in doubt about the same attempt.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from gateway.catalogue.balances import read_balance
from gateway.catalogue.spending import spend_further_reads, spend_read
from gateway.metrics import DOUBTFUL_CHARGE, RECONCILED, upstream_call
from gateway.orders.balance_book import Account, Weighed, weigh
from gateway.orders.contradicting import taken_before
from gateway.orders.dispatch import lease_ms
from gateway.orders.lifecycle import move
from gateway.orders.listed_orders import Listed
from gateway.orders.reconciling import Evidence, confirms, judge, kept_id
from gateway.orders.settling import report, write_changes
from gateway.orders.tracking import BATCH, Polled
from gateway.store import attempts, doubts, orders, readings
from gateway.store.connection import Connection, Pool, transaction
from providers.base import Provider
from providers.errors import ProviderError
from providers.registry import is_worked_by_hand
from providers.transport import metered
from schemas.config import DispatchSettings, ReconcileSettings
from schemas.doubts import Doubt, Finding, Verdict
from schemas.orders import AttemptState, Order, OrderChange, OrderState, Placement
from schemas.providers import ProviderRecord
from schemas.upstream import OrderListing, UpstreamStatus, UpstreamWord

log = structlog.get_logger()

#: Rows of a list that are asked for.
LISTED = 500
#: Nobody else looks at the same orders while a look may still take.
LOOK_LEASE_MS = 120_000
_RETURNED = frozenset({UpstreamWord.CANCELED, UpstreamWord.PARTIAL, UpstreamWord.FAILED, None})


def quarantine_of(settings: ReconcileSettings, dispatch: DispatchSettings) -> timedelta:
    """How long after its beginning it is believed that an attempt was not accepted."""
    twice = 2 * (dispatch.timeout_ms + lease_ms(dispatch))
    return timedelta(milliseconds=max(settings.quarantine_ms, twice))


class Reconciler:
    """Finds out what became of the orders in doubt of one provider account.

    ``currency`` is the house's, in which costs are known.
    """

    def __init__(
        self,
        pool: Pool,
        settings: ReconcileSettings,
        dispatch: DispatchSettings,
        currency: str,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._quarantine = quarantine_of(settings, dispatch)
        self._deadline = max(
            timedelta(milliseconds=settings.deadline_ms), self._quarantine + timedelta(minutes=2)
        )
        self._patience = timedelta(milliseconds=lease_ms(dispatch))
        self._currency = currency

    async def look(self, adapter: Provider, provider: ProviderRecord) -> Polled:
        """Look at the orders in doubt, if that is due; what was proved is written down.

        Raises:
            OverBudget: when the account may not be asked now.
        """
        async with self._pool.acquire() as conn, transaction(conn):
            due = await doubts.claim_doubts(conn, provider.id, lease_ms=LOOK_LEASE_MS)
            if due and not is_worked_by_hand(provider.kind):
                await spend_read(conn, provider)
        if not due:
            return Polled(0, answered=True)
        with metered() as meter:
            evidence = await self.gather(adapter, provider)
        await spend_further_reads(self._pool, provider, meter.requests)
        for verdict in judge(evidence):
            await self.write(provider, verdict)
        async with self._pool.acquire() as conn, transaction(conn):
            await doubts.set_doubts_due(conn, due, self._settings.interval_ms)
        return Polled(len(due), answered=True, requests=meter.requests)

    async def gather(self, adapter: Provider, provider: ProviderRecord) -> Evidence:
        """Ask the upstream all that could decide about the orders in doubt."""
        async with self._pool.acquire() as conn:
            found, now = await doubts.list_doubts(conn, provider.id)
        evidence = Evidence(now, self._quarantine, self._deadline, found)
        if is_worked_by_hand(provider.kind):
            return replace(evidence, by_hand=True)
        named = {d.order_id: id_ for d in found if d.open and (id_ := kept_id(d.body))}
        confirmed = await self._confirmed(adapter, provider, found, named)
        listing = await self._list(adapter, provider)
        await self._read_balance(adapter, provider)
        # Only now: whoever made a row of the list has left an attempt by now.
        async with self._pool.acquire() as conn:
            found, _ = await doubts.list_doubts(conn, provider.id)
            listed = await self._known(conn, provider, listing, found, now) if listing else None
            weighed = await self._weigh(conn, provider, found)
            returned = 0
            if weighed.before is not None:
                since = weighed.before.asked_at
                returned = await doubts.count_returned_since(conn, provider.id, since)
        quiet = not returned and bool(weighed.absent) and await self._all_run(adapter, provider)
        return replace(
            evidence,
            doubts=found,
            named=named,
            confirmed=confirmed,
            has_list=adapter.lists_orders,
            listed=listed,
            weighed=Weighed("orders were paid back meanwhile") if returned else weighed,
            quiet=quiet,
        )

    async def _confirmed(
        self,
        adapter: Provider,
        provider: ProviderRecord,
        found: Sequence[Doubt],
        named: dict[int, str],
    ) -> frozenset[int]:
        """The orders whose kept answer names an order that the upstream has and nobody else."""
        if not named:
            return frozenset()
        ids = sorted(set(named.values()))[:BATCH]
        statuses: dict[str, UpstreamStatus] = {}
        try:
            statuses = await adapter.status(ids)
        except ProviderError as error:
            log.warning("reconcile.status_failed", provider=provider.name, reason=str(error))
        async with self._pool.acquire() as conn:
            known = await doubts.list_known_ids(conn, provider.id, ids)
        owned = {order.upstream_id for order in known}
        claims = list(named.values())
        quantities = {doubt.order_id: doubt.quantity for doubt in found}
        return frozenset(
            order_id
            for order_id, id_ in named.items()
            if id_ not in owned
            and claims.count(id_) == 1
            and confirms(statuses.get(id_), quantities[order_id])
        )

    async def _list(self, adapter: Provider, provider: ProviderRecord) -> OrderListing | None:
        if not adapter.lists_orders:
            return None
        try:
            with upstream_call(provider.name, "orders", time.monotonic):
                return await adapter.orders(LISTED)
        except ProviderError as error:
            log.warning("reconcile.list_failed", provider=provider.name, reason=str(error))
            return None

    async def _read_balance(self, adapter: Provider, provider: ProviderRecord) -> None:
        try:
            await read_balance(self._pool, adapter, provider)
        except ProviderError as error:
            log.warning("reconcile.balance_failed", provider=provider.name, reason=str(error))

    async def _known(
        self,
        conn: Connection,
        provider: ProviderRecord,
        listing: OrderListing,
        found: Sequence[Doubt],
        asked_at: datetime,
    ) -> Listed:
        ids = [order.upstream_id for order in listing.orders]
        known = await doubts.list_known_ids(conn, provider.id, ids)
        first = min((d.started_at for d in found if d.open), default=asked_at)
        since = await doubts.list_known_since(conn, provider.id, first)
        return Listed(listing, asked_at, {order.upstream_id: order for order in known}, since)

    async def _weigh(
        self, conn: Connection, provider: ProviderRecord, found: Sequence[Doubt]
    ) -> Weighed:
        """What the balance says of orders whose cost we know in the account's currency."""
        if provider.currency != self._currency:
            return Weighed("the account is in another currency than our costs")
        first = min((d.started_at for d in found if d.open), default=None)
        if first is None:
            return Weighed("nothing is in doubt any more")
        told = await readings.list_readings(conn, provider.id, first)
        if not told:
            return Weighed("the balance was never read")
        oldest = told[0].asked_at - self._patience
        known = await doubts.list_known_since(conn, provider.id, oldest)
        return weigh(Account(told, known, found, self._quarantine, self._patience))

    async def _all_run(self, adapter: Provider, provider: ProviderRecord) -> bool:
        """Whether no order of ours was paid back without our knowing: each one is asked for.

        Money that came back for one order would hide what was paid for another.
        """
        async with self._pool.acquire() as conn:
            running = await doubts.list_running(conn, provider.id, BATCH + 1)
        if len(running) > BATCH:
            return False
        try:
            told = await adapter.status(running)
        except ProviderError:
            return False
        return all(id_ in told and told[id_].word not in _RETURNED for id_ in running)

    async def write(self, provider: ProviderRecord, verdict: Verdict) -> None:
        """Write a verdict down, unless the order was decided about meanwhile."""
        doubt = verdict.doubt
        async with self._pool.acquire() as conn, transaction(conn):
            [order] = await orders.lock_orders(conn, [doubt.order_id])
            state = await doubts.get_attempt_state(conn, order.id, doubt.attempt)
            same = order.attempts == doubt.attempt and state is AttemptState.UNKNOWN
            if order.state is not OrderState.UNKNOWN or not same:
                return
            finding = verdict.finding
            changes: list[OrderChange] = []
            if finding is Finding.PLACED:
                changes = await _placed(conn, provider, verdict, order)
                finding = finding if changes else Finding.OPEN
            elif finding is Finding.NOT_PLACED:
                absent = AttemptState.NOT_SENT
                await doubts.set_attempt_decided(
                    conn, order.id, doubt.attempt, absent, None, verdict.cause
                )
                kept = await taken_before(conn, order)
                queued = [move(order, OrderState.QUEUED, verdict.cause)]
                changes = queued if kept is None else kept
            elif finding is Finding.REVIEW:
                changes = [move(order, OrderState.REVIEW, verdict.cause, next_in=None)]
            await write_changes(conn, changes)
            await doubts.insert_look(conn, order.id, finding, verdict.evidence)
        report(changes)
        if changes:
            _tell(provider, verdict, order.request_id)


async def _placed(
    conn: Connection, provider: ProviderRecord, verdict: Verdict, order: Order
) -> list[OrderChange]:
    """The order is followed from now on; nothing, where another order of ours has that id."""
    assert verdict.upstream_id is not None
    placement = Placement(provider.id, verdict.upstream_id, order.id)
    if not await attempts.insert_placements(conn, [placement]):
        return []
    await doubts.set_attempt_decided(
        conn,
        order.id,
        verdict.doubt.attempt,
        AttemptState.PLACED,
        verdict.upstream_id,
        verdict.cause,
    )
    return [move(order, OrderState.PLACED, verdict.cause, upstream_id=verdict.upstream_id)]


def _tell(provider: ProviderRecord, verdict: Verdict, request_id: str) -> None:
    RECONCILED.labels(provider.name, verdict.finding).inc()
    facts = {
        "order_id": verdict.doubt.order_id,
        "request_id": request_id,
        "provider": provider.name,
        "cause": verdict.cause,
    }
    if verdict.finding is Finding.REVIEW:
        log.error(
            "order.needs_review",
            **facts,
            hint=f"see `smm-gateway review show {verdict.doubt.order_id}`",
        )
    else:
        log.info("order.reconciled", **facts, upstream_id=verdict.upstream_id)


async def measure_doubts(pool: Pool) -> None:
    """Show how much money is tied up in orders that nobody is sure of."""
    async with pool.acquire() as conn:
        charges = await doubts.count_doubtful_charges(conn)
    for state in (OrderState.UNKNOWN, OrderState.REVIEW):
        DOUBTFUL_CHARGE.labels(state).set(charges.get(state, 0))
