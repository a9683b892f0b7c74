"""How many orders were asked for in each minute, by what became of them."""

from collections.abc import Mapping
from datetime import datetime

from gateway.store.connection import Connection


async def insert_add_outcomes(conn: Connection, numbers: Mapping[str, int]) -> None:
    """Add to the counts of this minute."""
    await conn.execute(
        """insert into add_outcome (minute, outcome, number)
           select date_trunc('minute', now()), n.outcome, n.number
             from unnest($1::text[], $2::bigint[]) as n(outcome, number) order by n.outcome
           on conflict (minute, outcome) do update
              set number = add_outcome.number + excluded.number""",
        list(numbers),
        list(numbers.values()),
    )


async def list_add_outcomes(
    conn: Connection, *, steps: int, step_seconds: int
) -> list[tuple[datetime, dict[str, int]]]:
    """The counts of the last ``steps`` whole steps of time, oldest first, empty ones included."""
    rows = await conn.fetch(
        """with span as (
               select $2 * interval '1 second' as step,
                      date_bin($2 * interval '1 second', now(), 'epoch') as last)
           select t.at, a.outcome, sum(a.number)::bigint as number
             from span
            cross join generate_series(last - $1 * step, last - step, step) as t(at)
             left join add_outcome a on a.minute >= t.at and a.minute < t.at + step
            group by t.at, a.outcome order by t.at""",
        steps,
        step_seconds,
    )
    found: dict[datetime, dict[str, int]] = {}
    for row in rows:
        counts = found.setdefault(row["at"], {})
        if row["outcome"] is not None:
            counts[row["outcome"]] = row["number"]
    return list(found.items())


async def delete_old_add_outcomes(conn: Connection, days: int) -> None:
    """Forget what is older than so many days."""
    await conn.execute("delete from add_outcome where minute < now() - $1 * interval '1 day'", days)
