"""What upstreams changed in their catalogues, and what was last taken over from them."""

from collections.abc import Sequence

from gateway.store.connection import Connection, Record, columns
from schemas.changes import Change, ChangeKind, ChangeState, NewChange, Seen

_SELECT = """select c.id, c.provider_id, p.name as provider, c.service_id, c.route_id,
                    c.upstream_service, c.kind, c.before, c.after, c.state, c.why, c.at,
                    c.decided_at
               from catalogue_change c join provider p on p.id = c.provider_id"""


def _change(row: Record) -> Change:
    words = {"kind": ChangeKind(row["kind"]), "state": ChangeState(row["state"])}
    return Change(**{**row, **words})


async def list_seen(conn: Connection, provider_id: int) -> dict[int, Seen]:
    """What was last taken over for all routes of the services that a provider delivers."""
    rows = await conn.fetch(
        """select n.route_id, n.name, n.rate, n.minimum, n.maximum, n.refill, n.cancel, n.off
             from route_seen n join route r on r.id = n.route_id
            where r.service_id in (select service_id from route where provider_id = $1)""",
        provider_id,
    )
    return {row[0]: Seen(*row) for row in rows}


async def set_seen(conn: Connection, seen: Sequence[Seen]) -> None:
    """Remember what was taken over for many routes."""
    await conn.execute(
        """insert into route_seen (route_id, name, rate, minimum, maximum, refill, cancel, off)
           select * from unnest($1::int[], $2::text[], $3::numeric[], $4::int[], $5::int[],
                                $6::bool[], $7::bool[], $8::text[])
           on conflict (route_id) do update
              set name = excluded.name, rate = excluded.rate, minimum = excluded.minimum,
                  maximum = excluded.maximum, refill = excluded.refill, cancel = excluded.cancel,
                  off = excluded.off""",
        *columns(seen, "route_id", "name", "rate", "minimum", "maximum", "refill", "cancel", "off"),
    )


async def set_seen_name(conn: Connection, route_id: int, name: str) -> None:
    """An operator has taken note of an upstream's new name."""
    await conn.execute("update route_seen set name = $2 where route_id = $1", route_id, name)


async def insert_changes(conn: Connection, provider_id: int, changes: Sequence[NewChange]) -> None:
    """Changes as a sync found them."""
    await conn.execute(
        """insert into catalogue_change (provider_id, service_id, route_id, upstream_service, kind,
                                         before, after, state, why)
           select $1, * from unnest($2::int[], $3::int[], $4::text[], $5::text[], $6::text[],
                                    $7::text[], $8::text[], $9::text[])""",
        provider_id,
        *columns(
            changes,
            "service_id",
            "route_id",
            "upstream_service",
            "kind",
            "before",
            "after",
            "state",
            "why",
        ),
    )


async def list_decisions(conn: Connection, provider_id: int) -> list[Change]:
    """The newest change of each kind for each route, where it waits or was dismissed."""
    rows = await conn.fetch(
        f"""{_SELECT}
             where c.id in (
                   select max(n.id) from catalogue_change n join route r on r.id = n.route_id
                    where r.provider_id = $1 group by n.route_id, n.kind)
               and c.state in ('held', 'dismissed')""",  # noqa: S608 - constants only
        provider_id,
    )
    return [_change(row) for row in rows]


async def list_changes(
    conn: Connection, *, state: str | None, provider: str | None, limit: int
) -> list[Change]:
    """The newest changes first."""
    rows = await conn.fetch(
        f"""{_SELECT} where ($1::text is null or c.state = $1) and ($2::text is null or p.name = $2)
             order by c.id desc limit $3""",
        state,
        provider,
        limit,
    )
    return [_change(row) for row in rows]


async def get_change(conn: Connection, change_id: int) -> Change | None:
    """One change."""
    row = await conn.fetchrow(f"{_SELECT} where c.id = $1", change_id)
    return _change(row) if row else None


async def lock_held_changes(conn: Connection, change_ids: Sequence[int]) -> list[Change]:
    """Lock those of the changes that still wait, in the order of their ids."""
    rows = await conn.fetch(
        f"""{_SELECT} where c.id = any($1) and c.state = 'held'
             order by c.id for no key update of c""",
        change_ids,
    )
    return [_change(row) for row in rows]


async def set_changes_decided(
    conn: Connection, change_ids: Sequence[int], state: ChangeState, why: str | None
) -> None:
    """End the waiting of changes; ``why`` is added to what is known of them."""
    await conn.execute(
        """update catalogue_change
              set state = $2, decided_at = now(), why = coalesce(why || '; ' || $3, $3, why)
            where id = any($1) and state = 'held'""",
        change_ids,
        state,
        why,
    )


async def count_held_changes(conn: Connection) -> int:
    """How many changes wait for an operator."""
    return int(await conn.fetchval("select count(*) from catalogue_change where state = 'held'"))
