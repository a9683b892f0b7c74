"""Sealed secrets of every kind, each by what it belongs to."""

from collections.abc import Sequence

from gateway.store.connection import Connection
from schemas.secrets import Sealed, SecretName


async def set_secret(conn: Connection, name: SecretName, sealed: Sealed) -> None:
    """Store a secret, in place of the one before."""
    await conn.execute(
        """insert into secret (owner, owner_id, name, key_id, sealed) values ($1, $2, $3, $4, $5)
               on conflict (owner, owner_id, name) do update
              set key_id = excluded.key_id, sealed = excluded.sealed, version = default""",
        *name,
        sealed.key_id,
        sealed.sealed,
    )


async def get_secret(conn: Connection, name: SecretName) -> Sealed | None:
    """A secret, as it is sealed."""
    row = await conn.fetchrow(
        """select key_id, sealed, version from secret
            where owner = $1 and owner_id = $2 and name = $3""",
        *name,
    )
    return Sealed(**row) if row else None


async def delete_secret(conn: Connection, name: SecretName) -> None:
    """Forget a secret."""
    await conn.execute("delete from secret where owner = $1 and owner_id = $2 and name = $3", *name)


async def count_secrets(conn: Connection) -> dict[str | None, int]:
    """How many secrets each master key has sealed; None is for those that are not sealed."""
    rows = await conn.fetch("select key_id, count(*) as number from secret group by 1 order by 1")
    return {row["key_id"]: row["number"] for row in rows}


async def lock_secrets(
    conn: Connection, openable: Sequence[str], limit: int
) -> list[tuple[SecretName, Sealed]]:
    """Some secrets that are not sealed, or under one of these keys; passes over locked ones."""
    rows = await conn.fetch(
        """select owner, owner_id, name, key_id, sealed, version from secret
            where key_id is null or key_id = any($1)
            order by owner, owner_id, name limit $2 for update skip locked""",
        openable,
        limit,
    )
    return [
        (
            SecretName(row["owner"], row["owner_id"], row["name"]),
            Sealed(row["key_id"], row["sealed"], row["version"]),
        )
        for row in rows
    ]


async def set_seals(conn: Connection, renewed: Sequence[tuple[SecretName, Sealed]]) -> None:
    """Put new seals on secrets that stay the same."""
    await conn.execute(
        """update secret s set key_id = n.key_id, sealed = n.sealed
             from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bytea[])
                  as n(owner, owner_id, name, key_id, sealed)
            where (s.owner, s.owner_id, s.name) = (n.owner, n.owner_id, n.name)""",
        [name.owner for name, _ in renewed],
        [name.owner_id for name, _ in renewed],
        [name.name for name, _ in renewed],
        [sealed.key_id for _, sealed in renewed],
        [sealed.sealed for _, sealed in renewed],
    )
