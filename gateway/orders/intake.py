"""Intake: takes orders in groups, each group one transaction.

Order, charge and ledger entry are committed together before anyone is answered; nothing upstream
is asked. One bad order of a group is refused alone.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import structlog

from gateway.catalogue.routing import Standings, cost_of, first_route
from gateway.catalogue.snapshot import Catalogue, Snapshot, lock_offers
from gateway.grouping import GroupFailed, Groups, Overloaded
from gateway.metrics import ADDS, GROUP_SECONDS, GROUP_SIZE, count_movements
from gateway.money.ledger import BalanceLocked, Book
from gateway.orders.barrier import Barrier
from gateway.orders.doubts import Group, Hold, InDoubt, give_up, run_again
from gateway.orders.drafting import Draft, Read, draft_repeat, redraft
from gateway.orders.earlier import Accepted, Earlier
from gateway.orders.naming import repeated_order
from gateway.orders.receipts import Receipts
from gateway.orders.repeats import Undecided
from gateway.orders.subscriptions import posts_paid
from gateway.spool import Spool
from gateway.store import orders, services, versions
from gateway.store.connection import CommitInDoubt, Connection, Pool, set_aside, transaction
from gateway.store.versions import ORDER_ID_BLOCK, ORDER_ID_SECONDS
from schemas.orders import NewOrder
from schemas.panel_v2 import INCORRECT_SERVICE, NOT_ENOUGH_FUNDS, ORDERING_PAUSED, PanelError
from schemas.resellers import DuplicatePolicy

log = structlog.get_logger()

#: A twin of an order that is just being answered asks again after so many seconds, doubling. One
#: that meets ever new twins is told to come again: it was not placed.
_TWIN_SECONDS, _LONGEST_TWIN_SECONDS, _MOST_TWIN_TRIES = 0.02, 0.1, 60
#: Order ids are leased ahead, so that few groups wait for them; a restart loses the spare ones.
_SPARE_BLOCKS = 4


@dataclass(frozen=True, slots=True)
class Run:
    """One transaction of a group: its drafts at the prices of a version of the catalogue."""

    group: Group
    priced: Sequence[Draft | Exception]
    version: int
    skip_locked: bool
    anew: bool = False  # at the version that is true in the transaction, whichever that is


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for an order, and in which words; ``read`` gives them."""

    reseller_id: int
    currency: str
    request_id: str
    read: Read


