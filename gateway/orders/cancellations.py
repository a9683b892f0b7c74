"""Cancellations: at once where nothing was sent, otherwise stored and asked of the upstream."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from gateway.catalogue.spending import spend_further_reads, spend_read
from gateway.metrics import CANCELS, COMMIT_DOUBTS, upstream_call
from gateway.operators.acting import record
from gateway.orders.cancelling import (
    CancelOutcome,
    Step,
    after_cancel_call,
    after_wait,
    canceled,
    step_of,
)
from gateway.orders.dispatch import lease_ms
from gateway.orders.recording import storable
from gateway.orders.schedules import stop_parents
from gateway.orders.settling import report, write_changes
from gateway.orders.tracking import Polled
from gateway.store import cancellations as store
from gateway.store import orders, refills, schedules
from gateway.store.connection import CommitInDoubt, Connection, Pool, transaction
from providers.base import Provider
from providers.errors import ProviderError
from providers.transport import metered
from schemas import panel_v2 as wire
from schemas.aftercare import CancelChange, CancelState, ClaimedCancel, Terms
from schemas.config import DispatchSettings
from schemas.money import format_amount
from schemas.operators import Subject, Warrant
from schemas.orders import Order, OrderChange
from schemas.panel_v2 import PanelError
from schemas.providers import ProviderRecord

log = structlog.get_logger()

_IS_THERE = (CancelState.REQUESTED, CancelState.TAKEN)
_BY_OPERATOR, _BY_RESELLER = "canceled_by_operator", "canceled_by_reseller"


@dataclass(frozen=True, slots=True)
class CancelRequests:
    """What requests did, by order id; ``refused`` are wire texts.

    ``provider_ids`` are the accounts that have something to do now.
    """

    steps: dict[int, Step]
    refused: dict[int, str]
    provider_ids: frozenset[int]


async def request_cancels(
    pool: Pool, asker: int | Warrant, order_ids: Sequence[int]
) -> CancelRequests:
    """Cancel the orders that were not sent, and store the request for those that may run upstream.
    Drip-feeds make no further runs.

    The lock on an order's row is the one that a claim takes: an order is either claimed or
    canceled. ``asker`` is a reseller's id, or an operator's warrant.

    When the COMMIT gets no answer, the same is done again: the locks are held until the first one
    has ended, and what it has done shows in the requests that are there.
    """
    doubtful: dict[int, Step] = {}
    try:
        requests, changes = await _request(pool, asker, order_ids, doubtful)
    except CommitInDoubt:
        COMMIT_DOUBTS.labels("cancel", "again").inc()
        requests, changes = await _request(pool, asker, order_ids, doubtful)
    report(changes)
    for order_id, step in requests.steps.items():
        CANCELS.labels(step).inc()
        log.info("cancel.requested", order_id=order_id, step=step)
    return requests


async def _request(
    pool: Pool, asker: int | Warrant, order_ids: Sequence[int], doubtful: dict[int, Step]
) -> tuple[CancelRequests, Sequence[OrderChange]]:
    """One try; ``doubtful`` is what the one before may have done, then what this one has."""
    warrant = asker if isinstance(asker, Warrant) else None
    reseller_id = None if isinstance(asker, Warrant) else asker
    operator = warrant is not None
    async with pool.acquire() as conn, transaction(conn):
        asked = await _lock_with_runs(conn, order_ids, reseller_id)
        terms = await refills.list_terms(conn, [order.id for order in asked])
        before = {i: s for i, s in doubtful.items() if terms[i].cancel_state in _IS_THERE}
        locked = [order for order in asked if order.id not in before]
        steps, refused = _judged(
            [id_ for id_ in order_ids if id_ not in before], locked, terms, by_operator=operator
        )
        changes = [
            canceled(o, _BY_OPERATOR if operator else _BY_RESELLER)
            for o in locked
            if steps.get(o.id) is Step.AT_ONCE
        ]
        done = [change.order.id for change in changes]
        await write_changes(conn, changes)
        stored = [o for o in locked if steps.get(o.id) is Step.STORED]
        parents = [o for o in locked if steps.get(o.id) is Step.STOPPED]
        if parents:
            stops = await stop_parents(conn, parents)
            sent, why_not = await _runs_to_ask(conn, stops.sent, by_operator=operator)
            changes += stops.changes
            done += [parent.id for parent in parents if parent.id in stops.parents]
            stored += [run for run in sent if run.id not in steps]
            concerned = stops.parents | {run.parent_id for run in sent}
            for parent in (p for p in parents if p.id not in concerned):
                # All its runs are made, and the last one cannot be canceled.
                del steps[parent.id]
                refused[parent.id] = why_not.get(parent.id, wire.CANCEL_UNAVAILABLE)
        await store.insert_cancellations(conn, done, CancelState.TAKEN)
        await store.insert_cancellations(conn, [o.id for o in stored], CancelState.REQUESTED)
        if warrant is not None:
            await _log(conn, warrant, [o for o in locked if o.id in steps], steps)
        doubtful |= steps
    accounts = frozenset(
        order.provider_id for order in (*stored, *(o for o in asked if o.id in before))
    )
    return CancelRequests(before | steps, refused, accounts), changes


async def _log(
    conn: Connection, warrant: Warrant, found: Sequence[Order], steps: Mapping[int, Step]
) -> None:
    for order, one in zip(found, warrant.parts(len(found)), strict=True):
        before, after = {"state": order.state}, {"cancel": str(steps[order.id])}
        if steps[order.id] is Step.AT_ONCE:
            after["refund"] = format_amount(order.charge - order.refunded)
        subject = Subject("order", str(order.id))
        await record(conn, one.act("order.canceled", subject, before=before, after=after))


async def _lock_with_runs(
    conn: Connection, order_ids: Sequence[int], reseller_id: int | None
) -> list[Order]:
    """Lock the orders, and the open runs of those that are drip-feeds; returns the former.

    All at once, in the order of their ids and before any balance, so that no two wait in a ring.
    """
    runs = [run.order_id for run in await schedules.list_runs(conn, order_ids) if run.open]
    asked = set(order_ids)
    locked = await orders.lock_own_orders(conn, [*asked.union(runs)], reseller_id)
    return [order for order in locked if order.id in asked]


def _judged(
    order_ids: Sequence[int],
    locked: Sequence[Order],
    terms: Mapping[int, Terms],
    *,
    by_operator: bool,
) -> tuple[dict[int, Step], dict[int, str]]:
    """What the requests do, and the texts of those that are refused."""
    steps: dict[int, Step] = {}
    refused = dict.fromkeys(order_ids, wire.INCORRECT_ORDER)
    for order in locked:
        try:
            steps[order.id] = step_of(order, terms[order.id], by_operator=by_operator)
            del refused[order.id]
        except PanelError as refusal:
            refused[order.id] = str(refusal)
    return steps, refused


async def _runs_to_ask(
    conn: Connection, runs: Sequence[Order], *, by_operator: bool
) -> tuple[list[Order], dict[int | None, str]]:
    """The runs whose upstream may be asked to cancel them, and why not, by parent, the others."""
    terms = await refills.list_terms(conn, [run.id for run in runs])
    found: list[Order] = []
    refused: dict[int | None, str] = {}
    for run in runs:
        try:
            step_of(run, terms[run.id], by_operator=by_operator)
            found.append(run)
        except PanelError as refusal:
            refused[run.parent_id] = str(refusal)
    return found, refused


async def settle_stored_cancels(pool: Pool, limit: int = 200) -> int:
    """Close stored requests whose order was not sent after all, or has ended; returns how many.

    The former are canceled here, instead of being sent again: a claim passes over them.
    """
    async with pool.acquire() as conn, transaction(conn):
        order_ids = await store.list_settleable_cancels(conn, limit)
        locked = await orders.lock_orders(conn, order_ids) if order_ids else []
        fates = [(order, fate) for order in locked if (fate := after_wait(order))]
        unsent = [order for order, fate in fates if fate is CancelState.TAKEN]
        changes = [canceled(order, "cancel_requested") for order in unsent]
        await write_changes(conn, changes)
        for fate in (CancelState.TAKEN, CancelState.OVER):
            of_fate = [order.id for order, its in fates if its is fate]
            if of_fate:
                await store.set_cancellations_closed(conn, of_fate, fate)
    report(changes)
    for _, fate in fates:
        CANCELS.labels(fate).inc()
    return len(fates)


class Canceller:
    """Asks one provider account to cancel what its resellers want canceled."""

    def __init__(self, pool: Pool, settings: DispatchSettings, clock: Callable[[], float]) -> None:
        self._pool = pool
        self._settings = settings
        self._clock = clock

    async def ask(self, adapter: Provider, provider: ProviderRecord, limit: int) -> Polled:
        """Ask for the requests that are due, up to ``limit``, and record the answers.

        Raises:
            OverBudget: when some are due, and the account may not be asked now.
        """
        async with self._pool.acquire() as conn, transaction(conn):
            due = await store.claim_cancellations(
                conn, provider.id, limit=limit, lease_ms=lease_ms(self._settings)
            )
            if due:
                await spend_read(conn, provider)
        if not due:
            return Polled(0, answered=True)
        with metered() as meter:
            outcomes = await self._call(adapter, provider, due)
        await spend_further_reads(self._pool, provider, meter.requests)
        changes = [
            _storable(after_cancel_call(claim, outcomes.get(claim.upstream_id), self._settings))
            for claim in due
        ]
        await self._record(changes)
        answered = not any(isinstance(o, ProviderError) for o in outcomes.values())
        return Polled(len(due), answered=answered, requests=meter.requests)

    async def _call(
        self, adapter: Provider, provider: ProviderRecord, due: Sequence[ClaimedCancel]
    ) -> dict[str, CancelOutcome]:
        ids = [claim.upstream_id for claim in due]
        try:
            with upstream_call(provider.name, "cancel", self._clock):
                return dict(await adapter.cancel(ids))
        except ProviderError as error:
            log.warning("cancel.failed", provider=provider.name, reason=str(error), orders=len(ids))
            return dict.fromkeys(ids, error)

    async def _record(self, changes: Sequence[CancelChange]) -> None:
        taken = [c.order_id for c in changes if c.state is CancelState.TAKEN]
        async with self._pool.acquire() as conn, transaction(conn):
            if taken:
                # What became of them, only tracking may say.
                await orders.set_orders_due(conn, taken)
            written = set(await store.set_cancellations(conn, changes))
        for change in changes:
            if change.order_id in written and change.state is not CancelState.REQUESTED:
                CANCELS.labels(change.state).inc()
                log.info(
                    "cancel.answered",
                    order_id=change.order_id,
                    state=change.state,
                    reason=change.reason,
                )


def _storable(change: CancelChange) -> CancelChange:
    return replace(change, reason=storable(change.reason)) if change.reason else change
