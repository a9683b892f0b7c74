"""What is left of the budgets of provider accounts, for all processes together."""

from enum import StrEnum
from typing import NamedTuple

from gateway.store.connection import Connection


class Calls(StrEnum):
    """What a budget is for."""

    ADDS = "adds"
    READS = "reads"


class Tokens(NamedTuple):
    """How many calls may be made now, and the seconds until one may."""

    left: int
    wait: float


async def lock_budget(
    conn: Connection, provider_id: int, calls: Calls, *, per_minute: int, burst: int
) -> Tokens | None:
    """Take an account's budget until the transaction ends; None while somebody else has it.

    It grows by ``per_minute`` up to ``burst``.
    """
    row = await conn.fetchrow(
        """select floor(now_left)::int, greatest(0, (1 - now_left) * 60 / $3)::float8
             from (select tokens_now(tokens, counted_at, $3, $4) as now_left
                     from budget where provider_id = $1 and calls = $2
                      for update skip locked) as locked""",
        provider_id,
        calls,
        per_minute,
        burst,
    )
    return Tokens(*row) if row else None


async def claim_call(
    conn: Connection, provider_id: int, calls: Calls, *, per_minute: int, burst: int
) -> float:
    """Spend one call of a budget. Returns 0, or the seconds to wait when nothing was spent."""
    return float(
        await conn.fetchval(
            """with spent as (
                   update budget
                      set tokens = tokens_now(tokens, counted_at, $3, $4) - 1,
                          counted_at = clock_timestamp()
                    where provider_id = $1 and calls = $2
                      and tokens_now(tokens, counted_at, $3, $4) >= 1
                   returning 1)
               select case when exists (select from spent) then 0
                           else greatest(
                               0.01, (1 - tokens_now(tokens, counted_at, $3, $4)) * 60 / $3) end
                 from budget where provider_id = $1 and calls = $2""",
            provider_id,
            calls,
            per_minute,
            burst,
        )
    )


async def set_spent(
    conn: Connection, provider_id: int, calls: Calls, number: int, *, per_minute: int, burst: int
) -> None:
    """Spend calls that are made; what goes beyond the budget is waited for."""
    await conn.execute(
        """update budget set tokens = tokens_now(tokens, counted_at, $4, $5) - $3,
                  counted_at = clock_timestamp()
            where provider_id = $1 and calls = $2""",
        provider_id,
        calls,
        number,
        per_minute,
        burst,
    )
