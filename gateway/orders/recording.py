"""Recording: writes down what became of attempts, in groups, each group one transaction.

Answers that come while a transaction is in flight share the next one. What an answer means for its
order is one pure function, ``failover.after_attempt``.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, TypeVar

import structlog

from gateway.catalogue.routing import Standings
from gateway.grouping import GroupFailed, Groups, Overloaded
from gateway.money.ledger import BalanceLocked
from gateway.orders.contradicting import contradict, taken_before
from gateway.orders.failover import (
    Forbidden,
    Outcome,
    Ways,
    Withheld,
    after_attempt,
    forbidden,
)
from gateway.orders.lifecycle import move
from gateway.orders.settling import report, write_changes
from gateway.orders.spooling import SentOrder, spooled_outcome
from gateway.spool import OUTCOME, Spool
from gateway.store import attempts, orders, providers, routes, services
from gateway.store.connection import TRANSIENT, Connection, Pool, transaction
from providers.errors import Rejected, Unavailable
from schemas.config import DispatchSettings
from schemas.orders import (
    AttemptResult,
    AttemptState,
    Order,
    OrderChange,
    OrderState,
    Placement,
)
from schemas.providers import ProviderRecord
from schemas.upstream import Placed, RefusalGroup

log = structlog.get_logger()

Move = TypeVar("Move")

_LARGEST_GROUP = 100
_TRIES = 60
#: A database that does not answer for so long is away.
_TURN_SECONDS = 10.0
#: An outcome that cannot be written down now can be later. A proof must not be thrown away because
#: somebody holds a balance for long.
_MAY_PASS: tuple[type[Exception], ...] = (*TRANSIENT, BalanceLocked)


class Ended(NamedTuple):
    """An attempt that is over, as its sender knows it."""

    provider: ProviderRecord
    order: SentOrder
    outcome: Outcome


class Recorder:
    """Writes down the outcomes of one process's attempts."""

    def __init__(
        self, pool: Pool, settings: DispatchSettings, spool: Spool, standings: Standings
    ) -> None:
        self._pool = pool
        self._spool = spool
        self._settings = settings
        self._standings = standings
        self._groups: Groups[Ended, None] = Groups(self._write_group, largest=_LARGEST_GROUP)

    async def record(self, ended: Ended) -> None:
        """Write an outcome down, trying for a while when the database is away.

        Meanwhile it is in the spool, and stays there when that fails too: the lease ends and the
        order becomes ``unknown``, until the spool is gone through. What a defect keeps from being
        written is set aside on disk.
        """
        try:
            await self._groups.submit(ended)
        except (GroupFailed, Overloaded):
            await self._record_alone(ended)

    async def _write_group(self, group: Sequence[Ended]) -> Sequence[Exception | None]:
        """One try for all; one that spoils it for the others is found when each is alone."""
        try:
            await self.write(group)
        except _MAY_PASS as error:
            return [GroupFailed(type(error).__name__)] * len(group)
        return [None] * len(group)

    async def _record_alone(self, ended: Ended) -> None:
        order = ended.order
        entry = await self._spool.add(OUTCOME, spooled_outcome(*ended))
        for tried in range(_TRIES):
            try:
                await self.write([ended])
                break
            except _MAY_PASS as error:
                log.warning(
                    "attempt.record_delayed",
                    order_id=order.id,
                    request_id=order.request_id,
                    reason=type(error).__name__,
                )
                await asyncio.sleep(min(2**tried / 10, 5))
            except Exception as error:
                log.exception(
                    "attempt.not_recorded", order_id=order.id, request_id=order.request_id
                )
                await self._spool.set_aside(entry, type(error).__name__)
                return
        else:
            log.error("attempt.not_recorded", order_id=order.id, request_id=order.request_id)
            self._spool.release(entry)
            return
        await self._spool.settle(entry)

    async def write(self, group: Sequence[Ended]) -> set[int]:
        """Record attempts and move their orders, all in one transaction; the orders' ids.

        Those of which something else was decided meanwhile are left out; where the upstream took
        one of them all the same, a person is told.
        """
        results = [attempt_result(ended.order, ended.outcome) for ended in group]
        async with (
            asyncio.timeout(_TURN_SECONDS) as limit,
            self._pool.acquire() as conn,
            transaction(conn, patience=_TURN_SECONDS),
        ):
            locked = {
                o.id: o for o in await orders.lock_orders(conn, [r.order_id for r in results])
            }
            # What is missing was decided otherwise meanwhile.
            recorded = await attempts.set_attempt_results(conn, results)
            news = [ended for ended in group if ended.order.id in recorded]
            taken = await self._place(conn, news)
            moves = [
                await self._moves(conn, locked[ended.order.id], ended.outcome, taken)
                for ended in news
            ]
            moves += await self._contradicted(conn, group, recorded, locked)
            for together in in_rounds(moves):
                await write_changes(conn, together)
            await self._judge_accounts(conn, news)
            limit.reschedule(None)  # a COMMIT is never cut off
        report([change for changes in moves for change in changes])
        _report_given_up(news, moves)
        return recorded

    async def _contradicted(
        self,
        conn: Connection,
        group: Sequence[Ended],
        recorded: set[int],
        locked: Mapping[int, Order],
    ) -> list[Sequence[OrderChange]]:
        return [
            await contradict(
                conn,
                ended.provider,
                locked[ended.order.id],
                ended.order.attempts,
                ended.outcome.upstream_id,
            )
            for ended in group
            if ended.order.id in locked.keys() - recorded and isinstance(ended.outcome, Placed)
        ]

    async def _place(self, conn: Connection, news: Sequence[Ended]) -> set[int]:
        """Claim the upstream orders; the ids of our orders that have theirs."""
        placements = [
            Placement(ended.provider.id, ended.outcome.upstream_id, ended.order.id)
            for ended in news
            if isinstance(ended.outcome, Placed)
        ]
        return await attempts.insert_placements(conn, placements) if placements else set()

    async def _moves(
        self, conn: Connection, order: Order, outcome: Outcome, taken: set[int]
    ) -> Sequence[OrderChange]:
        if isinstance(outcome, Placed) and order.id not in taken:
            return [move(order, OrderState.REVIEW, "upstream_id_reused")]
        if not isinstance(outcome, Placed):
            kept = await taken_before(conn, order)
            if kept is not None:
                return kept
        return after_attempt(order, outcome, self._settings, await self._ways(conn, order, outcome))

    async def _ways(self, conn: Connection, order: Order, outcome: Outcome) -> Ways:
        """Where the order could go instead; what it has tried includes the attempt just ended."""
        if not isinstance(outcome, Rejected | Unavailable):
            return Ways()
        return Ways(
            service=await services.get_service(conn, order.service_id),
            tried=await routes.list_tried(conn, order.id),
            standings=self._standings,
            was_in_doubt=await routes.get_doubt(conn, order.id, order.version),
            forbidden_for=await attempts.get_withheld_for(conn, order.id, list(Forbidden))
            if forbidden(outcome)
            else timedelta(0),
        )

    async def _judge_accounts(self, conn: Connection, news: Sequence[Ended]) -> None:
        """Judge every account by its last answer, in the order of ids: no ring of locks."""
        last = {
            ended.provider.id: ended
            for ended in news
            if isinstance(ended.outcome, Placed | Rejected)
        }
        for _, ended in sorted(last.items()):
            await self._judge_account(conn, ended.provider, ended.outcome)

    async def _judge_account(
        self, conn: Connection, provider: ProviderRecord, outcome: Outcome
    ) -> None:
        """Set an account without funds or with a bad key aside; free one that works again."""
        if isinstance(outcome, Rejected) and outcome.group is RefusalGroup.ACCOUNT:
            doubled = self._settings.hold_ms * 2 ** min(provider.holds, 20)
            pause = timedelta(milliseconds=min(doubled, self._settings.retry_last_ms))
            reason = storable(str(outcome))
            if await providers.set_provider_held(conn, provider.id, reason, pause):
                log.error(
                    "provider.held",
                    provider=provider.name,
                    reason=reason,
                    seconds=pause.total_seconds(),
                    hint="top up the account or correct its key; orders wait meanwhile",
                )
        elif provider.holds:
            await providers.set_provider_free(conn, provider.id)


