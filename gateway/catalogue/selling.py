"""What operators say of a service: its name, limits and price, and whom it is for."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from gateway.errors import UserError
from gateway.operators.acting import record
from gateway.store import prices
from gateway.store import services as store
from gateway.store.connection import Connection, Pool, transaction
from schemas.catalogue import Service, ServiceChange
from schemas.money import format_amount
from schemas.operators import Subject, Warrant, differences

#: What a log has of a service otherwise, or that no operator changes.
_NOT_LOGGED = frozenset({"id", "type", "routes", "rate", "follows"})


async def find_service(conn: Connection, service_id: int) -> Service:
    """The service with that id.

    Raises:
        UserError: when there is none.
    """
    service = await store.get_service(conn, service_id)
    if service is None:
        raise UserError(f"there is no service {service_id}: see `smm-gateway service list`")
    return service


async def change_service(
    pool: Pool,
    service_id: int,
    decide: Callable[[Service], ServiceChange],
    warrant: Warrant,
    *,
    audience: Sequence[int] | None = None,
) -> Service:
    """Change a service as ``decide`` says of it as it stands; returns it as it is then.

    ``audience`` are the ids of the resellers whom it is for, empty for everybody; None leaves that.

    Raises:
        AlreadyDone: when the same request has changed it before.
        UserError: when there is no such service, or nothing to change.
    """
    async with pool.acquire() as conn, transaction(conn):
        service = await find_service(conn, service_id)
        change = decide(service)
        changes = any(getattr(change, f.name) is not f.default for f in fields(change))
        if not changes and audience is None:
            raise UserError("nothing to change: see `smm-gateway service set --help`")
        before = await _fields(conn, service)
        if changes:
            await store.set_service(conn, service_id, change)
        if audience is not None:
            await prices.set_audience(conn, service_id, audience)
        changed = await find_service(conn, service_id)
        was, now = differences(before, await _fields(conn, changed))
        if now:
            subject = Subject("service", str(service_id))
            await record(conn, warrant.act("service.changed", subject, before=was, after=now))
    return changed


async def _fields(conn: Connection, service: Service) -> dict[str, Any]:
    named = {f.name: getattr(service, f.name) for f in fields(service) if f.name not in _NOT_LOGGED}
    audience = (await prices.list_audiences(conn, [service.id])).get(service.id, frozenset())
    rate = None if service.follows else format_amount(service.rate)
    return {**named, "rate": rate, "visible_to": sorted(audience)}
