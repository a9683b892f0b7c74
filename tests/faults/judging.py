"""Brings together what a run left: its clients' logs, the database, the panel, all output."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import aiohttp
import asyncpg

from providers.sandbox.journal import read_records
from providers.sandbox.server import ACCEPTED, EVENTS
from schemas.money import Micros
from tests.conftest import eventually
from tests.faults.arena import Arena
from tests.faults.client import Client
from tests.faults.evidence import AskedRefill, Evidence, Kept, Snapshot, Statement
from tests.faults.journal import BalanceRead, Journal, Outcome
from tests.world import Customer

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_MOST_IDS = 100


async def reckon(arena: Arena) -> None:
    """Every reseller asks for all its orders and for its balance, until nothing moves any more."""
    for customer in arena.customers.values():
        async with Client(arena.urls, 0, customer, arena.journal) as client:

            async def settled(client: Client = client, customer: Customer = customer) -> bool:
                before = await client.balance()
                told = await _tell_all(client, arena.journal, customer.id)
                after = await client.balance()
                return told and _same(before, after)

            await eventually(settled, seconds=60, every=0.2)


def _same(before: BalanceRead | None, after: BalanceRead | None) -> bool:
    return before is not None and after is not None and before.amount == after.amount


async def _tell_all(client: Client, journal: Journal, reseller_id: int) -> bool:
    ids = sorted(
        {
            add.order_id
            for add in journal.adds
            if add.reseller_id == reseller_id
            and add.outcome is Outcome.OK
            and add.order_id is not None
        }
    )
    answered = [
        await client.statuses(ids[start : start + _MOST_IDS])
        for start in range(0, len(ids), _MOST_IDS)
    ]
    return all(answered)


async def gather(arena: Arena) -> Evidence:
    """The evidence of a run that has come to rest."""
    last = await arena.inspector.look()
    orders = {row["link"]: row["status"] for row in await arena.panel.control("orders")}
    async with arena.engines.superuser(arena.database) as conn:
        return await evidence_of(
            conn,
            arena.journal,
            arena.folder / "panel",
            arena.funds,
            snapshots=[*arena.inspector.snapshots, last],
            upstream=orders,
            alone=arena.alone,
            leaks=list(leaks(arena.secrets(), await _printed(arena))),
        )


async def evidence_of(
    conn: Connection,
    journal: Journal,
    panel: Path,
    funds: Mapping[int, Micros],
    *,
    snapshots: Sequence[Snapshot] = (),
    upstream: Mapping[str, str] | None = None,
    alone: frozenset[int] = frozenset(),
    leaks: Sequence[str] = (),
) -> Evidence:
    """Evidence from a database, a journal and a panel's folder."""
    rows = await conn.fetch(
        """select o.id, o.reseller_id, o.link, o.quantity, o.state, o.upstream_id, o.rate,
                  o.charge, o.refunded,
                  array(select e.amount from entry e
                         where e.order_id = o.id and e.cause = 'charge') as charges
             from orders o"""
    )
    refills = await conn.fetch("select id, order_id, state from refill")
    refilled = Counter(
        str(event["order"]) for event in read_records(panel / EVENTS) if event["event"] == "refill"
    )
    return Evidence(
        adds=journal.adds,
        orders=[Kept(**{**row, "charges": tuple(row["charges"])}) for row in rows],
        accepted=[(str(r["order"]), r["link"]) for r in read_records(panel / ACCEPTED)],
        statements={id_: await _statement(conn, id_, given) for id_, given in funds.items()},
        sights=journal.sights,
        balances=journal.balances,
        requests=journal.requests,
        snapshots=snapshots,
        upstream=upstream,
        refills=[AskedRefill(*row) for row in refills],
        refilled=refilled,
        alone=alone,
        leaks=leaks,
    )


async def _statement(conn: Connection, reseller_id: int, funds: Micros) -> Statement:
    entries = await conn.fetch(
        """select case when destination = 'reseller' then amount else -amount end, balance_after
             from entry where reseller_id = $1 order by position""",
        reseller_id,
    )
    balance = await conn.fetchval("select amount from balance where reseller_id = $1", reseller_id)
    return Statement(funds, balance, tuple(map(tuple, entries)))


async def _printed(arena: Arena) -> dict[str, str]:
    """Everything that was printed or told to monitoring, by where."""
    found = {path.name: path.read_text(errors="replace") for path in arena.folder.glob("*.log")}
    for path in arena.engines.home.glob("*.log"):
        found[path.name] = path.read_text(errors="replace")
    found["what clients were told"] = "\n".join(
        [add.said for add in arena.journal.adds] + [r.said for r in arena.journal.requests]
    )
    async with aiohttp.ClientSession() as session:
        for gateway in arena.gateways:
            async with session.get(f"{gateway.internal_url}/metrics") as answer:
                found[f"the metrics of the process {gateway.role}"] = await answer.text()
    return found


def leaks(secrets: Mapping[str, str], printed: Mapping[str, str]) -> Iterable[str]:
    """Each secret that is somewhere in what was printed."""
    for what, secret in secrets.items():
        for where, text in printed.items():
            if secret in text:
                yield f"{what}, in {where}"


async def fates(conn: Connection) -> dict[str, int]:
    """How the run's orders went: how many were in doubt, and how many of those got out of it."""
    row = await conn.fetchrow(
        """select (select count(*) from attempt where state <> 'not_sent') as sends,
                  (select count(distinct order_id) from order_event where to_state = 'unknown')
                      as doubted,
                  (select count(*) from orders where state in ('unknown', 'review')) as left_open,
                  (select count(*) from refill) as refills,
                  (select count(*) from cancellation) as cancels"""
    )
    assert row is not None
    return dict(row)
