"""Alerts in words: what has happened, and what to do about it. Pure."""

import json
from datetime import UTC, datetime
from typing import Any

from schemas.alerts import AlertEvent, AlertKind, Message

RUNBOOK = "docs/runbook.md"

#: What an operator does first; ``{subject}`` is the provider's name.
_COMMANDS: dict[AlertKind, str] = {
    AlertKind.PROVIDER_DOWN: "smm-gateway provider list",
    AlertKind.PROVIDER_OUT_OF_FUNDS: "smm-gateway provider list",
    AlertKind.ORDERS_NEED_A_PERSON: "smm-gateway review list",
    AlertKind.STUCK_ORDERS: "smm-gateway order list --state queued",
    AlertKind.AUDIT_FAILURE: "smm-gateway audit",
    AlertKind.BACKUP_TOO_OLD: "smm-gateway backup create",
    AlertKind.SPOOL_HOLDS_ENTRIES: "smm-gateway doctor",
    AlertKind.CONTRADICTION: "smm-gateway review list",
    AlertKind.ORDERING_STOPPED: "smm-gateway ordering show",
}
_ADVICE: dict[AlertKind, str] = {
    AlertKind.PROVIDER_DOWN: "look whether the panel is up and its key still works",
    AlertKind.PROVIDER_OUT_OF_FUNDS: "top up the account at the panel",
    AlertKind.ORDERS_NEED_A_PERSON: "look at each of them and resolve it",
    AlertKind.STUCK_ORDERS: "look at what they wait for: a provider, or the gateway's workers",
    AlertKind.AUDIT_FAILURE: "see which rows are broken, and stop who caused it",
    AlertKind.BACKUP_TOO_OLD: "make a backup, then mend what should have made it",
    AlertKind.SPOOL_HOLDS_ENTRIES: "look at the gateway's log (spool.*) and its disk",
    AlertKind.CONTRADICTION: "look at the panel for what runs twice or was paid back",
    AlertKind.ORDERING_STOPPED: "start it again once its reason is gone: `ordering start`",
}
_WORDS = {
    AlertEvent.OPEN: "ALERT",
    AlertEvent.STILL_OPEN: "STILL OPEN",
    AlertEvent.OVER: "over",
}
_TRIAL = "[smm-gateway] test: this channel works, and nothing is wrong"


def title(message: Message) -> str:
    """One line, for the subject of a mail."""
    if message.event is AlertEvent.TEST:
        return _TRIAL
    about = f": {message.subject}" if message.subject else ""
    return f"[smm-gateway] {_WORDS[message.event]} {message.kind}{about}"


def text(message: Message) -> str:
    """The whole message for people."""
    if message.event is AlertEvent.TEST:
        return f"{_TRIAL}\n"
    since = f"since {_time(message.since)}"
    if message.event is AlertEvent.OVER:
        return (
            f"{title(message)}\n\nIt was: {message.summary}.\n{since}, over {_time(message.at)}\n"
        )
    return (
        f"{title(message)}\n\n{message.summary}.\n{since}\n\n"
        f"Do: {_ADVICE[message.kind]}\n    {command(message.kind)}\nSee: {runbook(message.kind)}\n"
    )


def body(message: Message) -> bytes:
    """The whole message for programs: JSON with type, timestamp and data."""
    data: dict[str, Any] = {} if message.event is AlertEvent.TEST else _data(message)
    event = {
        "type": f"alert.{message.event}",
        "timestamp": message.at.astimezone(UTC).isoformat(),
        "data": data,
    }
    return json.dumps(event, ensure_ascii=False).encode()


def _data(message: Message) -> dict[str, Any]:
    return {
        "kind": message.kind,
        "subject": message.subject,
        "summary": message.summary,
        "since": message.since.astimezone(UTC).isoformat(),
        "command": command(message.kind),
        "runbook": runbook(message.kind),
    }


def command(kind: AlertKind) -> str:
    """The command that shows or mends it."""
    return _COMMANDS[kind]


def runbook(kind: AlertKind) -> str:
    """Where it is written what to do."""
    return f"{RUNBOOK}#{kind}"


def _time(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
