"""Resellers and their API keys."""

from collections.abc import Sequence

from gateway.store.connection import Connection
from schemas.resellers import Access, ApiKey, DuplicatePolicy, Reseller

_RESELLER = """select r.id, r.name, r.email, r.currency, r.suspended, b.amount
                 from reseller r join balance b on b.reseller_id = r.id"""


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
    return Reseller(*row) if row else None


async def list_resellers(conn: Connection) -> list[Reseller]:
    """All resellers, by id."""
    return [Reseller(*row) for row in await conn.fetch(f"{_RESELLER} order by r.id")]


async def insert_key(conn: Connection, reseller_id: int, mac: bytes, hint: str) -> int:
    """A new key, by its MAC; returns its id."""
    return int(
        await conn.fetchval(
            "insert into api_key (reseller_id, mac, hint) values ($1, $2, $3) returning id",
            reseller_id,
            mac,
            hint,
        )
    )


async def list_keys(conn: Connection, reseller_id: int) -> list[ApiKey]:
    """A reseller's keys, revoked ones too."""
    rows = await conn.fetch(
        """select k.id, r.name, k.hint, k.created_at, k.revoked_at
             from api_key k join reseller r on r.id = k.reseller_id
            where r.id = $1 order by k.id""",
        reseller_id,
    )
    return [ApiKey(*row) for row in rows]


async def set_key_revoked(conn: Connection, key_id: int) -> bool:
    """End a key; False when there is none with that id."""
    tag = await conn.execute(
        "update api_key set revoked_at = coalesce(revoked_at, now()) where id = $1", key_id
    )
    return tag == "UPDATE 1"


async def get_accesses(conn: Connection, macs: Sequence[bytes]) -> dict[bytes, Access]:
    """What the keys with these MACs open; unknown and revoked ones are left out."""
    rows = await conn.fetch(
        """select k.mac, k.id, r.id, r.currency, r.suspended, r.duplicates
             from api_key k join reseller r on r.id = k.reseller_id
            where k.mac = any($1) and k.revoked_at is null""",
        macs,
    )
    return {row[0]: Access(*(*row[1:5], DuplicatePolicy(row[5]))) for row in rows}
