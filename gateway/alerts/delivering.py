"""Delivering messages: claim, commit, send, record. A channel that fails is left alone for a while.

A process that dies between sending and recording sends again: twice is better than never.
"""

import asyncio
from collections.abc import Sequence

import structlog

from gateway.alerts.outlet import NotDelivered, Outlet, PartlyDelivered
from gateway.metrics import ALERT_MESSAGES
from gateway.store import alerts as store
from gateway.store.connection import Pool
from schemas.alerts import Message

log = structlog.get_logger()

#: Longer than any channel takes for one message.
_LEASE_MS = 120_000
_FIRST_PAUSE_MS = 5_000
_LONGEST_PAUSE_MS = 900_000
_MOST_DOUBLINGS = 10


async def deliver(pool: Pool, outlets: Sequence[Outlet]) -> None:
    """Send what is due, over all channels at the same time."""
    await asyncio.gather(*(_drain(pool, outlet) for outlet in outlets))


async def _drain(pool: Pool, outlet: Outlet) -> None:
    while True:
        async with pool.acquire() as conn:
            message = await store.claim_message(conn, outlet.channel, _LEASE_MS)
        if message is None or not await _deliver(pool, outlet, message):
            return


async def _deliver(pool: Pool, outlet: Outlet, message: Message) -> bool:
    """Whether the channel took it."""
    try:
        await outlet.send(message)
    except PartlyDelivered as failed:
        pause_ms = pause_after(message.tries, failed.retry_after)
        async with pool.acquire() as conn:
            await store.set_message_left(conn, message.id, failed.left, str(failed), pause_ms)
        return True
    except NotDelivered as failed:
        pause_ms = pause_after(message.tries, failed.retry_after)
        async with pool.acquire() as conn:
            await store.set_channel_failed(conn, outlet.channel, message.id, str(failed), pause_ms)
        ALERT_MESSAGES.labels(outlet.channel, "failed").inc()
        log.error(
            "alert.not_delivered",
            channel=outlet.channel,
            kind=message.kind,
            tries=message.tries,
            reason=str(failed),
            seconds=pause_ms / 1000,
            hint="try the channel with `smm-gateway alert test`",
        )
        return False
    async with pool.acquire() as conn:
        await store.delete_message(conn, message.id)
    ALERT_MESSAGES.labels(outlet.channel, "delivered").inc()
    return True


def pause_after(tries: int, asked: float | None) -> int:
    """Milliseconds until a channel is tried again: doubling, or as long as the other side asks."""
    doubled = _FIRST_PAUSE_MS << min(tries - 1, _MOST_DOUBLINGS)
    return min(max(doubled, int((asked or 0) * 1000)), _LONGEST_PAUSE_MS)
