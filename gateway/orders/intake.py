"""Intake: takes orders in groups, each group one transaction.

Order, charge and ledger entry are committed together before anyone is answered; nothing upstream
is asked. One bad order of a group is refused alone.
"""

import time
from collections.abc import Callable, Iterable, Sequence

import structlog

from gateway.catalogue.routing import Standings, cost_of, first_route
from gateway.catalogue.snapshot import Catalogue, Snapshot
from gateway.grouping import GroupFailed, Groups
from gateway.metrics import ADDS, GROUP_SECONDS, GROUP_SIZE
from gateway.money.ledger import BalanceLocked, Book
from gateway.orders.drafting import Draft, redraft
from gateway.orders.naming import Names
from gateway.store import orders, versions
from gateway.store.connection import Connection, Pool, transaction
from gateway.store.versions import ORDER_ID_BLOCK
from schemas.orders import NewOrder
from schemas.panel_v2 import INCORRECT_SERVICE, NOT_ENOUGH_FUNDS, PanelError

log = structlog.get_logger()

#: Order ids are leased ahead, so that few groups wait for them; a restart loses the spare ones.
_SPARE_BLOCKS = 4


class Intake:
    """Accepts drafts; after each commit ``wake`` is told the providers that have orders waiting."""

    def __init__(
        self,
        pool: Pool,
        catalogue: Catalogue,
        wake: Callable[[Iterable[int]], None],
        *,
        largest: int,
        standings: Standings | None = None,
    ) -> None:
        self._pool = pool
        self._catalogue = catalogue
        self._wake = wake
        self._standings = {} if standings is None else standings
        self._planned: set[int] = set()
        self._ids: list[int] = []
        self._groups: Groups[Draft, int] = Groups(self._accept, largest=largest)
        self.submit = self._groups.submit
        self.finish = self._groups.finish

    async def _accept(self, drafts: Sequence[Draft]) -> Sequence[int | Exception]:
        began = time.perf_counter()
        try:
            try:
                answers = await self._commit(drafts)
            except BalanceLocked:
                # Somebody holds on to one balance: the other resellers must not wait for that.
                answers = await self._commit(drafts, skip_locked=True)
        except Exception:
            ADDS.labels("error").inc(len(drafts))
            raise
        accepted = [answer for answer in answers if isinstance(answer, int)]
        seconds = time.perf_counter() - began
        GROUP_SIZE.observe(len(drafts))
        GROUP_SECONDS.observe(seconds)
        ADDS.labels("accepted").inc(len(accepted))
        ADDS.labels("refused").inc(len(drafts) - len(accepted))
        log.info(
            "intake.committed",
            ms=round(seconds * 1000, 1),
            order_id=accepted,
            request_id=[d.request_id for d in drafts],
        )
        if accepted:
            planned, self._planned = self._planned, set()
            self._wake(planned)
        return answers

    async def _commit(
        self, drafts: Sequence[Draft], *, skip_locked: bool = False
    ) -> list[int | Exception]:
        """Charge and write a group, at the prices of the catalogue version that is true in it."""
        snapshot = self._catalogue.current
        priced: list[Draft | Exception] = list(drafts)
        async with self._pool.acquire() as conn:
            while True:
                await self._lease_ids(conn, len(drafts))
                async with transaction(conn):
                    resellers = {draft.reseller_id for draft in drafts}
                    book = await Book.open(conn, resellers, skip_locked=skip_locked)
                    names = await Names.open(conn, drafts)
                    answers, accepted = self._decide(priced, book, names)
                    if await orders.insert_orders(conn, accepted, snapshot.version):
                        await book.write(conn)
                        await names.write(conn)
                        self._planned.update(order.provider_id for order in accepted)
                        return answers
                snapshot = await self._catalogue.refresh(conn)
                priced = [_repriced(draft, snapshot) for draft in drafts]

    async def _lease_ids(self, conn: Connection, number: int) -> None:
        """Have at least ``number`` ids at hand, the lowest at the end of the list."""
        if len(self._ids) < number:
            blocks = _SPARE_BLOCKS + number // ORDER_ID_BLOCK
            firsts = await versions.lease_order_ids(conn, blocks)
            leased = [id_ for first in firsts for id_ in range(first, first + ORDER_ID_BLOCK)]
            self._ids[:0] = leased[::-1]

    def _decide(
        self, drafts: Sequence[Draft | Exception], book: Book, names: Names
    ) -> tuple[list[int | Exception], list[NewOrder]]:
        answers: list[int | Exception] = []
        accepted: list[NewOrder] = []
        for draft in drafts:
            if isinstance(draft, Exception):
                answers.append(draft)
                continue
            earlier = names.earlier(draft)
            if earlier is not None:
                answers.append(earlier)
                continue
            if draft.reseller_id not in book:
                answers.append(GroupFailed("the balance is locked"))
                continue
            order_id = self._ids.pop()
            if not book.charge(draft.reseller_id, draft.charge, order_id):
                self._ids.append(order_id)
                answers.append(PanelError(NOT_ENOUGH_FUNDS))
                continue
            accepted.append(_new_order(order_id, draft, self._standings))
            answers.append(order_id)
            names.give(draft, order_id)
        return answers, accepted


def _repriced(draft: Draft, snapshot: Snapshot) -> Draft | Exception:
    service = snapshot.services.get(draft.service.id)
    if service is None:
        return PanelError(INCORRECT_SERVICE)
    try:
        return redraft(draft, service)
    except PanelError as refusal:
        return refusal


def _new_order(order_id: int, draft: Draft, standings: Standings) -> NewOrder:
    service = draft.service
    route = first_route(service, order_id, draft.quantity, service.rate, standings)
    return NewOrder(
        id=order_id,
        reseller_id=draft.reseller_id,
        service_id=service.id,
        service_type=service.type,
        provider_id=route.provider_id,
        upstream_service=route.upstream_service,
        link=draft.link,
        quantity=draft.quantity,
        parameters=draft.parameters,
        rate=service.rate,
        charge=draft.charge,
        currency=draft.currency,
        request_id=draft.request_id,
        cost=cost_of(service, route, draft.quantity),
    )
