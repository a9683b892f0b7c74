"""Which windows were open when a gateway was killed, from the evidence that it left behind."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self, TypeAlias

import asyncpg

from tests.conftest import eventually
from tests.faults.journal import Add, Outcome
from tests.faults.load import Load
from tests.gateway_process import GatewayProcess

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
#: Microseconds since 1970, as in the sandbox's journals.
Moment: TypeAlias = int


class Window(StrEnum):
    """Where a kill can hurt."""

    GROUP_OPEN = "group open"  # a client has sent an add and got no answer
    INTENT_COMMITTED = "intent committed"  # an attempt is committed, the panel has heard nothing
    BYTES_SENT = "bytes sent"  # the panel has the request, its answer has not left
    ANSWER_NOT_RECORDED = "answer not recorded"  # the answer has left, the attempt says intent


@dataclass(frozen=True, slots=True)
class Kill:
    """What one kill left: adds without an answer, and links of attempts that are still intents."""

    at: Moment
    unanswered: Sequence[Add]
    intents: Sequence[str]


@dataclass(frozen=True, slots=True)
class Heard:
    """When the panel first read each link, and when it accepted it."""

    received: Mapping[str, Moment]
    accepted: Mapping[str, Moment]
    answers_after_us: int

    @classmethod
    def of(
        cls, received: list[dict[str, Any]], accepted: list[dict[str, Any]], answers_after_us: int
    ) -> Self:
        """From the panel's journals."""
        return cls(
            {r["parameters"]["link"]: r["at"] for r in reversed(received)},
            {r["link"]: r["at"] for r in reversed(accepted)},
            answers_after_us,
        )

    def window_of(self, link: str, killed_at: Moment) -> Window:
        """How far the attempt for ``link`` had come when its sender was killed."""
        if link not in self.received:
            return Window.INTENT_COMMITTED
        accepted_at = self.accepted.get(link)
        if accepted_at is None or accepted_at + self.answers_after_us > killed_at:
            return Window.BYTES_SENT
        return Window.ANSWER_NOT_RECORDED


def open_at(kill: Kill, heard: Heard) -> dict[Window, int]:
    """How many adds and attempts each window held at a kill."""
    held = dict.fromkeys(Window, 0)
    held[Window.GROUP_OPEN] = len(kill.unanswered)
    for link in kill.intents:
        held[heard.window_of(link, kill.at)] += 1
    return held


class Killer:
    """Kills a gateway and looks at what is left, over a database connection of its own."""

    def __init__(self, gateway: GatewayProcess, load: Load, conn: Connection) -> None:
        self._gateway = gateway
        self._load = load
        self._conn = conn
        self._seen: set[str] = set()

    async def kill(self) -> Kill:
        """``kill -9``, then the evidence, read when nothing of the gateway moves any more."""
        before = len(self._load.adds)
        on_the_wire = [add for add in self._load.adds if add.outcome is None]
        at = time.time_ns() // 1_000
        await self._gateway.kill()
        await self._load.rest()
        await eventually(self._forgotten)
        await self._assert_claims_are_whole()
        suspects = [*on_the_wire, *self._load.adds[before:]]
        intents = set(await self._intents()) - self._seen
        self._seen |= intents
        return Kill(at, [a for a in suspects if a.outcome is Outcome.UNKNOWN], sorted(intents))

    async def _forgotten(self) -> bool:
        """Whether the server has ended every session of the gateway, with what it was doing."""
        left = await self._conn.fetchval(
            """select count(*) from pg_stat_activity
                where datname = current_database() and application_name = 'smm-gateway'"""
        )
        return bool(left == 0)

    async def _intents(self) -> list[str]:
        rows = await self._conn.fetch(
            """select o.link from attempt a join orders o on o.id = a.order_id
                where a.state = 'intent'"""
        )
        return [row["link"] for row in rows]

    async def _assert_claims_are_whole(self) -> None:
        """At no moment is an order ``sending`` without the attempt and the event that say so."""
        torn = await self._conn.fetch(
            """select o.id, o.state, a.state as attempt, e.to_state as event
                 from orders o
                 left join attempt a on a.order_id = o.id and a.state = 'intent'
                 left join order_event e on e.order_id = o.id and e.version = o.version
                where (o.state = 'sending' or a.state is not null)
                  and (o.state, a.state, e.to_state)
                      is distinct from ('sending', 'intent', 'sending')"""
        )
        assert not torn, f"claimed in halves: {[dict(row) for row in torn]}"
