"""Price rules, and which resellers a service is for."""

from collections.abc import Sequence

from gateway.store.connection import Connection
from schemas.catalogue import PriceRule

_SELECT = "select id, markup, step, provider_id, category, service_id, reseller_id from price_rule"


async def list_price_rules(conn: Connection) -> list[PriceRule]:
    """All rules, in the order in which they were made."""
    return [PriceRule(*row) for row in await conn.fetch(f"{_SELECT} order by id")]


async def set_price_rule(conn: Connection, rule: PriceRule) -> int:
    """Make the rule for exactly its scope, or change the one there is; returns its id."""
    return int(
        await conn.fetchval(
            """insert into price_rule (markup, step, provider_id, category, service_id, reseller_id)
               values ($1, $2, $3, $4, $5, $6)
               on conflict on constraint price_rule_once
                  do update set markup = excluded.markup, step = excluded.step
               returning id""",
            rule.markup,
            rule.step,
            rule.provider_id,
            rule.category,
            rule.service_id,
            rule.reseller_id,
        )
    )


async def set_price_rule_removed(conn: Connection, rule_id: int) -> bool:
    """Remove a rule; False when there is none with that id."""
    return await conn.execute("delete from price_rule where id = $1", rule_id) == "DELETE 1"


async def list_audiences(
    conn: Connection, service_ids: Sequence[int] | None = None
) -> dict[int, frozenset[int]]:
    """For each service that is not for everybody, the resellers whom it is for; or of these."""
    rows = await conn.fetch(
        """select service_id, array_agg(reseller_id) from service_audience
            where $1::int[] is null or service_id = any($1) group by service_id""",
        service_ids,
    )
    return {row[0]: frozenset(row[1]) for row in rows}


async def set_audience(conn: Connection, service_id: int, resellers: Sequence[int]) -> None:
    """Make a service visible to these resellers alone; to everybody when there are none."""
    await conn.execute(
        """with gone as (
               delete from service_audience
                where service_id = $1 and reseller_id <> all($2::int[]))
           insert into service_audience (service_id, reseller_id)
           select $1, unnest($2::int[]) on conflict do nothing""",
        service_id,
        resellers,
    )
