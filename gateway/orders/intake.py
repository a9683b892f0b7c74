"""Intake: takes orders in groups, each group one transaction.

Order, charge and ledger entry are committed together before anyone is answered; nothing upstream
is asked. One bad order of a group is refused alone.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

import structlog

from gateway.catalogue.routing import Standings, cost_of, first_route
from gateway.catalogue.snapshot import Catalogue, Snapshot
from gateway.grouping import GroupFailed, Groups, Overloaded
from gateway.metrics import ADDS, GROUP_SECONDS, GROUP_SIZE
from gateway.money.ledger import BalanceLocked, Book
from gateway.orders.drafting import Draft, redraft
from gateway.orders.naming import Names, Read, repeated_order
from gateway.orders.receipts import Receipts
from gateway.orders.repeats import Clue, Repeats, Undecided, clue_of
from gateway.orders.subscriptions import posts_paid
from gateway.store import orders, versions
from gateway.store.connection import Connection, Pool, transaction
from gateway.store.versions import ORDER_ID_BLOCK
from schemas.orders import NewOrder, OrderMark
from schemas.panel_v2 import INCORRECT_SERVICE, NOT_ENOUGH_FUNDS, PanelError

log = structlog.get_logger()

#: A twin of an order that is just being answered asks again after so many seconds, doubling. One
#: that meets ever new twins is told to come again: it was not placed.
_TWIN_SECONDS, _LONGEST_TWIN_SECONDS, _MOST_TWIN_TRIES = 0.02, 0.1, 60
#: Order ids are leased ahead, so that few groups wait for them; a restart loses the spare ones.
_SPARE_BLOCKS = 4


@dataclass(frozen=True, slots=True)
class Accepted:
    """The order that a draft became, or the one that it repeats.

    ``mark`` is set where it matters whether the answer arrives: settle it in the receipts.
    """

    order_id: int
    repeated: bool = False
    mark: OrderMark | None = None


class Intake:
    """Accepts drafts; after each commit ``wake`` is told the providers that have orders waiting."""

    def __init__(
        self,
        pool: Pool,
        catalogue: Catalogue,
        wake: Callable[[Iterable[int]], None],
        receipts: Receipts,
        *,
        largest: int,
        longest_wait: float | None = None,
        standings: Standings | None = None,
    ) -> None:
        self._pool = pool
        self._catalogue = catalogue
        self._wake = wake
        self._receipts = receipts
        self._standings = {} if standings is None else standings
        self._planned: set[int] = set()
        self._ids: list[int] = []
        self._groups: Groups[Draft, Accepted] = Groups(
            self._accept,
            largest=largest,
            owner_of=attrgetter("reseller_id"),
            longest_wait=longest_wait,
        )
        self.finish = self._groups.finish

    async def submit(self, draft: Draft, gone: Callable[[], bool] | None = None) -> Accepted:
        """Put an order into the next group, and return once it is committed.

        Nothing is done for it when, as its group begins, ``gone`` says that its client has left.

        Raises:
            PanelError: with the text that the client gets.
            Overloaded, GroupFailed: as ``Groups`` says.
        """
        for tried in range(_MOST_TWIN_TRIES):
            try:
                return await self._groups.submit(draft, gone)
            except Undecided:
                await asyncio.sleep(min(_TWIN_SECONDS * 2**tried, _LONGEST_TWIN_SECONDS))
        raise Overloaded

    async def find_repeated(
        self, name: tuple[int, str], service_id: int | None, read: Read
    ) -> Accepted | None:
        """The order that was placed under a name, for an ``add`` that would now be refused.

        Raises:
            PanelError: as ``naming.repeated_order``.
        """
        order_id = await repeated_order(self._pool, name, service_id, read)
        return None if order_id is None else Accepted(order_id, repeated=True)

    async def _accept(self, drafts: Sequence[Draft]) -> Sequence[Accepted | Exception]:
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
        found = [answer for answer in answers if isinstance(answer, Accepted)]
        self._receipts.expect(answer.mark for answer in found if answer.mark is not None)
        accepted = [answer.order_id for answer in found if not answer.repeated]
        seconds = time.perf_counter() - began
        GROUP_SIZE.observe(len(drafts))
        GROUP_SECONDS.observe(seconds)
        ADDS.labels("accepted").inc(len(accepted))
        ADDS.labels("repeated").inc(len(found) - len(accepted))
        # Twins that are told to wait come again, and are counted then.
        ADDS.labels("refused").inc(sum(isinstance(answer, PanelError) for answer in answers))
        ADDS.labels("error").inc(sum(isinstance(answer, GroupFailed) for answer in answers))
        if accepted:
            log.info(
                "intake.committed",
                ms=round(seconds * 1000, 1),
                order_id=accepted,
                request_id=[d.request_id for d in drafts],
            )
            planned, self._planned = self._planned, set()
            self._wake(planned)
        return answers

    async def _commit(
        self, drafts: Sequence[Draft], *, skip_locked: bool = False
    ) -> list[Accepted | Exception]:
        """Charge and write a group, at the prices of the catalogue version that is true in it."""
        snapshot = self._catalogue.current
        priced: list[Draft | Exception] = list(drafts)
        clues = [clue_of(draft) for draft in drafts]
        received = self._receipts.arrived()
        async with self._pool.acquire() as conn:
            while True:
                await self._lease_ids(conn, len(drafts))
                async with transaction(conn):
                    resellers = {draft.reseller_id for draft in drafts}
                    book = await Book.open(conn, resellers, skip_locked=skip_locked)
                    names = await Names.open(conn, drafts)
                    repeats = await Repeats.open(conn, clues, self._receipts)
                    answers, accepted = self._decide(drafts, priced, clues, book, names, repeats)
                    if current := await orders.insert_orders(conn, accepted, snapshot.version):
                        await book.write(conn)
                        await names.write(conn)
                        await repeats.write(conn, received)
                if current:
                    self._planned.update(order.provider_id for order in accepted)
                    self._receipts.forget(received)
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
        self,
        drafts: Sequence[Draft],
        priced: Sequence[Draft | Exception],
        clues: Sequence[Clue],
        book: Book,
        names: Names,
        repeats: Repeats,
    ) -> tuple[list[Accepted | Exception], list[NewOrder]]:
        answers: list[Accepted | Exception] = []
        accepted: list[NewOrder] = []
        for asked, draft, clue in zip(drafts, priced, clues, strict=True):
            if (earlier := _earlier(asked, clue, names, repeats)) is not None:
                # Whatever the service costs or takes by now: this order was placed before.
                answers.append(earlier)
            elif isinstance(draft, Exception):
                answers.append(draft)
            elif draft.reseller_id not in book:
                answers.append(GroupFailed("the balance is locked"))
            elif not book.charge(draft.reseller_id, draft.charge, self._ids[-1]):
                answers.append(PanelError(NOT_ENOUGH_FUNDS))
            else:
                order_id = self._ids.pop()
                accepted.append(_new_order(order_id, draft, self._standings))
                names.give(draft, order_id)
                answers.append(Accepted(order_id, mark=repeats.accept(clue, order_id)))
        return answers, accepted


def _earlier(
    draft: Draft, clue: Clue, names: Names, repeats: Repeats
) -> Accepted | Exception | None:
    """The order that the draft asks for again, or why it is not taken."""
    found = names.earlier(draft)
    if isinstance(found, int):
        return Accepted(found, repeated=True)
    if found is not None:
        return found
    twin = repeats.earlier(clue)
    return (
        Accepted(twin.order_id, repeated=True, mark=twin) if isinstance(twin, OrderMark) else twin
    )


def _repriced(draft: Draft, snapshot: Snapshot) -> Draft | Exception:
    service = snapshot.service(draft.service.id, draft.reseller_id)
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
        runs=draft.runs or posts_paid(draft),
        interval_minutes=draft.interval,
        below_cost=service.below_cost,
    )
