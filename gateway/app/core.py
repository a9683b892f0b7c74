"""What both roles of a process share."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.catalogue.routing import Standing
from gateway.config import Settings
from gateway.sealing import MasterKeys
from gateway.spool import Spool
from gateway.store.connection import Pool


class Hints(Protocol):
    """Says whose work is waiting, by the ids of provider accounts, here and to other processes."""

    def orders_waiting(self, provider_ids: Iterable[int]) -> None:
        """Orders are waiting to be sent."""

    def aftercare_waiting(self, provider_ids: Iterable[int]) -> None:
        """Refills or cancellations are waiting."""


@dataclass(frozen=True, slots=True)
class Core:
    """Settings, master keys, database and mark, hints, spool, and what is known of providers."""

    settings: Settings
    keys: MasterKeys
    pool: Pool
    database: str
    hints: Hints
    spool: Spool
    standings: dict[int, Standing] = field(default_factory=dict)
