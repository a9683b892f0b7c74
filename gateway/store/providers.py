"""Provider accounts, and whether they are set aside."""

import json
from datetime import timedelta

from gateway.store.connection import Connection, Record
from schemas.money import Micros
from schemas.providers import ProviderRecord
from schemas.secrets import Sealed

_SELECT = """select p.id, p.name, p.kind, p.url, p.currency, p.options, p.held_until,
                    p.held_reason, p.holds, p.paused_reason, p.balance, p.balance_at, p.alias,
                    array(select (s.name, s.key_id, s.sealed, s.version) from secret s
                           where s.owner = 'provider' and s.owner_id = p.id) as secrets
               from provider p"""


def _read(row: Record) -> ProviderRecord:
    values = dict(row)
    values["options"] = json.loads(values["options"])
    values["secrets"] = {name: Sealed(*sealed) for name, *sealed in values["secrets"]}
    return ProviderRecord(**values)


async def insert_provider(
    conn: Connection, name: str, kind: str, url: str, currency: str, options: str
) -> int:
    """A new upstream account with its budget, ``options`` as JSON; returns its id."""
    return int(
        await conn.fetchval(
            """with made as (
                   insert into provider (name, kind, url, currency, options)
                   values ($1, $2, $3, $4, $5) returning id),
               budgeted as (
                   insert into budget (provider_id, calls)
                   select id, calls from made cross join unnest(array['adds', 'reads']) as calls)
               select id from made""",
            name,
            kind,
            url,
            currency,
            options,
        )
    )


async def set_provider_address(conn: Connection, provider_id: int, url: str) -> None:
    """Point an account at another address of the same panel."""
    await conn.execute("update provider set url = $2 where id = $1", provider_id, url)


async def lock_provider(conn: Connection, name: str) -> ProviderRecord | None:
    """The account of that name, which nobody else changes until the transaction ends."""
    row = await conn.fetchrow(f"{_SELECT} where p.name = $1 for update of p", name)
    return _read(row) if row else None


async def set_provider_options(conn: Connection, provider_id: int, options: str) -> None:
    """The options of an account, as JSON, in place of those before."""
    await conn.execute("update provider set options = $2 where id = $1", provider_id, options)


async def set_provider_currency(conn: Connection, provider_id: int, currency: str) -> None:
    """What an account counts in; its balance, which was in another, is not known any more."""
    await conn.execute(
        """update provider set currency = $2, balance = null, balance_at = null,
                  balance_due_at = 'epoch' where id = $1""",
        provider_id,
        currency,
    )


async def list_providers(conn: Connection) -> list[ProviderRecord]:
    """All accounts, by id."""
    return [_read(r) for r in await conn.fetch(f"{_SELECT} order by p.id")]


async def get_provider(conn: Connection, name: str) -> ProviderRecord | None:
    """The account of that name."""
    row = await conn.fetchrow(f"{_SELECT} where p.name = $1", name)
    return _read(row) if row else None


async def get_provider_by_id(conn: Connection, provider_id: int) -> ProviderRecord | None:
    """The account with that id."""
    row = await conn.fetchrow(f"{_SELECT} where p.id = $1", provider_id)
    return _read(row) if row else None


async def set_provider_held(
    conn: Connection, provider_id: int, reason: str, pause: timedelta
) -> bool:
    """Set an account aside for ``pause``; False when it is set aside already.

    The orders that were in flight together are refused together: that is one hold, not many.
    """
    tag = await conn.execute(
        """update provider set held_until = now() + $3, held_reason = $2, holds = holds + 1
            where id = $1 and (held_until is null or held_until <= now())""",
        provider_id,
        reason,
        pause,
    )
    return tag == "UPDATE 1"


async def set_provider_free(conn: Connection, provider_id: int) -> None:
    """The account works: forget what it was set aside for."""
    await conn.execute(
        """update provider set held_until = null, held_reason = null, holds = 0
            where id = $1 and holds > 0""",
        provider_id,
    )


async def set_provider_paused(conn: Connection, provider_id: int, reason: str | None) -> None:
    """Send nothing to an account, for an operator's reason; None ends the pause."""
    await conn.execute("update provider set paused_reason = $2 where id = $1", provider_id, reason)


async def set_provider_balance(
    conn: Connection, provider_id: int, balance: Micros, currency: str
) -> None:
    """What an account was just said to hold, if it still counts in that currency."""
    await conn.execute(
        """update provider
              set balance = $2, balance_at = now(), unanswered_since = null,
                  unanswered_reason = null
            where id = $1 and currency = $3""",
        provider_id,
        balance,
        currency,
    )


async def set_provider_unanswered(
    conn: Connection, provider_id: int, reason: str, again_ms: int
) -> None:
    """An account could not be asked what it holds; it is asked again in ``again_ms`` at latest."""
    await conn.execute(
        """update provider
              set unanswered_since = coalesce(unanswered_since, now()), unanswered_reason = $2,
                  balance_due_at = least(balance_due_at, now() + $3 * interval '1 ms')
            where id = $1""",
        provider_id,
        reason,
        again_ms,
    )


async def claim_balance_read(conn: Connection, provider_id: int, interval_ms: int) -> float:
    """Take the next look at what an account holds, if it is due; the one after is put off.

    Returns 0, or the seconds until it is due.
    """
    return float(
        await conn.fetchval(
            """with taken as (
                   update provider
                      set balance_due_at = clock_timestamp() + $2 * interval '1 ms'
                    where id = $1 and balance_due_at <= clock_timestamp() returning 1)
               select case when exists (select from taken) then 0
                           else greatest(0.01, extract(
                               epoch from balance_due_at - clock_timestamp())) end
                 from provider where id = $1""",
            provider_id,
            interval_ms,
        )
    )


async def set_provider_alias(conn: Connection, provider_id: int, alias: str | None) -> None:
    """What support staff see in place of the name."""
    await conn.execute("update provider set alias = $2 where id = $1", provider_id, alias)
