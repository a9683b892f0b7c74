"""Replaying the spool: the database is told what it could not be told, and asked what is true."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import structlog

from gateway.metrics import DOUBTFUL_ORDERS
from gateway.money.ledger import BalanceLocked, Book
from gateway.orders.recording import Ended, Recorder
from gateway.orders.spooling import read_outcome
from gateway.spool import DOUBT, OUTCOME, Entry, Spool
from gateway.store import orders, providers
from gateway.store.connection import TRANSIENT, Pool, transaction

log = structlog.get_logger()

_PAUSE_SECONDS = 5.0
_MAY_PASS: tuple[type[Exception], ...] = (*TRANSIENT, BalanceLocked)


Settle: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[None]]


class Replays:
    """Goes through the spool of this process and of those that have ended."""

    def __init__(self, pool: Pool, spool: Spool, recorder: Recorder) -> None:
        self._pool = pool
        self._spool = spool
        self._recorder = recorder

    async def work(self) -> float:
        """Settle what can be settled now; seconds until the next time."""
        await self._spool.adopt()
        duties: Mapping[str, Settle] = {
            OUTCOME: self._record,
            DOUBT: self._resolve,
        }
        for kind, settle in duties.items():
            for entry in self._spool.entries(kind):
                if not await self._settled(entry, settle):
                    return _PAUSE_SECONDS
        return _PAUSE_SECONDS

    async def _settled(self, entry: Entry, settle: Settle) -> bool:
        """Whether the database was there; an entry that makes no sense is told and forgotten."""
        try:
            await settle(entry.record)
        except _MAY_PASS as error:
            log.warning("spool.delayed", kind=entry.kind, reason=type(error).__name__)
            return False
        except Exception:
            log.exception("spool.failed", kind=entry.kind, record=dict(entry.record))
        await self._spool.settle(entry)
        return True

    async def _record(self, record: Mapping[str, Any]) -> None:
        """Write down an outcome; what was decided meanwhile by proof or by a person stands."""
        provider_id, order, outcome = read_outcome(record)
        async with self._pool.acquire() as conn, transaction(conn):
            accounts = {account.id: account for account in await providers.list_providers(conn)}
            kept = await orders.lock_orders(conn, [order.id])
        if [o.request_id for o in kept] != [order.request_id]:
            # A database that was restored to an earlier moment gives the same ids again.
            log.error("spool.foreign", order_id=order.id, record=dict(record))
            return
        ended = Ended(accounts[provider_id], order, outcome)
        if await self._recorder.write([ended]):
            log.info("spool.recorded", order_id=order.id, outcome=type(outcome).__name__)

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
