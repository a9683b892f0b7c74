"""Replaying the spool: the database is told what it could not be told, and asked what is true."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import structlog

from gateway.metrics import DOUBTFUL_ORDERS, SPOOL_QUARANTINED
from gateway.money.ledger import BalanceLocked, Book
from gateway.orders.recording import Ended, Recorder
from gateway.orders.spooling import read_outcome
from gateway.quarantine import Quarantined, list_quarantined
from gateway.spool import DOUBT, OUTCOME, Entry, Spool
from gateway.store import attempts, orders, providers
from gateway.store.connection import TRANSIENT, Pool, transaction
from schemas.upstream import Placed

log = structlog.get_logger()

_PAUSE_SECONDS = 5.0
_MAY_PASS: tuple[type[Exception], ...] = (*TRANSIENT, BalanceLocked)


Settle: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]


class Foreign(Exception):
    """An upstream took an attempt that this database does not know: it was restored since."""


class Replays:
    """Goes through the spool of this process and of those that have ended.

    What a defect keeps from being told goes into the quarantine, and is tried once more by every
    process that starts: the version that mends the defect tells it.
    """

    def __init__(self, pool: Pool, spool: Spool, recorder: Recorder) -> None:
        self._pool = pool
        self._spool = spool
        self._recorder = recorder
        self._duties: Mapping[str, Settle] = {OUTCOME: self._record, DOUBT: self._resolve}
        self._again: list[Quarantined] | None = None  # of what was there at the start

    async def work(self) -> float:
        """Settle what can be settled now; seconds until the next time."""
        await self._spool.adopt()
        if await self._retried():
            await self._replayed()
        kept = await asyncio.to_thread(list_quarantined, self._spool.quarantine)
        SPOOL_QUARANTINED.set(len(kept))
        return _PAUSE_SECONDS

    async def _replayed(self) -> bool:
        for kind in self._duties:
            for entry in self._spool.entries(kind):
                if not await self._settled(entry):
                    return False
        return True

    async def _settled(self, entry: Entry) -> bool:
        """Whether the database was there."""
        try:
            await self._duties[entry.kind](entry.record)
        except _MAY_PASS as error:
            log.warning("spool.delayed", kind=entry.kind, reason=type(error).__name__)
            return False
        except Exception as error:
            log.exception("spool.failed", kind=entry.kind, record=dict(entry.record))
            await self._spool.set_aside(entry, _reason(error))
        else:
            await self._spool.settle(entry)
        return True

    async def _retried(self) -> bool:
        """Whether the database was there for what earlier processes have set aside.

        Others may try the same at the same time: what is told twice is decided once.
        """
        if self._again is None:
            self._again = await asyncio.to_thread(list_quarantined, self._spool.quarantine)
        while self._again:
            kept = self._again[-1]
            try:
                await self._duties[kept.kind](kept.record)
            except _MAY_PASS as error:
                log.warning("spool.delayed", kind=kept.kind, reason=type(error).__name__)
                return False
            except Exception as error:
                log.exception("quarantine.stays", path=str(kept.path), reason=_reason(error))
            else:
                kept.path.unlink(missing_ok=True)
                log.info("quarantine.left", path=str(kept.path))
            self._again.pop()
        return True

    async def _record(self, record: Mapping[str, Any]) -> None:
        """Write down an outcome; what was decided meanwhile by proof or by a person stands."""
        provider_id, order, outcome = read_outcome(record)
        async with self._pool.acquire() as conn, transaction(conn):
            accounts = {account.id: account for account in await providers.list_providers(conn)}
            kept = await orders.lock_orders(conn, [order.id])
            began = await attempts.get_start(conn, order.id, order.attempts)
        # A database that was restored to an earlier moment gives the same ids and numbers again.
        known = [o.request_id for o in kept] == [order.request_id]
        if known:
            ended = Ended(accounts[provider_id], order, outcome)
            if await self._recorder.write([ended]):
                log.info("spool.recorded", order_id=order.id, outcome=type(outcome).__name__)
        if not known or order.started_at not in (None, began):
            log.error("spool.foreign", order_id=order.id, record=dict(record))
            if isinstance(outcome, Placed):
                raise Foreign("an attempt from before a restore: see what the panel runs")

    async def _resolve(self, record: Mapping[str, Any]) -> None:
        """Find out what became of orders whose COMMIT got no answer, and of whom it was told."""
        doubtful = record["orders"]
        async with self._pool.acquire() as conn, transaction(conn):
            # Waits for the end of the transaction in doubt, and makes this COMMIT the barrier.
            await Book.open(conn, {order["reseller_id"] for order in doubtful})
            placed = await orders.list_placed_orders(conn, [order["id"] for order in doubtful])
        for order in doubtful:
            became = "placed" if order["id"] in placed else "not_placed"
            DOUBTFUL_ORDERS.labels(became).inc()
            log.warning(
                "intake.doubt_resolved",
                order_id=order["id"],
                request_id=order["request_id"],
                reseller_id=order["reseller_id"],
                external_id=order["external_id"],
                became=became,
            )


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, Foreign) else type(error).__name__
