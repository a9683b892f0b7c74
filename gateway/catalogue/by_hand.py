"""Services that people deliver: there is no catalogue to import them from."""

from gateway.errors import UserError
from gateway.store import services
from gateway.store.connection import Pool, transaction
from providers.registry import is_worked_by_hand
from schemas.catalogue import NewService, Service
from schemas.providers import ProviderRecord


async def make_service(pool: Pool, provider: ProviderRecord, new: NewService) -> Service:
    """Sell what a provider that is worked by hand delivers.

    Raises:
        UserError: for any other provider, and for texts that cannot be sold.
    """
    if not is_worked_by_hand(provider.kind):
        raise UserError(
            f"{provider.name} has a catalogue: use `smm-gateway service import {provider.name}`"
        )
    if not (new.name.strip() and new.category.strip()):
        raise UserError("--name and --category must not be empty")
    async with pool.acquire() as conn, transaction(conn):
        [service_id] = await services.insert_services(conn, provider.id, [new])
        made = await services.get_service(conn, service_id)
    assert made is not None
    return made
