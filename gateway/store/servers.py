"""What a backup needs to know of a server, and what a restored database is told."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from gateway.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Server:
    """A server as one of its roles sees it, by its clock; ``owner`` is whose our tables are."""

    major: int
    database: str
    role: str
    owner: str
    may_copy: bool
    now: datetime


async def get_server(conn: Connection) -> Server:
    """The server of a connection."""
    row = await conn.fetchrow(
        """select current_setting('server_version_num')::int / 10000 as major,
                  current_database() as database, current_user as role,
                  coalesce((select pg_get_userbyid(relowner) from pg_class
                             where oid = to_regclass('orders')), current_user) as owner,
                  rolsuper or rolreplication as may_copy, clock_timestamp() as now
             from pg_roles where rolname = current_user"""
    )
    assert row is not None
    return Server(**row)


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """What decides whether a server may hold money; ``settings`` as this session has them."""

    version: str
    version_number: int
    role: str
    superuser: bool
    owns: bool
    settings: dict[str, str]
    now: datetime


async def get_server_health(conn: Connection, settings: Collection[str]) -> ServerHealth:
    """The server of a connection, with these settings of it."""
    row = await conn.fetchrow(
        """select current_setting('server_version') as version,
                  current_setting('server_version_num')::int as version_number,
                  rolname as role, rolsuper as superuser,
                  coalesce((select pg_has_role(relowner, 'member') from pg_class
                             where oid = to_regclass('entry')), false) as owns,
                  (select json_object_agg(name, setting) from pg_settings
                    where name = any($1)) as settings,
                  clock_timestamp() as now
             from pg_roles where rolname = current_user""",
        list(settings),
    )
    assert row is not None
    return ServerHealth(**(dict(row) | {"settings": json.loads(row["settings"])}))


async def get_last_order_id(conn: Connection) -> int:
    """The first id of the block of order ids that was handed out last."""
    return int(await conn.fetchval("select last_value from order_id"))


async def set_next_ids(conn: Connection, order_ids: int, refill_ids: int, service_ids: int) -> int:
    """Pass over so many ids that clients may have been told; returns the next order id."""
    row = await conn.fetchrow(
        """select setval('order_id', nextval('order_id') + $1::int / 64 * 64) as order_id,
                  setval(pg_get_serial_sequence('refill', 'id'),
                         nextval(pg_get_serial_sequence('refill', 'id')) + $2),
                  setval(pg_get_serial_sequence('service', 'id'),
                         nextval(pg_get_serial_sequence('service', 'id')) + $3)""",
        order_ids,
        refill_ids,
        service_ids,
    )
    assert row is not None
    return int(row["order_id"])


async def set_all_providers_paused(conn: Connection, reason: str) -> list[str]:
    """Send nothing to any account; returns the names of those that were not paused already."""
    rows = await conn.fetch(
        """update provider set paused_reason = $1
            where paused_reason is null returning name""",
        reason,
    )
    return sorted(row["name"] for row in rows)


async def count_waiting_orders(conn: Connection) -> int:
    """Orders that would be sent, or whose sending was under way."""
    return int(
        await conn.fetchval("select count(*) from orders where state in ('queued', 'sending')")
    )


async def get_connection_limit(conn: Connection) -> int:
    """How many connections the role that we are may have, to this database and in all."""
    return int(
        await conn.fetchval(
            """select least(
                   current_setting('max_connections')::int
                   - current_setting('superuser_reserved_connections')::int
                   - coalesce(current_setting('reserved_connections', true)::int, 0),
                   nullif(r.rolconnlimit, -1), nullif(d.datconnlimit, -1))
                 from pg_roles r, pg_database d
                where r.rolname = current_user and d.datname = current_database()"""
        )
    )
