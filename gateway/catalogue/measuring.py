"""Shows what is measured of accounts: how long their money lasts, how late orders are followed."""

from gateway.metrics import BALANCE_HOURS, TRACKING_LAG
from gateway.store import measures
from gateway.store.connection import Pool
from schemas.money import Micros


def hours_left(balance: Micros, spent: Micros, hours: float) -> float | None:
    """How long a balance lasts at the pace of ``spent`` in ``hours``; None without a pace."""
    if spent <= 0 or hours <= 0:
        return None
    return max(0, balance) / (spent / hours)


async def measure_accounts(pool: Pool) -> None:
    """Show the measures of all accounts, and of no others."""
    async with pool.acquire() as conn:
        found = await measures.list_account_measures(conn)
    TRACKING_LAG.clear()
    BALANCE_HOURS.clear()
    for account in found:
        TRACKING_LAG.labels(account.name).set(account.lag)
        if account.balance is None or account.spent is None or account.hours is None:
            continue
        left = hours_left(account.balance, account.spent, account.hours)
        if left is not None:
            BALANCE_HOURS.labels(account.name).set(left)
