"""Copies all rows of one database into another, which may be of another version and far away."""

from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.store.connection import Connection


@dataclass(frozen=True, slots=True)
class Table:
    """A table that holds rows itself, with the columns that are not computed from others."""

    schema: str
    name: str
    columns: tuple[str, ...]


async def list_tables(conn: Connection) -> list[Table]:
    """All tables of a database, ranges of partitioned ones each by itself."""
    rows = await conn.fetch(
        """select n.nspname, c.relname,
                  array_agg(a.attname::text order by a.attnum) as columns
             from pg_class c
             join pg_namespace n on n.oid = c.relnamespace
             join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
                                and not a.attisdropped and a.attgenerated = ''
            where c.relkind = 'r' and n.nspname !~ '^(pg_|information_schema$)'
            group by 1, 2 order by 1, 2"""
    )
    return [Table(row["nspname"], row["relname"], tuple(row["columns"])) for row in rows]


async def count_rows(conn: Connection, table: Table) -> int:
    """How many rows a table has."""
    return int(await conn.fetchval(f"select count(*) from {_name(table)}"))  # noqa: S608 - quoted


async def get_rows(
    conn: Connection, table: Table, to: Callable[[bytes], Coroutine[Any, Any, None]]
) -> None:
    """Give all rows of a table to ``to``, in pieces, as text that every version reads."""
    await conn.copy_from_table(
        table.name, schema_name=table.schema, columns=table.columns, output=to, format="text"
    )


async def insert_rows(conn: Connection, table: Table, source: AsyncIterable[bytes]) -> None:
    """Put what ``get_rows`` gave into the table of the same name."""
    await conn.copy_to_table(
        table.name, schema_name=table.schema, columns=table.columns, source=source, format="text"
    )


async def list_sequences(conn: Connection) -> list[tuple[str, int]]:
    """The sequences that have given something, and what they gave last."""
    rows = await conn.fetch(
        """select format('%I.%I', schemaname, sequencename) as name, last_value
             from pg_sequences where last_value is not null"""
    )
    return [(row["name"], row["last_value"]) for row in rows]


async def set_sequences(conn: Connection, sequences: Sequence[tuple[str, int]]) -> None:
    """Let sequences go on where others had come to."""
    await conn.execute(
        "select setval(name::regclass, last) from unnest($1::text[], $2::bigint[]) s(name, last)",
        [name for name, _ in sequences],
        [last for _, last in sequences],
    )


async def make_schema(conn: Connection, script: str) -> None:
    """Run what ``pg_dump`` wrote of a schema, without what only newer servers or psql know."""
    lines = (
        line
        for line in script.splitlines()
        if not line.startswith(("\\", "SET transaction_timeout"))
    )
    await conn.execute("\n".join(lines))
    await conn.execute("reset search_path")


def _name(table: Table) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in (table.schema, table.name))
