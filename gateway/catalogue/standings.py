"""How providers stand, as a process knows it from their table and from what its lanes meet."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from gateway.catalogue.routing import Standing
from gateway.catalogue.upstreams import budget_of
from gateway.metrics import PROVIDER_NAMES
from gateway.store import providers, routes
from gateway.store.connection import Pool
from providers.account import BadAccount
from schemas.money import Micros
from schemas.providers import ProviderRecord

#: Counting what waits reads the whole queue: not every second.
_COUNT_SECONDS = 10.0


def is_set_aside(record: ProviderRecord) -> bool:
    """Whether nothing may be sent to an account now: paused, or refused by its upstream."""
    held = record.held_until is not None and record.held_until > datetime.now(UTC)
    return held or record.paused_reason is not None


class ProviderTable:
    """The table of providers as it was last read, and how many orders wait at each.

    ``exchange`` says what one unit of a currency is worth in the house's.
    """

    def __init__(
        self,
        pool: Pool,
        clock: Callable[[], float],
        exchange: Callable[[str], Decimal | None],
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._exchange = exchange
        self._waiting: dict[int, int] = {}
        self._counted_at: float | None = None

    async def read(self) -> list[ProviderRecord]:
        """All accounts as they are now."""
        async with self._pool.acquire() as conn:
            records = await providers.list_providers(conn)
            PROVIDER_NAMES.update((record.id, record.name) for record in records)
            if self._counted_at is None or self._clock() - self._counted_at > _COUNT_SECONDS:
                self._waiting = await routes.count_waiting(conn)
                self._counted_at = self._clock()
        return records

    def standing(
        self,
        record: ProviderRecord,
        adds_per_minute: int,
        *,
        silent: bool = False,
        stuck: bool = False,
    ) -> Standing:
        """How an account stands: ``silent`` does not answer now, ``stuck`` has not for long."""
        away = is_set_aside(record)
        return Standing(
            usable=not away and not silent,
            stuck=away or stuck,
            balance=self._in_house(record),
            waiting=self._waiting.get(record.id, 0),
            adds_per_minute=adds_per_minute,
        )

    def _in_house(self, record: ProviderRecord) -> Micros | None:
        """What an account holds, in the house currency; None where that cannot be said."""
        exchange = self._exchange(record.currency)
        if record.balance is None or exchange is None:
            return None
        return int(record.balance * exchange)


async def follow_standings(table: ProviderTable, standings: dict[int, Standing]) -> None:
    """Keep ``standings`` in a process that sends nothing, and so meets no silence itself."""
    for record in await table.read():
        try:
            adds_per_minute = budget_of(record).adds_per_minute
        except BadAccount:
            standings[record.id] = Standing(usable=False, stuck=True)
        else:
            standings[record.id] = table.standing(record, adds_per_minute)
