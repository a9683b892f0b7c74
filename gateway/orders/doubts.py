"""Doubts: groups of orders whose COMMIT got no answer (``reliability`` B4).

A lost answer says nothing: the transaction may have happened, or may happen yet. Reading is no way
to find out, because a transaction that still waits shows nothing. So the same group runs again
under the same order ids. Its first statement waits for the balances that the old transaction holds
until it has ended; after that, which of the ids exist is the truth. The COMMIT of that run waits
for the standby like any other, so what is told then is as safe as any other answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from gateway.grouping import GroupFailed
from gateway.metrics import COMMIT_DOUBTS
from gateway.orders.drafting import Draft
from gateway.orders.receipts import Receipts
from gateway.orders.repeats import clue_of
from gateway.spool import DOUBT, Spool
from gateway.store.connection import Pool
from schemas.orders import NewOrder, OrderMark

log = structlog.get_logger()

Answers = TypeVar("Answers")

#: One turn gets so long until its COMMIT: a lock is waited for 3 s.
_TURN_SECONDS = 5.0
_LONGEST_PAUSE = 0.5


class InDoubt(GroupFailed):
    """Nobody knows in time whether the order exists: the client is told to ask again."""


@dataclass(frozen=True, slots=True)
class Hold:
    """For how many seconds clients are held while it is not known whether their orders exist.

    A third of it is waited for the answer to one COMMIT: a connection that swallows everything
    must leave time to find out on another one.
    """

    seconds: float = 25.0

    def patience(self, until: float | None) -> float:
        """How long the answer to a COMMIT is waited for, now; ``until`` ends the hold."""
        most = self.seconds / 3
        return most if until is None else max(0.05, min(most, until - _now()))


@dataclass(slots=True)
class Group:
    """Drafts that are committed together, and the order ids that they keep over every run.

    ``doubtful`` are the orders that a COMMIT without an answer may have written.
    """

    drafts: Sequence[Draft]
    ids: dict[int, int] = field(default_factory=dict)  # by the draft's place
    doubtful: dict[int, NewOrder] = field(default_factory=dict)  # by order id
    until: float | None = None  # on the loop's clock

    def doubt(self, orders: Iterable[NewOrder], hold: Hold, asked_at: float) -> None:
        """These orders may have been committed; their COMMIT was sent at that time."""
        self.doubtful |= {order.id: order for order in orders}
        if self.until is None:
            self.until = asked_at + hold.seconds

    def turn(self, hold: Hold) -> float:
        """How many seconds a run may take until its COMMIT."""
        if self.until is None:
            return hold.seconds
        return max(0.05, min(_TURN_SECONDS, self.until - _now()))

    def marks(self) -> list[OrderMark]:
        """What the doubtful orders would be asked for again by."""
        clues = ((clue_of(self.drafts[place]).mark, id_) for place, id_ in self.ids.items())
        return [OrderMark(*mark, id_) for mark, id_ in clues if mark and id_ in self.doubtful]

    def record(self) -> dict[str, object]:
        """What is kept of it on disk: enough to find the orders, nothing of what was ordered."""
        drafts = [(id_, self.drafts[place]) for place, id_ in self.ids.items()]
        return {
            "orders": [
                {
                    "id": id_,
                    "reseller_id": draft.reseller_id,
                    "external_id": draft.external_id,
                    "request_id": draft.request_id,
                }
                for id_, draft in drafts
                if id_ in self.doubtful
            ]
        }


async def run_again(
    pool: Pool, group: Group, commit: Callable[[], Awaitable[Answers]]
) -> Answers | None:
    """Run a doubtful group until it is known what became of it; None when time is up."""
    assert group.until is not None
    ids = sorted(group.doubtful)
    log.warning("intake.in_doubt", order_id=ids)
    # What has broken one connection has often broken the others, and they do not know it yet.
    await pool.expire_connections()
    pause = 0.0
    while _now() < group.until:
        await asyncio.sleep(min(pause, max(0.0, group.until - _now())))
        pause = min(_LONGEST_PAUSE, pause * 2 or 0.05)
        try:
            answers = await commit()
        except Exception as error:  # noqa: BLE001 - none says that the orders do not exist
            log.warning("intake.still_in_doubt", order_id=ids, reason=type(error).__name__)
        else:
            COMMIT_DOUBTS.labels("intake", "resolved").inc()
            log.info("intake.out_of_doubt", order_id=ids)
            return answers
    return None


async def give_up(group: Group, receipts: Receipts, spool: Spool) -> None:
    """The time is up: the clients hear that nobody knows, and get these orders when they retry."""
    COMMIT_DOUBTS.labels("intake", "given_up").inc()
    for mark in group.marks():
        receipts.settle(mark, arrived=False)
    log.error(
        "intake.doubt_given_up",
        order_id=sorted(group.doubtful),
        hint="clients were told to ask again; what became of the orders is logged once known",
    )
    if group.doubtful:
        spool.release(await spool.add(DOUBT, group.record()))


def _now() -> float:
    return asyncio.get_running_loop().time()
