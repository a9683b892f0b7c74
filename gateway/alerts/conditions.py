"""What counts as trouble: pure functions from facts to what is wrong, in an operator's words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from gateway.store.facts import (
    AuditState,
    BackupState,
    Contradicted,
    ProcessState,
    ProviderTrouble,
    WaitingOrders,
)
from schemas.alerts import AlertKind
from schemas.money import UNIT, format_amount
from schemas.resellers import OrderingStop

#: A process that has said nothing for so long has ended, or hangs.
SILENT_AFTER = timedelta(seconds=60)
#: A contradiction is shown for so long: nothing in the database says that somebody has looked.
CONTRADICTED_FOR = timedelta(days=1)
#: So long after an account was set aside its refusal still counts, while nothing is sent there.
_HELD_FOR = timedelta(minutes=15)
#: The background audit is late when it did not run for so many of its intervals.
_AUDIT_INTERVALS = 6
_AUDIT_AT_LEAST = timedelta(minutes=10)
_MONEY_WORDS = ("fund", "balance", "credit", "money")


class Trouble(NamedTuple):
    """Something that is wrong now; ``summary`` is one line without secrets or resellers' data.

    ``news_at`` is when more of the same last came, where each by itself is to be told.
    """

    kind: AlertKind
    subject: str
    summary: str
    news_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at ``now``, by the database's clock."""

    now: datetime
    providers: Sequence[ProviderTrouble]
    for_people: Sequence[WaitingOrders]
    stuck: Sequence[WaitingOrders]
    audit: AuditState
    backup: BackupState
    processes: Sequence[ProcessState]
    contradicted: Sequence[Contradicted]
    stops: Sequence[OrderingStop]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings say of it. No ``backup_age`` is no limit."""

    audit_every: timedelta
    backup_age: timedelta | None


def troubles(facts: Facts, limits: Limits) -> list[Trouble]:
    """All that is wrong now, at most one of each kind and subject."""
    found = [
        *(trouble for account in facts.providers for trouble in _of_provider(account, facts.now)),
        *_of_orders(facts),
        *_of_audit(facts.audit, facts.now, limits.audit_every),
        *_of_backup(facts.backup, facts.now, limits.backup_age),
        *_of_spools(facts.processes),
        *map(_contradiction, facts.contradicted),
        *(_stop(stop) for stop in facts.stops if stop.reseller is None),
    ]
    return [one._replace(summary=_one_line(one.summary)) for one in found]


def _of_provider(account: ProviderTrouble, now: datetime) -> Iterable[Trouble]:
    """An account that an operator has paused troubles nobody."""
    if account.paused:
        return
    if account.unanswered_since is not None:
        yield Trouble(
            AlertKind.PROVIDER_DOWN,
            account.name,
            f"{account.name} cannot be asked for its balance ({account.unanswered_reason}): "
            "its orders go elsewhere, or wait",
        )
    if short := _shortage(account, now):
        yield Trouble(AlertKind.PROVIDER_OUT_OF_FUNDS, account.name, f"{account.name} {short}")
    elif _is_held(account, now) and account.unanswered_since is None:
        yield Trouble(
            AlertKind.PROVIDER_DOWN,
            account.name,
            f"{account.name} refuses our account ({account.held_reason}): "
            "its orders go elsewhere, or wait",
        )


def _is_held(account: ProviderTrouble, now: datetime) -> bool:
    return account.held_until is not None and account.held_until > now - _HELD_FOR


def _shortage(account: ProviderTrouble, now: datetime) -> str | None:
    """How an account lacks money, in words that follow its name."""
    words = (account.held_reason or "").lower()
    if _is_held(account, now) and any(word in words for word in _MONEY_WORDS):
        return f"refuses orders for want of money ({account.held_reason})"
    if account.balance is None:
        return None
    held = f"holds {format_amount(account.balance)} {account.currency}"
    if account.balance <= 0:
        return held
    low = _amount(account.low_balance)
    if low is not None and Decimal(account.balance) < low * UNIT:
        return f"{held}, less than its low_balance of {low:f}"
    return None


def _amount(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None


def _of_orders(facts: Facts) -> Iterable[Trouble]:
    for waiting in facts.for_people:
        yield Trouble(
            AlertKind.ORDERS_NEED_A_PERSON,
            "",
            f"{_orders(waiting.number)} a person's decision, the oldest for "
            f"{duration(facts.now - waiting.oldest)}",
        )
    if facts.stuck:
        parts = [
            f"{waiting.number} {waiting.state} for up to {duration(facts.now - waiting.oldest)}"
            for waiting in facts.stuck
        ]
        yield Trouble(AlertKind.STUCK_ORDERS, "", f"orders do not move: {', '.join(parts)}")


def _orders(number: int) -> str:
    return "1 order needs" if number == 1 else f"{number} orders need"


def _of_audit(audit: AuditState, now: datetime, every: timedelta) -> Iterable[Trouble]:
    if audit.broken:
        rows = "1 row is" if audit.broken == 1 else f"{audit.broken} rows are"
        yield Trouble(AlertKind.AUDIT_FAILURE, "", f"the audit found that {rows} broken")
        return
    late = max(every * _AUDIT_INTERVALS, _AUDIT_AT_LEAST)
    if audit.ran_at is not None and now - audit.ran_at > late:
        age = duration(now - audit.ran_at)
        yield Trouble(AlertKind.AUDIT_FAILURE, "", f"the audit has not run for {age}")


def _of_backup(backup: BackupState, now: datetime, limit: timedelta | None) -> Iterable[Trouble]:
    if limit is None or now - (backup.finished_at or backup.began_at) <= limit:
        return
    if backup.finished_at is None:
        words = "no backup was ever made"
    else:
        words = f"the newest backup is {duration(now - backup.finished_at)} old"
    yield Trouble(AlertKind.BACKUP_TOO_OLD, "", words)


def _of_spools(processes: Sequence[ProcessState]) -> Iterable[Trouble]:
    """What a process held when it died is on its disk until another one takes it over."""
    holding = [process for process in processes if process.spool_entries or process.quarantined]
    if not holding:
        return
    kept: dict[str, int] = {}  # processes with one folder count the same files
    for process in holding:
        folder = process.spool or process.id
        kept[folder] = max(kept.get(folder, 0), process.quarantined)
    number, defects = sum(process.spool_entries for process in holding), sum(kept.values())
    words = [f"{number} entries that the database could not be told"] if number else []
    if defects:
        words.append(f"{defects} that a defect keeps from it")
    hosts = ", ".join(sorted({process.host for process in holding}))
    summary = f"spools hold {' and '.join(words)}, on {hosts}"
    yield Trouble(AlertKind.SPOOL_HOLDS_ENTRIES, "", summary)


def _contradiction(found: Contradicted) -> Trouble:
    orders = ", ".join(map(str, found.orders))
    return Trouble(
        AlertKind.CONTRADICTION,
        found.provider,
        f"{found.provider} took {found.number} attempts that were decided otherwise, of the "
        f"orders {orders}: they may run twice, or were paid back",
        news_at=found.newest_at,
    )


def _stop(stop: OrderingStop) -> Trouble:
    """Somebody has stopped ordering for all. For one reseller it is no trouble, but a measure."""
    words = f"ordering is stopped for all, by {stop.actor}: {stop.reason}"
    return Trouble(AlertKind.ORDERING_STOPPED, "", words)


def duration(span: timedelta) -> str:
    """A length of time as people say it: ``40 s``, ``12 min``, ``3 h``, ``2 days``."""
    seconds = int(span.total_seconds())
    for unit, size, most in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < size * most:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86400} days"


def _one_line(text: str) -> str:
    """A panel's words may hold anything; mail headers and log lines take one line."""
    return "".join(c if c.isprintable() else " " for c in text)[:1000]
