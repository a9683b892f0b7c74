"""Spending the budget of a provider account: one budget, however many processes spend it.

What is spent is written in the transaction that leases the work, so that both happen or neither.
"""

from gateway.catalogue.upstreams import budget_of
from gateway.metrics import PACE_WAITS
from gateway.store import budgets
from gateway.store.budgets import Calls, Tokens
from gateway.store.connection import Connection, Pool
from schemas.providers import ProviderRecord

#: Nobody asks at the very moment when he may: what is late for one read is not lost for the next.
_READS_AT_ONCE = 2


class OverBudget(Exception):
    """Nothing may be asked of the account before ``seconds`` have passed."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"over budget for {seconds:.2f} s")
        self.seconds = seconds


def most_in_flight(provider: ProviderRecord) -> int:
    """How many orders may be on their way to an account, from all processes together.

    One that was set aside gets one to see whether it works again.
    """
    return 1 if provider.holds else budget_of(provider).in_flight


async def lock_adds(conn: Connection, provider: ProviderRecord) -> Tokens | None:
    """How many orders the account may be sent now; nobody else sends any until the commit.

    None while another process is just claiming.
    """
    budget = budget_of(provider)
    return await budgets.lock_budget(
        conn,
        provider.id,
        Calls.ADDS,
        per_minute=budget.adds_per_minute,
        burst=budget.in_flight,
    )


async def spend_adds(conn: Connection, provider: ProviderRecord, number: int) -> None:
    """Count orders that are sent."""
    budget = budget_of(provider)
    await budgets.set_spent(
        conn,
        provider.id,
        Calls.ADDS,
        number,
        per_minute=budget.adds_per_minute,
        burst=budget.in_flight,
    )


async def spend_read(conn: Connection, provider: ProviderRecord) -> None:
    """Spend one of the account's reads. Raises ``OverBudget``, which undoes the transaction."""
    per_minute = budget_of(provider).reads_per_minute
    wait = await budgets.claim_call(
        conn, provider.id, Calls.READS, per_minute=per_minute, burst=_READS_AT_ONCE
    )
    if wait:
        PACE_WAITS.labels(provider.name, Calls.READS).inc()
        raise OverBudget(wait)


async def spend_further_reads(pool: Pool, provider: ProviderRecord, requests: int) -> None:
    """Count the requests that one read turned out to take, beyond the first."""
    if requests > 1:
        per_minute = budget_of(provider).reads_per_minute
        async with pool.acquire() as conn:
            await budgets.set_spent(
                conn,
                provider.id,
                Calls.READS,
                requests - 1,
                per_minute=per_minute,
                burst=_READS_AT_ONCE,
            )
