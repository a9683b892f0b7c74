"""The catalogue as one process knows it: one version, its services, and the answer ready-made."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.store import services, versions
from gateway.store.connection import Connection, transaction
from schemas.catalogue import Service
from schemas.money import format_amount
from schemas.panel_v2 import encode


def services_answer(rows: Iterable[Service]) -> bytes:
    """The answer to ``services``: what is enabled, keys and types as the reference has them."""
    return encode(
        [
            {
                "service": row.id,
                "name": row.name,
                "type": row.type,
                "category": row.category,
                "rate": format_amount(row.rate),
                "min": str(row.minimum),
                "max": str(row.maximum),
                "dripfeed": row.dripfeed,
                "refill": row.refill,
                "cancel": row.cancel,
            }
            for row in rows
        ]
    )


def is_for_sale(service: Service) -> bool:
    """Whether the service is on, and somebody is there to deliver it."""
    return service.enabled and any(route.enabled for route in service.routes)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is sold at one version of the catalogue. ``answer`` is what ``services`` returns."""

    version: int
    services: dict[int, Service]
    answer: bytes


class Catalogue:
    """The newest snapshot that this process has seen.

    It may be older than the database; whoever sells by it compares versions in the transaction
    that charges, and refreshes.
    """

    def __init__(self) -> None:
        self.current = Snapshot(0, {}, b"[]")

    async def refresh(self, conn: Connection) -> Snapshot:
        """Read the catalogue again, if its version has changed."""
        if await versions.get_catalogue_version(conn) == self.current.version:
            return self.current
        async with transaction(conn, isolation="repeatable read"):
            version = await versions.get_catalogue_version(conn)
            rows = [s for s in await services.list_services(conn) if is_for_sale(s)]
        self.current = Snapshot(version, {s.id: s for s in rows}, services_answer(rows))
        return self.current
