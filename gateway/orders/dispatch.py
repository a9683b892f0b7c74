"""Dispatch: claim ▸ commit the attempt ▸ submit ▸ record.

The attempt is durable before the first byte leaves, and no transaction is open while the network
is waited for. ``recording`` writes down what came of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway.catalogue.routing import Standings, is_too_dear
from gateway.catalogue.spending import lock_adds, most_in_flight, spend_adds
from gateway.log import about
from gateway.metrics import ATTEMPTS, PACE_WAITS, upstream_call
from gateway.orders.failover import Forbidden, Outcome, Withheld
from gateway.orders.lifecycle import move
from gateway.orders.recording import Ended, Recorder
from gateway.orders.settling import report, write_changes
from gateway.orders.unclaiming import give_back
from gateway.spool import Spool
from gateway.store import attempts, orders
from gateway.store.connection import CommitInDoubt, Pool, transaction
from providers.base import Provider
from providers.errors import Ambiguous, ProviderError
from schemas.config import DispatchSettings
from schemas.order_parameters import QUANTITY
from schemas.orders import (
    ClaimedOrder,
    OrderState,
)
from schemas.providers import ProviderRecord
from schemas.services import SERVICE_TYPES
from schemas.upstream import Placed, Submission

log = structlog.get_logger()

#: Between the end of a send and the end of its lease there is time to record the answer.
LEASE_MARGIN_MS = 15_000
#: A process that was stopped for so long after its claim does not send any more.
LATE_MS = 5_000
#: Another process is just claiming from the account: it takes what there is.
CLAIMED_ELSEWHERE_SECONDS = 0.02
#: Other processes have as many orders in flight as the account takes.
ALL_IN_FLIGHT_SECONDS = 0.25


def lease_ms(settings: DispatchSettings) -> int:
    """How long a claim lasts: whoever has not recorded an answer by then has lost it."""
    return settings.timeout_ms + LATE_MS + min(LEASE_MARGIN_MS, settings.timeout_ms)


def submission_of(order: ClaimedOrder) -> Submission:
    """The order as an upstream sees it: what its type takes, and nothing else.

    Raises:
        KeyError: for a parameter that the type needs and the order lacks.
    """
    kind = SERVICE_TYPES[order.service_type]
    values: dict[str, str] = {}
    for parameter in kind.parameters:
        name = parameter.name
        if parameter is kind.target:
            values[name] = order.link
        elif parameter is QUANTITY:
            values[name] = str(order.quantity)
        elif parameter.required or name in order.parameters:
            values[name] = order.parameters[name]
    return Submission(order.upstream_service, values)


@dataclass(frozen=True, slots=True)
class Claim:
    """Orders taken for sending, and when, on the monotonic clock.

    ``again`` is the seconds after which more could be taken; None when nothing more waits.
    """

    orders: Sequence[ClaimedOrder]
    at: float
    again: float | None = None


class Sender:
    """Sends the orders of one provider account."""

    def __init__(
        self,
        pool: Pool,
        settings: DispatchSettings,
        clock: Callable[[], float],
        spool: Spool,
        standings: Standings | None = None,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._recorder = Recorder(pool, settings, spool, {} if standings is None else standings)

    async def claim(self, provider: ProviderRecord, limit: int) -> Claim:
        """Take orders and commit their attempts: after this they count as possibly sent.

        At most ``limit``, and what the account's budget leaves over all processes.
        """
        for watched in ("ambiguous", "withheld"):
            ATTEMPTS.labels(provider.name, watched)  # alerts ask how much they grew
        at, lease = self._clock(), lease_ms(self._settings)
        taken: Sequence[ClaimedOrder] = ()
        claimed_at: datetime | None = None
        try:
            async with self._pool.acquire() as conn, transaction(conn, patience=LATE_MS / 1000):
                tokens = await lock_adds(conn, provider)
                if tokens is None:
                    return Claim((), at, CLAIMED_ELSEWHERE_SECONDS)
                if tokens.left < 1:
                    PACE_WAITS.labels(provider.name, "adds").inc()
                    return Claim((), at, tokens.wait)
                free = most_in_flight(provider) - await orders.count_sending(conn, provider.id)
                if free < 1:
                    return Claim((), at, ALL_IN_FLIGHT_SECONDS)
                most = min(limit, tokens.left, free)
                taken = await orders.claim_orders(conn, provider.id, limit=most, lease_ms=lease)
                if taken:
                    claimed_at = await attempts.insert_attempts(conn, provider.id, taken)
                    await spend_adds(conn, provider, len(taken))
        except CommitInDoubt:
            if claimed_at is not None:
                await give_back(self._pool, taken, claimed_at, lease / 1000)
            return Claim((), at)
        return Claim(taken, at, None if len(taken) < most else 0.0)

    async def send(
        self, adapter: Provider, provider: ProviderRecord, order: ClaimedOrder, claimed_at: float
    ) -> Outcome:
        """Submit one claimed order and record what came of it; never raises for the upstream."""
        with about(
            order_id=order.id,
            request_id=order.request_id,
            provider=provider.name,
            attempt=order.attempts,
        ):
            return await self._send(adapter, provider, order, claimed_at)

    async def _send(
        self, adapter: Provider, provider: ProviderRecord, order: ClaimedOrder, claimed_at: float
    ) -> Outcome:
        outcome = await self._submit(adapter, provider, order, claimed_at)
        ATTEMPTS.labels(provider.name, type(outcome).__name__.lower()).inc()
        # An order that was placed is told of once, by its move.
        tell = log.debug if isinstance(outcome, Placed) else log.warning
        tell(
            "attempt.ended",
            outcome=type(outcome).__name__,
            reason=None if isinstance(outcome, Placed) else str(outcome),
        )
        await self._recorder.record(Ended(provider, order, outcome))
        return outcome

    async def _submit(
        self, adapter: Provider, provider: ProviderRecord, order: ClaimedOrder, claimed_at: float
    ) -> Outcome:
        if (self._clock() - claimed_at) * 1000 > LATE_MS:
            # Stopped, swapped out or starved since the claim: the lease may end before an answer.
            return Withheld("too much time has gone since the claim")
        if (withheld := _withheld(provider, order)) is not None:
            return withheld
        try:
            submission = submission_of(order)
        except KeyError as missing:
            log.error(
                "attempt.incomplete",
                order_id=order.id,
                request_id=order.request_id,
                parameter=missing.args[0],
            )
            return Withheld(f"the order lacks {missing.args[0]}, which its type needs")
        try:
            with upstream_call(provider.name, "add", self._clock):
                return await adapter.add(submission)
        except ProviderError as error:
            return error
        except Exception as error:
            # A defect of an adapter proves nothing about the upstream.
            log.exception("attempt.defect", order_id=order.id, request_id=order.request_id)
            return Ambiguous(f"the adapter failed: {type(error).__name__}")


def _withheld(provider: ProviderRecord, order: ClaimedOrder) -> Withheld | None:
    """Why the order may not be sent as the catalogue is now, with a word to the operator."""
    hint = "it goes to another route or waits for a while; see `smm-gateway route list`"
    if order.type_changed:
        # What routes cost now is for something else: no price can be compared.
        event, reason = "order.type_changed", Forbidden.TYPE_CHANGED
        hint = "it waits for a while for the service to be of its type again"
    elif order.part_without_route:
        event, reason = "order.route_off", Forbidden.ROUTE_OFF
    elif _costs_too_much(order):
        event, reason = "order.too_dear", Forbidden.TOO_DEAR
    else:
        return None
    log.error(
        event,
        order_id=order.id,
        request_id=order.request_id,
        provider=provider.name,
        cost=order.route_cost,
        rate=order.rate,
        hint=hint,
    )
    return Withheld(reason, elsewhere=not order.type_changed)


def _costs_too_much(order: ClaimedOrder) -> bool:
    cost = order.route_cost
    return cost is not None and is_too_dear(cost, order.rate, below_cost=order.below_cost)


async def freeze_forgotten(pool: Pool, limit: int = 200) -> int:
    """Make orders ``unknown`` whose lease is over without a recorded answer; returns how many.

    They are never put back into the queue: a lost answer is an accepted order more often than
    not.
    """
    async with pool.acquire() as conn, transaction(conn):
        expired = await orders.lock_expired_sendings(conn, limit)
        changes = [move(order, OrderState.UNKNOWN, "lease_over") for order in expired]
        await attempts.set_attempts_unknown(conn, [o.id for o in expired], "the sender is gone")
        await write_changes(conn, changes)
    report(changes)
    return len(changes)
