"""What provider accounts hold at their upstreams, as last read."""

import time

import structlog

from gateway.catalogue.spending import spend_read
from gateway.metrics import upstream_call
from gateway.store import providers, readings
from gateway.store.connection import Pool, transaction
from providers.base import Provider
from providers.errors import Unavailable
from schemas.money import BadAmount, micros_from
from schemas.providers import ProviderRecord
from schemas.upstream import UpstreamBalance

log = structlog.get_logger()

_LONGEST_REASON = 300


async def take_balance_read(pool: Pool, record: ProviderRecord, interval_ms: int) -> float:
    """Take the next look at what an account holds, before any other process does.

    Returns 0, or the seconds until it is due. Raises ``OverBudget`` when it is, and the account may
    not be asked now.
    """
    async with pool.acquire() as conn, transaction(conn):
        wait = await providers.claim_balance_read(conn, record.id, interval_ms)
        if not wait:
            await spend_read(conn, record)
    return wait


async def note_silence(pool: Pool, record: ProviderRecord, reason: str, again_ms: int) -> None:
    """An account could not be asked: keep since when and why, and ask again sooner than usual."""
    text = reason.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:_LONGEST_REASON]
    async with pool.acquire() as conn:
        await providers.set_provider_unanswered(conn, record.id, text, again_ms)


async def read_balance(
    pool: Pool, adapter: Provider, record: ProviderRecord
) -> UpstreamBalance | None:
    """Ask what an account holds and keep it, where every process sees it, with those before.

    None, with an alert, when the panel counts in another currency than we know: nothing is kept.

    Raises:
        Rejected, Unavailable: when it cannot be read; what is known stays.
    """
    began = time.monotonic()
    with upstream_call(record.name, "balance", time.monotonic):
        balance = await adapter.balance()
    try:
        amount = micros_from(balance.amount)
    except BadAmount as error:
        raise Unavailable(str(error)) from None
    if balance.currency not in (None, record.currency):
        log.error(
            "provider.currency_changed",
            provider=record.name,
            told=balance.currency,
            stored=record.currency,
            hint=f"provider set {record.name} --set currency={balance.currency}",
        )
        return None
    async with pool.acquire() as conn:
        await providers.set_provider_balance(conn, record.id, amount, record.currency)
        took = int((time.monotonic() - began) * 1000) + 1
        await readings.insert_reading(conn, record.id, amount, record.currency, took)
        await readings.delete_old_readings(conn, record.id)
    return balance
