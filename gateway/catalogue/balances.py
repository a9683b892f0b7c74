"""What provider accounts hold at their upstreams, as last read."""

from gateway.store import providers
from gateway.store.connection import Pool
from providers.base import Provider
from providers.errors import Unavailable
from schemas.money import BadAmount, micros_from
from schemas.providers import ProviderRecord
from schemas.upstream import UpstreamBalance


async def read_balance(pool: Pool, adapter: Provider, record: ProviderRecord) -> UpstreamBalance:
    """Ask what an account holds and keep it, where every process sees it.

    Raises:
        Rejected, Unavailable: when it cannot be read; what is known stays.
    """
    balance = await adapter.balance()
    try:
        amount = micros_from(balance.amount)
    except BadAmount as error:
        raise Unavailable(str(error)) from None
    async with pool.acquire() as conn:
        await providers.set_provider_balance(conn, record.id, amount)
    return balance
