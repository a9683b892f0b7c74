"""Resellers and their API keys."""

from collections.abc import Mapping, Sequence

from gateway.store.connection import Connection, Record
from schemas.resellers import (
    ANY_USE,
    Access,
    ApiKey,
    DuplicatePolicy,
    KeyTerms,
    KnownKey,
    Reseller,
    Scope,
)

_RESELLER = """select r.id, r.name, r.email, r.currency, r.suspended, r.suspended_reason,
                      r.request_limit, r.duplicates, r.text_ids, r.post_only,
                      b.amount as balance, b.floor
                 from reseller r join balance b on b.reseller_id = r.id"""
_KEY = """select k.id, r.name as reseller, k.hint, k.created_at, k.revoked_at, k.scope, k.networks,
                 k.expires_at
            from api_key k join reseller r on r.id = k.reseller_id"""


def _reseller(row: Record) -> Reseller:
    return Reseller(**{**row, "duplicates": DuplicatePolicy(row["duplicates"])})


def _key(row: Record) -> ApiKey:
    return ApiKey(
        id=row["id"],
        reseller=row["reseller"],
        hint=row["hint"],
        terms=KeyTerms(Scope(row["scope"]), tuple(row["networks"]), row["expires_at"]),
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
    )


def _access(row: Record) -> Access:
    return Access(
        key_id=row["key_id"],
        reseller_id=row["reseller_id"],
        currency=row["currency"],
        suspended=row["suspended"],
        scope=Scope(row["scope"]),
        networks=tuple(row["networks"]),
        valid_seconds=row["valid_seconds"],
        request_limit=row["request_limit"],
        duplicates=DuplicatePolicy(row["duplicates"]),
        text_ids=row["text_ids"],
        post_only=row["post_only"],
        paused=row["paused"],
    )


async def insert_reseller(conn: Connection, name: str, email: str, currency: str) -> int:
    """A new reseller with an empty balance; returns its id."""
    return int(
        await conn.fetchval(
            """with r as (insert into reseller (name, email, currency)
                          values ($1, $2, $3) returning id)
               insert into balance (reseller_id) select id from r returning reseller_id""",
            name,
            email,
            currency,
        )
    )


async def get_reseller(conn: Connection, name: str) -> Reseller | None:
    """The reseller of that name."""
    row = await conn.fetchrow(f"{_RESELLER} where r.name = $1", name)
    return _reseller(row) if row else None


async def get_reseller_name(conn: Connection, reseller_id: int) -> str | None:
    """The name of the reseller with that id."""
    name: str | None = await conn.fetchval("select name from reseller where id = $1", reseller_id)
    return name


async def list_resellers(conn: Connection) -> list[Reseller]:
    """All resellers, by id."""
    return [_reseller(row) for row in await conn.fetch(f"{_RESELLER} order by r.id")]


async def set_reseller(conn: Connection, reseller: Reseller) -> None:
    """Keep what an operator may change of an account; name, balance and floor are not."""
    await conn.execute(
        """update reseller
              set suspended = $2, suspended_reason = $3, request_limit = $4, duplicates = $5,
                  text_ids = $6, post_only = $7
            where id = $1""",
        reseller.id,
        reseller.suspended,
        reseller.suspended_reason,
        reseller.request_limit,
        reseller.duplicates,
        reseller.text_ids,
        reseller.post_only,
    )


async def insert_key(
    conn: Connection,
    reseller_id: int,
    mac: bytes,
    hint: str,
    terms: KeyTerms = ANY_USE,
    mac_before: bytes | None = None,
    pepper_id: str | None = None,
) -> int:
    """A new key, by its MAC, and that under the pepper before while that is in use; its id."""
    return int(
        await conn.fetchval(
            """insert into api_key
                   (reseller_id, mac, hint, scope, networks, expires_at, mac_before, pepper_id)
               values ($1, $2, $3, $4, $5, $6, $7, $8) returning id""",
            reseller_id,
            mac,
            hint,
            terms.scope,
            terms.networks,
            terms.expires_at,
            mac_before,
            pepper_id,
        )
    )


async def lock_key(conn: Connection, key_id: int) -> ApiKey | None:
    """The key with that id, a revoked one too; nobody else changes it meanwhile."""
    row = await conn.fetchrow(f"{_KEY} where k.id = $1 for update of k", key_id)
    return _key(row) if row else None


async def list_keys(conn: Connection, reseller_id: int) -> list[ApiKey]:
    """A reseller's keys, revoked ones too."""
    rows = await conn.fetch(f"{_KEY} where r.id = $1 order by k.id", reseller_id)
    return [_key(row) for row in rows]


async def set_key_terms(conn: Connection, key_id: int, terms: KeyTerms) -> None:
    """What a key may do from now on."""
    await conn.execute(
        "update api_key set scope = $2, networks = $3, expires_at = $4 where id = $1",
        key_id,
        terms.scope,
        terms.networks,
        terms.expires_at,
    )


async def set_key_revoked(conn: Connection, key_id: int) -> None:
    """End a key."""
    await conn.execute(
        "update api_key set revoked_at = coalesce(revoked_at, now()) where id = $1", key_id
    )


async def list_known_keys(conn: Connection, macs: Sequence[bytes]) -> list[KnownKey]:
    """The keys with these MACs, now or before; unknown, revoked and expired ones are left out."""
    rows = await conn.fetch(
        """select k.mac, k.mac_before, k.pepper_id, k.id as key_id, r.id as reseller_id,
                  r.currency, r.suspended, k.scope, k.networks, r.request_limit, r.duplicates,
                  r.text_ids, r.post_only,
                  extract(epoch from k.expires_at - now())::float8 as valid_seconds,
                  exists (select from ordering_stop s
                           where s.reseller_id is null or s.reseller_id = r.id) as paused
             from api_key k join reseller r on r.id = k.reseller_id
            where (k.mac = any($1) or k.mac_before = any($1)) and k.revoked_at is null
              and (k.expires_at is null or k.expires_at > now())""",
        macs,
    )
    return [KnownKey(_access(row), row["mac"], row["mac_before"], row["pepper_id"]) for row in rows]


async def set_key_macs(conn: Connection, macs: Mapping[int, bytes], pepper_id: str) -> None:
    """Let keys be known by other MACs; those before stay. Passes over keys in use elsewhere."""
    await conn.execute(
        """update api_key k
              set mac_before = case when k.mac = n.mac then k.mac_before else k.mac end,
                  mac = n.mac, pepper_id = $3
             from unnest($1::int[], $2::bytea[]) as n(id, mac)
            where k.id = n.id and k.id in (
                  select id from api_key where id = any($1) order by id for update skip locked)""",
        list(macs),
        list(macs.values()),
        pepper_id,
    )


async def count_key_peppers(conn: Connection) -> dict[str | None, int]:
    """How many keys are known by each pepper; None is for those of whom that is not noted."""
    rows = await conn.fetch(
        """select pepper_id, count(*) as number from api_key
            where revoked_at is null and (expires_at is null or expires_at > now())
            group by 1 order by 1"""
    )
    return {row["pepper_id"]: row["number"] for row in rows}


async def set_macs_before_forgotten(conn: Connection, pepper_id: str) -> int:
    """Forget what keys of this pepper were known by before; returns how many it was."""
    tag = await conn.execute(
        """update api_key set mac_before = null
            where pepper_id = $1 and mac_before is not null""",
        pepper_id,
    )
    return int(tag.split()[1])
