"""What becomes of trouble: told once it has lasted, told again while it lasts, and told when over.

    seen ──holds for a while──▶ told ──every repeat, or when there is more──▶ told again
      │                          │
      └─ not seen: forgotten     └─ not seen for a while ──▶ told that it is over, forgotten

Pure: the clock is the database's, given as ``now``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from gateway.alerts.conditions import Trouble
from schemas.alerts import Alert, AlertEvent, AlertKind, Message

#: Trouble must last so long before it is told, and be gone so long before it is over.
HOLD: dict[AlertKind, timedelta] = {
    AlertKind.PROVIDER_DOWN: timedelta(minutes=5),
    AlertKind.PROVIDER_OUT_OF_FUNDS: timedelta(minutes=1),
    AlertKind.ORDERS_NEED_A_PERSON: timedelta(minutes=1),
    AlertKind.STUCK_ORDERS: timedelta(minutes=5),
    AlertKind.AUDIT_FAILURE: timedelta(0),
    AlertKind.BACKUP_TOO_OLD: timedelta(0),
    AlertKind.SPOOL_HOLDS_ENTRIES: timedelta(minutes=10),
    AlertKind.CONTRADICTION: timedelta(0),
    AlertKind.ORDERING_STOPPED: timedelta(minutes=1),
}


@dataclass(slots=True)
class Plan:
    """What a look changes: alerts as they are kept from now on, those that end, and messages."""

    kept: list[Alert] = field(default_factory=list)
    ended: list[Alert] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


def decide(
    now: datetime,
    known: Sequence[Alert],
    found: Sequence[Trouble],
    repeat: timedelta | None,
    new_id: Callable[[], str],
) -> Plan:
    """What follows from what is wrong now, where ``known`` is what was wrong before.

    ``repeat`` is after how long what lasts is told again; None is never.
    """
    plan = Plan()
    before = {(alert.kind, alert.subject): alert for alert in known}
    for trouble in found:
        old = before.pop((trouble.kind, trouble.subject), None)
        since = old.since if old else now
        seen = Alert(
            trouble.kind, trouble.subject, trouble.summary, since, old.told_at if old else None
        )
        event = _to_tell(seen, trouble.news_at, now, repeat)
        if event is not None:
            seen = replace(seen, told_at=now)
            plan.messages.append(_message(new_id(), seen, event, now))
        plan.kept.append(seen)
    for gone in before.values():
        _let_go(plan, gone, now, new_id)
    return plan


def _to_tell(
    alert: Alert, news_at: datetime | None, now: datetime, repeat: timedelta | None
) -> AlertEvent | None:
    if alert.told_at is None:
        return AlertEvent.OPEN if now - alert.since >= HOLD[alert.kind] else None
    if news_at is not None and news_at > alert.told_at:
        return AlertEvent.STILL_OPEN
    if repeat is not None and now - alert.told_at >= repeat:
        return AlertEvent.STILL_OPEN
    return None


def _let_go(plan: Plan, alert: Alert, now: datetime, new_id: Callable[[], str]) -> None:
    """Trouble that is not seen any more. What nobody was told of ends without a word."""
    gone_at = alert.gone_at or now
    if alert.told_at is None:
        plan.ended.append(alert)
    elif now - gone_at >= HOLD[alert.kind]:
        plan.ended.append(alert)
        plan.messages.append(_message(new_id(), alert, AlertEvent.OVER, now))
    else:
        plan.kept.append(replace(alert, gone_at=gone_at))


def _message(message_id: str, alert: Alert, event: AlertEvent, now: datetime) -> Message:
    return Message(message_id, alert.kind, alert.subject, event, alert.summary, alert.since, now)
