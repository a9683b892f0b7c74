"""What trouble is seen by: facts of the whole gateway, each from a small index or a small table."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.store.connection import Connection


@dataclass(frozen=True, slots=True)
class WaitingOrders:
    """So many orders are in one state, and since when the oldest has waited."""

    state: str
    number: int
    oldest: datetime


@dataclass(frozen=True, slots=True)
class ProviderTrouble:
    """What is known of an account that may be in trouble. ``balance`` is in micro-units."""

    name: str
    currency: str
    balance: int | None
    low_balance: str | None
    unanswered_since: datetime | None
    unanswered_reason: str | None
    held_until: datetime | None
    held_reason: str | None
    paused: bool


@dataclass(frozen=True, slots=True)
class AuditState:
    """When the background audit last ran, and how many rows it found broken."""

    ran_at: datetime | None
    broken: int


@dataclass(frozen=True, slots=True)
class BackupState:
    """When the newest backup was made, and the newest one that was proven to restore.

    ``began_at`` is since when there is a database, and ``now`` its time.
    """

    finished_at: datetime | None
    verified_at: datetime | None
    began_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A process by its own word.

    ``quarantined`` counts the files beside its spool, which others of the same ``spool`` count too.
    """

    id: str
    role: str
    host: str
    pid: int
    version: str
    spool_entries: int
    beat_at: datetime
    quarantined: int
    spool: str


@dataclass(frozen=True, slots=True)
class Contradicted:
    """Attempts at one provider that it took although they were decided otherwise.

    ``newest_at`` is when the last of them was seen.
    """

    provider: str
    number: int
    orders: list[int]
    newest_at: datetime


async def list_stuck_orders(conn: Connection) -> list[WaitingOrders]:
    """Orders that should have moved long ago, by state.

    The limits are those of the audit's warnings. What is not placed is late by the time at which it
    was ordered: an order that is sent again and again moves all the time, and gets nowhere. So is
    one that a person has just sent back into the queue, for the moment until it is sent. An order
    that is followed is late when its next look is overdue, however long its provider takes.
    """
    rows = await conn.fetch(
        """select * from (
               select 'scheduled', count(*), min(next_at) from orders
                where state = 'scheduled' and next_at < now() - interval '10 minutes'
               union all
               select 'queued', count(*), min(created_at) from orders
                where state = 'queued' and created_at < now() - interval '10 minutes'
               union all
               select 'sending', count(*), min(created_at) from orders
                where state = 'sending' and (created_at < now() - interval '10 minutes'
                                             or updated_at < now() - interval '3 minutes')
               union all
               select 'placed', count(*), min(next_at) from orders
                where state in ('placed', 'in_progress')
                  and next_at < now() - interval '15 minutes') as found(state, number, oldest)
            where number > 0"""
    )
    return [WaitingOrders(*row) for row in rows]


async def list_orders_for_people(conn: Connection) -> list[WaitingOrders]:
    """Orders that wait for a person's decision."""
    rows = await conn.fetch(
        """select 'review', count(*), min(updated_at) from orders where state = 'review'
           having count(*) > 0"""
    )
    return [WaitingOrders(*row) for row in rows]


async def list_provider_trouble(conn: Connection) -> list[ProviderTrouble]:
    """How all accounts stand."""
    rows = await conn.fetch(
        """select name, currency, balance, options ->> 'low_balance', unanswered_since,
                  unanswered_reason, held_until, held_reason, paused_reason is not null
             from provider order by id"""
    )
    return [ProviderTrouble(*row) for row in rows]


async def get_audit_state(conn: Connection) -> AuditState:
    """What the background audit said last."""
    row = await conn.fetchrow("select ran_at, broken from audit_watch")
    assert row is not None
    return AuditState(*row)


async def list_contradicted(conn: Connection, within: timedelta) -> list[Contradicted]:
    """What was contradicted lately, by provider; of the orders the newest ten."""
    rows = await conn.fetch(
        """select p.name, count(*), (array_agg(c.order_id order by c.at desc))[:10], max(c.at)
             from contradiction c join provider p on p.id = c.provider_id
            where c.at > now() - $1::interval group by p.name order by p.name""",
        within,
    )
    return [Contradicted(*row) for row in rows]


async def insert_contradiction(
    conn: Connection, order_id: int, attempt: int, provider_id: int, upstream_id: str
) -> None:
    """An upstream took an attempt that was decided otherwise. A repetition adds nothing.

    Its time is that of the clock, not of the transaction, which may have waited for long: what is
    new is known by being later than what operators were told.
    """
    await conn.execute(
        """insert into contradiction (order_id, attempt, provider_id, upstream_id, at)
           values ($1, $2, $3, $4, clock_timestamp()) on conflict do nothing""",
        order_id,
        attempt,
        provider_id,
        upstream_id,
    )