class Intake:
    """Accepts drafts; after each commit ``wake`` is told the providers that have orders waiting."""

    def __init__(  # noqa: PLR0913 - what a transaction needs
        self,
        pool: Pool,
        catalogue: Catalogue,
        wake: Callable[[Iterable[int]], None],
        receipts: Receipts,
        spool: Spool,
        *,
        largest: int,
        longest_wait: float | None = None,
        standings: Standings | None = None,
        hold: Hold = Hold(),  # noqa: B008 - a value that nobody can change
    ) -> None:
        self._pool = pool
        self._spool = spool
        self._hold = hold
        self._barrier = Barrier(pool)
        self._catalogue = catalogue
        self._wake = wake
        self._receipts = receipts
        self._standings = {} if standings is None else standings
        self._planned: set[int] = set()
        #: What the group that runs has written, by order id.
        self._written: dict[int, NewOrder] = {}
        self._ids: list[int] = []
        self._leased_at = 0.0
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
        order = await repeated_order(self._pool, name, service_id, read)
        if order is None:
            return None
        if order.young:
            await self._barrier.pass_through()
        return Accepted(order.id, repeated=True)

    async def find_retried(
        self,
        asked: Asked,
        service_id: int | None,
        refusal: PanelError,
        gone: Callable[[], bool] | None = None,
    ) -> Accepted | None:
        """The order that an ``add`` without a name repeats, which would now be refused.

        Asked for in a group, as any other: whether it is a blind retry is decided there. None when
        it can be none.

        Raises:
            PanelError: the ``refusal``, when it repeats nothing.
            Overloaded, GroupFailed: as ``submit``.
        """
        if service_id is None:
            return None
        async with self._pool.acquire() as conn:
            service = await services.get_service(conn, service_id)
        if service is None:
            return None
        try:
            draft = draft_repeat(
                service,
                asked.read,
                reseller_id=asked.reseller_id,
                currency=asked.currency,
                request_id=asked.request_id,
            )
        except PanelError:
            return None
        retry = replace(draft, duplicates=DuplicatePolicy.SAFE_RETRY, refusal=str(refusal))
        return await self.submit(retry, gone)

    async def _accept(self, drafts: Sequence[Draft]) -> Sequence[Accepted | Exception]:
        began = time.perf_counter()
        self._written = {}
        try:
            answers = await self._answers(Group(drafts))
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
            self._count_charges(accepted)
        return answers

    def _count_charges(self, accepted: Iterable[int]) -> None:
        by_currency: dict[str, list[int]] = {}
        for order_id in accepted:
            if (order := self._written.get(order_id)) is not None:
                by_currency.setdefault(order.currency, []).append(order.charge)
        for currency, charges in by_currency.items():
            count_movements("charge", currency, sum(charges), len(charges))

    async def _answers(self, group: Group) -> Sequence[Accepted | Exception]:
        """Commit a group, and find out whether that happened where its COMMIT is not answered."""
        try:
            try:
                return await self._commit(group)
            except BalanceLocked:
                # Somebody holds on to one balance: the other resellers must not wait for that.
                resellers = sorted({draft.reseller_id for draft in group.drafts})
                log.warning("intake.balance_locked", reseller_id=resellers)
                return await self._commit(group, skip_locked=True)
        except CommitInDoubt:
            answers = await run_again(self._pool, group, lambda: self._commit(group))
        if answers is None:
            await give_up(group, self._receipts, self._spool)
            return [InDoubt("it is not known whether the order was placed")] * len(group.drafts)
        return answers

    async def _commit(
        self, group: Group, *, skip_locked: bool = False
    ) -> list[Accepted | Exception]:
        """Charge and write a group, at the prices of the catalogue version that is true then.

        Where that is not the version that this process knows, the second try reads the group's
        services inside its transaction, and keeps the catalogue from changing until the end.
        """
        run = Run(group, group.drafts, self._catalogue.current.version, skip_locked)
        turn = asyncio.timeout(group.turn(self._hold))
        async with turn as limit, self._pool.acquire() as conn:
            while True:
                try:
                    answers = await self._run(conn, run, limit)
                except asyncio.CancelledError:
                    # It does not answer: to cancel in good order would wait for that too.
                    set_aside(conn)
                    raise
                if answers is not None:
                    return answers
                run = replace(run, anew=True)

    async def _run(
        self, conn: Connection, run: Run, limit: asyncio.Timeout
    ) -> list[Accepted | Exception] | None:
        """One transaction; None when the catalogue has moved on. ``limit`` ends at its COMMIT.

        Raises:
            CommitInDoubt: the group knows then which orders that concerns.
        """
        group, clock = run.group, asyncio.get_running_loop().time
        limit.reschedule(clock() + group.turn(self._hold))
        await self._lease_ids(conn, len(group.drafts))
        received = self._receipts.arrived()
        current, asked_at, accepted = False, 0.0, list[NewOrder]()
        try:
            async with transaction(conn, patience=self._hold.patience(group.until)):
                resellers = {draft.reseller_id for draft in group.drafts}
                book = await Book.open(conn, resellers, skip_locked=run.skip_locked)
                earlier = await Earlier.open(conn, group, self._receipts)
                if run.anew:
                    offers = await lock_offers(conn, (d.service.id for d in group.drafts))
                    priced = [_repriced(draft, offers) for draft in group.drafts]
                    run = replace(run, priced=priced, version=offers.version)
                answers, accepted = self._decide(run, book, earlier)
                if current := await orders.insert_orders(conn, accepted, run.version):
                    await book.write(conn)
                    await earlier.write(conn, received)
                limit.reschedule(None)  # a COMMIT is never cut off
                asked_at = clock()
        except CommitInDoubt:
            group.doubt(accepted if current else (), self._hold, asked_at)
            raise
        if not current:
            return None
        for order in (*group.doubtful.values(), *accepted):
            self._planned.add(order.provider_id)
            self._written[order.id] = order
        self._receipts.forget(received)
        return answers

    async def _lease_ids(self, conn: Connection, number: int) -> None:
        """Have at least ``number`` ids at hand, the lowest at the end of the list."""
        if time.monotonic() - self._leased_at > ORDER_ID_SECONDS:
            self._ids = []
        if len(self._ids) < number:
            self._leased_at = self._leased_at if self._ids else time.monotonic()
            blocks = _SPARE_BLOCKS + number // ORDER_ID_BLOCK
            firsts = await versions.lease_order_ids(conn, blocks)
            leased = [id_ for first in firsts for id_ in range(first, first + ORDER_ID_BLOCK)]
            self._ids[:0] = leased[::-1]

    def _decide(
        self, run: Run, book: Book, earlier: Earlier
    ) -> tuple[list[Accepted | Exception], list[NewOrder]]:
        answers: list[Accepted | Exception] = []
        accepted: list[NewOrder] = []
        group = run.group
        for place, draft in enumerate(run.priced):
            order_id = group.ids.get(place, self._ids[-1])
            if (known := earlier.answer(place)) is not None:
                # Whatever the service costs or takes by now: this order was placed before.
                answers.append(known)
            elif (refusal := group.drafts[place].refusal) is not None:
                answers.append(PanelError(refusal))
            elif isinstance(draft, Exception):
                answers.append(draft)
            elif draft.paused:
                answers.append(PanelError(ORDERING_PAUSED))
            elif draft.reseller_id not in book:
                answers.append(GroupFailed("the balance is locked"))
            elif not book.charge(draft.reseller_id, draft.charge, order_id):
                answers.append(PanelError(NOT_ENOUGH_FUNDS))
            else:
                if place not in group.ids:
                    group.ids[place] = self._ids.pop()
                accepted.append(_new_order(order_id, draft, self._standings))
                answers.append(earlier.accept(place, order_id))
        return answers, accepted


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
