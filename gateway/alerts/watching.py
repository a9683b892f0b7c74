"""Looking for trouble: one process at a time, and what is to be told is kept with what is known."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from gateway.alerts.conditions import CONTRADICTED_FOR, Facts, Limits, troubles
from gateway.alerts.deciding import Plan, decide
from gateway.store import alerts as store
from gateway.store import backups, facts, ordering_stops, processes
from gateway.store.connection import Connection, Pool, transaction
from schemas.alerts import Alert, AlertEvent, Undelivered
from schemas.config import SettingsModel

log = structlog.get_logger()

#: A message that no channel took for so many days tells nobody anything any more.
_MESSAGE_DAYS = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """What every process shows: known trouble, what is on its way, and how old backups are.

    Ages are in seconds, None where there is no such backup.
    """

    alerts: list[Alert]
    undelivered: list[Undelivered]
    backup_age: float | None
    backup_verified_age: float | None


async def look(pool: Pool, settings: SettingsModel) -> bool:
    """Look for trouble if that is due, and put what operators are to be told on its way.

    False when it is not due, or another process is just at it.
    """
    channels = settings.alerts.channels
    repeat = timedelta(milliseconds=settings.alerts.repeat_ms) or None
    async with pool.acquire() as conn, transaction(conn):
        now = await store.claim_look(conn, settings.alerts.every_ms)
        if now is None:
            return False
        await processes.set_spools_inherited(conn)
        await processes.delete_silent_processes(conn)
        found = troubles(await _facts(conn, now), _limits(settings))
        plan = decide(now, await store.list_alerts(conn), found, repeat, _new_id)
        await store.delete_alerts(conn, plan.ended)
        await store.insert_alerts(conn, plan.kept)
        await store.insert_messages(conn, channels, plan.messages)
        given_up = await store.delete_stale_messages(conn, channels, _MESSAGE_DAYS)
    _tell(plan, given_up)
    return True


async def standing(pool: Pool) -> Standing:
    """What is known now, whichever process has looked."""
    async with pool.acquire() as conn:
        known = await store.list_alerts(conn)
        undelivered = await store.list_undelivered(conn)
        backup = await backups.get_backup_state(conn)
    return Standing(
        known,
        undelivered,
        _seconds(backup.now, backup.finished_at),
        _seconds(backup.now, backup.verified_at),
    )


async def _facts(conn: Connection, now: datetime) -> Facts:
    return Facts(
        now=now,
        providers=await facts.list_provider_trouble(conn),
        for_people=await facts.list_orders_for_people(conn),
        stuck=await facts.list_stuck_orders(conn),
        audit=await facts.get_audit_state(conn),
        backup=await backups.get_backup_state(conn),
        processes=await processes.list_processes(conn),
        contradicted=await facts.list_contradicted(conn, CONTRADICTED_FOR),
        stops=await ordering_stops.list_ordering_stops(conn),
    )


def _limits(settings: SettingsModel) -> Limits:
    too_old = timedelta(milliseconds=settings.backup.too_old_ms)
    return Limits(timedelta(milliseconds=settings.audit.every_ms), too_old or None)


def _new_id() -> str:
    return f"msg_{secrets.token_hex(12)}"


def _seconds(now: datetime, at: datetime | None) -> float | None:
    return None if at is None else (now - at).total_seconds()


def _tell(plan: Plan, given_up: list[Undelivered]) -> None:
    """Who reads logs instead of messages hears of it there."""
    for message in plan.messages:
        say = log.info if message.event is AlertEvent.OVER else log.error
        say(
            "alert.told",
            kind=message.kind,
            subject=message.subject,
            what=message.event,
            summary=message.summary,
        )
    for lost in given_up:
        log.error(
            "alert.given_up",
            channel=lost.channel,
            kind=lost.kind,
            tries=lost.tries,
            reason=lost.failure,
        )