def _report_given_up(news: Sequence[Ended], moves: Sequence[Sequence[OrderChange]]) -> None:
    for ended, changes in zip(news, moves, strict=False):
        if changes and forbidden(ended.outcome) and changes[-1].state is OrderState.FAILED:
            log.error(
                "order.undeliverable",
                order_id=ended.order.id,
                request_id=ended.order.request_id,
                provider=ended.provider.name,
                cause=changes[-1].cause,
                refund=changes[-1].refund,
                hint="its reseller has the money back; see `smm-gateway route list`",
            )


def in_rounds(moves: Sequence[Sequence[Move]]) -> list[list[Move]]:
    """The moves of several orders, each order's one after the other, in as few rounds as possible.

    All last moves are in the last round, because only they carry refunds: balances are locked once,
    in one order.
    """
    longest = max(map(len, moves), default=0)
    return [
        [changes[len(changes) - back] for changes in moves if len(changes) >= back]
        for back in range(longest, 0, -1)
    ]


def storable(text: str) -> str:
    """An upstream's text without what a database cannot keep: NUL, and halves of characters."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def attempt_result(order: SentOrder, outcome: Outcome) -> AttemptResult:
    """The evidence of an attempt, as it is kept."""
    states: Mapping[type, AttemptState] = {
        Placed: AttemptState.PLACED,
        Rejected: AttemptState.REJECTED,
        Unavailable: AttemptState.NOT_SENT,
        Withheld: AttemptState.NOT_SENT,
    }
    exchange = outcome.exchange
    return AttemptResult(
        order_id=order.id,
        number=order.attempts,
        started_at=order.started_at,
        state=states.get(type(outcome), AttemptState.UNKNOWN),
        upstream_id=outcome.upstream_id if isinstance(outcome, Placed) else None,
        reason=None if isinstance(outcome, Placed) else storable(str(outcome)),
        http_status=exchange.status if exchange else None,
        body=storable(exchange.body) if exchange else None,
        elapsed_ms=exchange.elapsed_ms if exchange else None,
        refusal=outcome.group if isinstance(outcome, Rejected) else None,
    )
