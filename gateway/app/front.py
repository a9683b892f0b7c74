"""The web role: answers resellers, and needs no upstream for it."""

import socket
import time
from contextlib import AsyncExitStack
from functools import partial

from gateway.app.core import Core
from gateway.app.listening import listen
from gateway.catalogue.snapshot import Catalogue
from gateway.catalogue.standings import ProviderTable, follow_standings
from gateway.config import require_peppers
from gateway.orders.doubts import Hold
from gateway.orders.intake import Intake
from gateway.orders.receipts import Receipts, write_receipts
from gateway.orders.telling import Teller
from gateway.request_metrics import REQUESTS
from gateway.resellers.keys import KeyRing
from gateway.web.add_outcomes import AddOutcomes
from gateway.web.admission import Admission
from gateway.web.aftercare import AftercareApi
from gateway.web.exchange import Exchange
from gateway.web.limits import RateLimits, WrongKeys, calls_bucket, wrong_keys_bucket
from gateway.web.panel_api import PanelApi, public_app
from gateway.workers.loop import Loop

_CATALOGUE_SECONDS = 1.0
_RECEIPT_SECONDS = 0.25
_STANDINGS_SECONDS = 1.0
_OUTCOMES_SECONDS = 10.0


class Front:
    """The public listener, intake behind it, and the loops that both need."""

    def __init__(self, core: Core, redis_url: str, *, keeps_standings: bool) -> None:
        self._core = core
        self._redis_url = redis_url
        self._keeps_standings = keeps_standings
        self._table = ProviderTable(core.pool, time.monotonic, core.settings.exchange_rate)
        self._catalogue = Catalogue()
        self._receipts = Receipts()
        self._outcomes = AddOutcomes(core.pool, REQUESTS)
        self.api_url = ""

    async def start(self, stack: AsyncExitStack, public: socket.socket | None) -> None:
        """Start in order; the stack stops in the opposite order.

        ``public`` is a listening socket to answer on, in place of one of its own.
        """
        await self._refresh_catalogue()
        loops = [
            Loop("catalogue", self._refresh_catalogue),
            Loop("receipts", self._write_receipts),
            Loop("outcomes", self._write_outcomes),
        ]
        if self._keeps_standings:
            loops.append(Loop("standings", self._follow_standings))
        for loop in loops:
            loop.start()
            stack.push_async_callback(loop.stop)
        self._intake = Intake(
            self._core.pool,
            self._catalogue,
            self._core.hints.orders_waiting,
            self._receipts,
            self._core.spool,
            largest=self._core.settings.intake.group_size,
            longest_wait=self._core.settings.intake.longest_wait_ms / 1000,
            standings=self._core.standings,
            hold=Hold(self._core.settings.intake.hold_ms / 1000),
        )
        stack.push_async_callback(write_receipts, self._core.pool, self._receipts)
        stack.push_async_callback(self._intake.finish)
        await self._listen(stack, public)

    async def _listen(self, stack: AsyncExitStack, public: socket.socket | None) -> None:
        pool, settings = self._core.pool, self._core.settings
        http, limits = settings.http, settings.limits
        peppers = require_peppers(settings)
        keys = KeyRing(pool, peppers)
        exchange = Exchange(self._redis_url)
        wrong_keys = exchange.leases(
            partial(wrong_keys_bucket, database=self._core.database, pepper=peppers.current)
        )
        exchange.start()
        stack.push_async_callback(exchange.stop)
        api = PanelApi(
            admission=Admission(keys, WrongKeys(limits, wrong_keys), http.trusted_proxies),
            limits=RateLimits(
                limits, exchange.leases(partial(calls_bucket, database=self._core.database))
            ),
            catalogue=self._catalogue,
            intake=self._intake,
            receipts=self._receipts,
            teller=Teller(pool),
            aftercare=AftercareApi(pool, settings.refills, self._core.hints.aftercare_waiting),
        )
        url = await listen(stack, public_app(api), http, "http.port", public)
        self.api_url = url + "/api/v2"

    async def _refresh_catalogue(self) -> float:
        async with self._core.pool.acquire() as conn:
            await self._catalogue.refresh(conn)
        return _CATALOGUE_SECONDS

    async def _follow_standings(self) -> float:
        await follow_standings(self._table, self._core.standings)
        return _STANDINGS_SECONDS

    async def _write_outcomes(self) -> float:
        await self._outcomes.write()
        return _OUTCOMES_SECONDS

    async def _write_receipts(self) -> float:
        await write_receipts(self._core.pool, self._receipts)
        return _RECEIPT_SECONDS
