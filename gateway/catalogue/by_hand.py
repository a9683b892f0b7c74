"""Services that people deliver: there is no catalogue to import them from."""

from dataclasses import replace

from gateway.catalogue.importing import LONGEST_NAME
from gateway.errors import UserError
from gateway.operators.acting import record
from gateway.store import services
from gateway.store.connection import Pool, transaction
from providers.decoding import clean
from providers.registry import is_worked_by_hand
from schemas.catalogue import NewService, Service
from schemas.money import format_amount
from schemas.operators import Subject, Warrant
from schemas.providers import ProviderRecord


def words(text: str, flag: str) -> str:
    """A text for one line, as it is sold; ``flag`` is what it was given with.

    Raises:
        UserError: when nothing is left of it, or it is too long.
    """
    cleaned = clean(text, LONGEST_NAME + 1)
    if not cleaned:
        raise UserError(f"{flag} must not be empty")
    if len(cleaned) > LONGEST_NAME:
        raise UserError(f"{flag} is too long: at most {LONGEST_NAME} characters")
    return cleaned


async def make_service(
    pool: Pool, provider: ProviderRecord, new: NewService, warrant: Warrant
) -> Service:
    """Sell what a provider that is worked by hand delivers.

    Raises:
        UserError: for any other provider, for texts that cannot be sold, and for what the provider
            delivers already.
    """
    if not is_worked_by_hand(provider.kind):
        raise UserError(
            f"{provider.name} has a catalogue: use `smm-gateway service import {provider.name}`"
        )
    new = replace(
        new,
        name=words(new.name, "--name"),
        upstream_service=words(new.upstream_service, "--upstream-service"),
        category=words(new.category, "--category"),
    )
    async with pool.acquire() as conn, transaction(conn):
        ours = await services.lock_routes(conn, provider.id)
        if new.upstream_service in ours:
            raise UserError(
                f"{provider.name} delivers {new.upstream_service} already, as service "
                f"{ours[new.upstream_service]}: choose another --upstream-service"
            )
        [service_id] = await services.insert_services(conn, provider.id, [new])
        made = await services.get_service(conn, service_id)
        price = format_amount(new.rate) if new.rate is not None else None
        after = {"name": new.name, "provider": provider.name, "rate": price}
        subject = Subject("service", str(service_id))
        await record(conn, warrant.act("service.added", subject, after=after))
    assert made is not None
    return made
