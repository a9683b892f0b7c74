"""When trouble is told: once it has lasted, again while it lasts, and when it is over."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from gateway.alerts.conditions import Trouble
from gateway.alerts.deciding import HOLD, decide
from gateway.alerts.wording import body, command, runbook, text, title
from schemas.alerts import Alert, AlertEvent, AlertKind, Message
from tests.architecture import ROOT

_START = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
_DOWN = Trouble(AlertKind.PROVIDER_DOWN, "main", "main is silent")
_DAY = timedelta(days=1)


class _Watch:
    """Looks at given minutes, each with what is wrong then."""

    def __init__(self, repeat: timedelta | None = _DAY) -> None:
        self.known: list[Alert] = []
        self._repeat = repeat
        self._ids = map(str, itertools.count(1))

    def look(self, minute: float, *found: Trouble) -> Sequence[AlertEvent]:
        """What is told then."""
        now = _START + timedelta(minutes=minute)
        plan = decide(now, self.known, found, self._repeat, lambda: next(self._ids))
        self.known = plan.kept
        return [message.event for message in plan.messages]


def test_trouble_is_told_once_it_has_lasted_and_when_it_is_over() -> None:
    watch = _Watch()
    assert watch.look(0, _DOWN) == []
    assert watch.look(4.9, _DOWN) == []
    assert watch.look(5, _DOWN) == [AlertEvent.OPEN]
    assert watch.look(6, _DOWN) == []
    assert watch.look(7) == []
    assert watch.look(11.9) == []
    assert watch.look(12) == [AlertEvent.OVER]
    assert watch.known == []


def test_what_passes_by_itself_is_never_told() -> None:
    watch = _Watch()
    for minute in range(0, 40, 4):
        assert watch.look(minute, _DOWN) == []
        assert watch.look(minute + 2) == []
    assert watch.known == []


def test_trouble_that_comes_and_goes_is_told_once() -> None:
    watch = _Watch()
    watch.look(0, _DOWN)
    assert watch.look(5, _DOWN) == [AlertEvent.OPEN]
    for minute in range(6, 60, 4):
        assert watch.look(minute) == []
        assert watch.look(minute + 2, _DOWN) == []


def test_what_lasts_is_told_again_after_a_while() -> None:
    watch = _Watch(timedelta(hours=1))
    watch.look(0, _DOWN)
    watch.look(5, _DOWN)
    assert watch.look(64, _DOWN) == []
    assert watch.look(65, _DOWN) == [AlertEvent.STILL_OPEN]
    assert watch.look(66, _DOWN) == []
    assert watch.look(125, _DOWN) == [AlertEvent.STILL_OPEN]


@pytest.mark.parametrize("repeat", [_DAY, None])
def test_another_contradiction_at_the_same_provider_is_told_at_once(
    repeat: timedelta | None,
) -> None:
    watch = _Watch(repeat)
    first = Trouble(AlertKind.CONTRADICTION, "main", "order 17", news_at=_START)
    assert watch.look(1, first) == [AlertEvent.OPEN]
    assert watch.look(2, first) == []
    second = first._replace(summary="orders 18, 17", news_at=_START + timedelta(minutes=3))
    assert watch.look(4, second) == [AlertEvent.STILL_OPEN]
    assert watch.look(5, second) == []


def test_without_a_repeat_nothing_is_told_twice() -> None:
    watch = _Watch(None)
    watch.look(0, _DOWN)
    watch.look(5, _DOWN)
    assert watch.look(100_000, _DOWN) == []


def test_each_provider_is_told_of_by_itself_in_its_newest_words() -> None:
    watch = _Watch()
    other = Trouble(AlertKind.PROVIDER_DOWN, "other", "other is silent")
    watch.look(0, _DOWN)
    watch.look(3, _DOWN, other)
    assert watch.look(5, _DOWN._replace(summary="news"), other) == [AlertEvent.OPEN]
    assert watch.known[0].summary == "news"
    assert watch.look(8, _DOWN, other) == [AlertEvent.OPEN]


def test_a_broken_audit_is_told_at_once() -> None:
    broken = Trouble(AlertKind.AUDIT_FAILURE, "", "2 rows are broken")
    assert _Watch().look(0, broken) == [AlertEvent.OPEN]


@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_has_its_patience_and_its_advice(kind: AlertKind) -> None:
    assert HOLD[kind] >= timedelta(0)
    assert command(kind).startswith("smm-gateway ")
    file, _, anchor = runbook(kind).partition("#")
    assert f'<a id="{anchor}"></a>' in (ROOT / file).read_text(encoding="utf-8")
    for event in AlertEvent:
        message = Message("msg_1", kind, "main", event, "words", _START, _START)
        assert title(message).isprintable()
        assert text(message)
        assert f"alert.{event}".encode() in body(message)
