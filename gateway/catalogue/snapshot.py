"""The catalogue as one process knows it: one version, its prices, and answers ready-made."""

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.catalogue.listing import Listing
from gateway.catalogue.pricing import PriceRules, offered, sale_of
from gateway.store import prices, services, versions
from gateway.store.connection import Connection, transaction
from schemas.catalogue import PriceRule, Service

#: Ready answers of all resellers together, per process.
_MOST_BYTES = 64_000_000
#: Services read at once, so that a large catalogue does not hold up everything else.
_PAGE = 200


@dataclass(frozen=True, slots=True)
class Terms:
    """What sets resellers apart: the rules that name them, and what only some may see.

    Resellers with equal terms share their answers.
    """

    rules: frozenset[tuple[object, ...]] = frozenset()
    audience: frozenset[int] = frozenset()


_GENERAL = Terms()


class Snapshot:
    """What is sold at one version of the catalogue, and to whom at which price."""

    def __init__(
        self,
        version: int,
        rows: Iterable[Service],
        rules: Iterable[PriceRule],
        audiences: Mapping[int, frozenset[int]],
    ) -> None:
        self.version = version
        self._rules = PriceRules(rules)
        self._audiences = audiences
        self._terms = _terms_of(self._rules.all, audiences)
        rows = [service for service in rows if service.enabled]
        self._rows = {service.id: service for service in rows}
        self._listing = Listing(rows)
        #: What resellers without terms of their own are offered.
        self.services: dict[int, Service] = {}
        for service in self._listing.services:
            if service.id not in audiences and (sold := offered(service, self._rules)):
                self.services[service.id] = sold

    def terms(self, reseller_id: int) -> Terms:
        """The reseller's terms."""
        return self._terms.get(reseller_id, _GENERAL)

    def service(self, service_id: int, reseller_id: int) -> Service | None:
        """A service as it is sold to a reseller, at its rate; None when it is not for it."""
        if reseller_id not in self._terms:
            return self.services.get(service_id)
        service = self._rows.get(service_id)
        if service is None or not self._is_visible(service_id, reseller_id):
            return None
        return offered(service, self._rules, reseller_id)

    def _is_visible(self, service_id: int, reseller_id: int) -> bool:
        audience = self._audiences.get(service_id)
        return audience is None or reseller_id in audience

    def answer(self, reseller_id: int | None, *, text_ids: bool) -> bytes:
        """What ``services`` returns to a reseller; None stands for those without own terms.

        It takes long, and belongs into a thread.
        """
        if reseller_id is None or reseller_id not in self._terms:
            rates = [(s.id, s.rate) for s in self.services.values()]
        else:
            rates = [
                (s.id, sale[0])
                for s in self._listing.services
                if self._is_visible(s.id, reseller_id)
                and (sale := sale_of(s, self._rules, reseller_id))
            ]
        return self._listing.answer(rates, text_ids=text_ids)


def _terms_of(
    rules: Iterable[PriceRule], audiences: Mapping[int, frozenset[int]]
) -> dict[int, Terms]:
    named: dict[int, set[tuple[object, ...]]] = defaultdict(set)
    seen: dict[int, set[int]] = defaultdict(set)
    for rule in rules:
        if rule.reseller_id is not None:
            named[rule.reseller_id].add((*rule.scope[1:], rule.markup, rule.step))
    for service_id, resellers in audiences.items():
        for reseller_id in resellers:
            seen[reseller_id].add(service_id)
    return {
        reseller_id: Terms(frozenset(named[reseller_id]), frozenset(seen[reseller_id]))
        for reseller_id in {*named, *seen}
    }


async def lock_offers(conn: Connection, service_ids: Iterable[int]) -> Snapshot:
    """These services alone, as they are sold now and until the caller's transaction ends.

    Whoever changes the catalogue waits for that, so the transaction must be a short one.
    """
    version = await versions.lock_catalogue_version(conn)
    wanted = sorted(set(service_ids))
    return Snapshot(
        version,
        await services.list_chosen_services(conn, wanted),
        await prices.list_price_rules(conn),
        await prices.list_audiences(conn, wanted),
    )


class Catalogue:
    """The newest snapshot that this process has seen, and the answers made from it.

    It may be older than the database; whoever sells by it compares versions in the transaction
    that charges, and prices anew (``lock_offers``) when they differ.
    """

    def __init__(self) -> None:
        self.current = Snapshot(0, [], [], {})
        self._reading = asyncio.Lock()
        self._ready: OrderedDict[tuple[Terms, bool], bytes] = OrderedDict()
        self._making: dict[tuple[Terms, bool], asyncio.Task[bytes]] = {}

    async def refresh(self, conn: Connection) -> Snapshot:
        """Read the catalogue again, if its version has changed."""
        if await versions.get_catalogue_version(conn) == self.current.version:
            return self.current
        async with self._reading:
            if await versions.get_catalogue_version(conn) != self.current.version:
                await self._read(conn)
        return self.current

    async def _read(self, conn: Connection) -> None:
        async with transaction(conn, isolation="repeatable read"):
            version = await versions.get_catalogue_version(conn)
            rules = await prices.list_price_rules(conn)
            audiences = await prices.list_audiences(conn)
            rows: list[Service] = []
            while page := await services.list_services(
                conn, after=rows[-1].id if rows else 0, limit=_PAGE
            ):
                rows += page
        # In a thread, because pricing and writing out thousands of services takes long.
        snapshot = await asyncio.to_thread(Snapshot, version, rows, rules, audiences)
        general = await asyncio.to_thread(snapshot.answer, None, text_ids=False)
        self.current = snapshot
        self._ready.clear()
        self._making.clear()
        self._ready[_GENERAL, False] = general

    async def answer(self, reseller_id: int, *, text_ids: bool = False) -> bytes:
        """What ``services`` returns to a reseller; with ``text_ids`` its ids are strings."""
        wanted = self.current.terms(reseller_id), text_ids
        ready = self._ready.get(wanted)
        if ready is not None:
            self._ready.move_to_end(wanted)
            return ready
        making = self._making.get(wanted)
        if making is None:
            making = asyncio.create_task(self._make(wanted, reseller_id))
            self._making[wanted] = making
        # Others wait for the same: one of them going away must not end it.
        return await asyncio.shield(making)

    async def _make(self, wanted: tuple[Terms, bool], reseller_id: int) -> bytes:
        snapshot = self.current
        try:
            made = await asyncio.to_thread(snapshot.answer, reseller_id, text_ids=wanted[1])
        finally:
            if snapshot is self.current:
                self._making.pop(wanted, None)
        if snapshot is self.current:
            self._ready[wanted] = made
            while sum(map(len, self._ready.values())) > _MOST_BYTES and len(self._ready) > 1:
                self._ready.popitem(last=False)
        return made
