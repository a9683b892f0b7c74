"""What counts as trouble, fact by fact."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.alerts.conditions import Facts, Limits, Trouble, duration, troubles
from gateway.store.facts import (
    AuditState,
    BackupState,
    Contradicted,
    ProcessState,
    ProviderTrouble,
    WaitingOrders,
)
from schemas.alerts import AlertKind
from schemas.money import UNIT
from schemas.resellers import OrderingStop

_NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
_ACCOUNT = ProviderTrouble("main", "USD", 50 * UNIT, "5", None, None, None, None, paused=False)
_PROCESS = ProcessState("a/1/x", "all", "host-a", 1, "0.1", 0, _NOW, 0, "s1")
_LIMITS = Limits(audit_every=5 * _MINUTE, backup_age=26 * _HOUR)
_WELL = Facts(
    now=_NOW,
    providers=[_ACCOUNT],
    for_people=[],
    stuck=[],
    audit=AuditState(_NOW - _MINUTE, 0),
    backup=BackupState(_NOW - _HOUR, None, _NOW - 99 * _HOUR, _NOW),
    processes=[_PROCESS],
    contradicted=[],
    stops=[],
)


def _one(facts: Facts, limits: Limits = _LIMITS) -> Trouble:
    [found] = troubles(facts, limits)
    return found


def _with(account: ProviderTrouble) -> Facts:
    return replace(_WELL, providers=[account])


def test_where_all_is_well_there_is_no_trouble() -> None:
    assert troubles(_WELL, _LIMITS) == []


def test_an_account_that_cannot_be_asked_is_down() -> None:
    silent = replace(_ACCOUNT, unanswered_since=_NOW - _MINUTE, unanswered_reason="timeout")
    found = _one(_with(silent))
    assert (found.kind, found.subject) == (AlertKind.PROVIDER_DOWN, "main")
    assert "timeout" in found.summary


def test_an_account_whose_key_is_refused_is_down() -> None:
    held = replace(_ACCOUNT, held_until=_NOW + _MINUTE, held_reason="Invalid API key")
    assert _one(_with(held)).kind is AlertKind.PROVIDER_DOWN
    old = replace(held, held_until=_NOW - _HOUR)
    assert troubles(_with(old), _LIMITS) == []


@pytest.mark.parametrize(
    "account",
    [
        replace(_ACCOUNT, balance=0),
        replace(_ACCOUNT, balance=-1, low_balance=None),
        replace(_ACCOUNT, balance=5 * UNIT - 1),
        replace(_ACCOUNT, held_until=_NOW + _MINUTE, held_reason="Not enough funds on balance"),
    ],
)
def test_an_account_is_out_of_funds_by_its_balance_or_its_refusals(
    account: ProviderTrouble,
) -> None:
    assert _one(_with(account)).kind is AlertKind.PROVIDER_OUT_OF_FUNDS
    assert troubles(_with(replace(account, paused=True)), _LIMITS) == []


def test_a_balance_at_its_limit_or_unknown_is_no_trouble() -> None:
    for account in (
        replace(_ACCOUNT, balance=5 * UNIT),
        replace(_ACCOUNT, balance=None),
        replace(_ACCOUNT, balance=1, low_balance="many"),
    ):
        assert troubles(_with(account), _LIMITS) == []


def test_orders_that_need_a_person_or_do_not_move_are_counted() -> None:
    waiting = [WaitingOrders("review", 3, _NOW - 3 * _HOUR)]
    found = _one(replace(_WELL, for_people=waiting))
    assert found.kind is AlertKind.ORDERS_NEED_A_PERSON
    assert found.summary == "3 orders need a person's decision, the oldest for 3 h"
    stuck = [WaitingOrders("queued", 2, _NOW - 11 * _MINUTE)]
    found = _one(replace(_WELL, stuck=stuck))
    assert found.kind is AlertKind.STUCK_ORDERS
    assert "2 queued for up to 11 min" in found.summary


def test_an_audit_that_found_something_or_does_not_run_has_failed() -> None:
    assert "2 rows" in _one(replace(_WELL, audit=AuditState(_NOW, 2))).summary
    late = AuditState(_NOW - 31 * _MINUTE, 0)
    assert "has not run for 31 min" in _one(replace(_WELL, audit=late)).summary
    assert troubles(replace(_WELL, audit=AuditState(None, 0)), _LIMITS) == []


def test_a_backup_is_too_old_beyond_its_limit_also_when_there_never_was_one() -> None:
    old = replace(_WELL.backup, finished_at=_NOW - 27 * _HOUR)
    assert _one(replace(_WELL, backup=old)).kind is AlertKind.BACKUP_TOO_OLD
    never = replace(_WELL.backup, finished_at=None)
    assert "no backup was ever made" in _one(replace(_WELL, backup=never)).summary
    young = replace(never, began_at=_NOW - _HOUR)
    assert troubles(replace(_WELL, backup=young), _LIMITS) == []
    assert troubles(replace(_WELL, backup=old), replace(_LIMITS, backup_age=None)) == []


def test_spools_count_also_when_their_process_has_died() -> None:
    holding = replace(_PROCESS, spool_entries=4)
    assert "4 entries" in _one(replace(_WELL, processes=[holding])).summary
    silent = replace(holding, beat_at=_NOW - _HOUR)
    assert "4 entries" in _one(replace(_WELL, processes=[silent])).summary


def test_a_quarantine_is_counted_once_for_all_processes_that_see_it() -> None:
    here = replace(_PROCESS, quarantined=2)
    other = replace(here, id="b", host="host-b", quarantined=1, spool="s2")
    found = _one(replace(_WELL, processes=[here, replace(here, id="c"), other]))
    assert found.kind is AlertKind.SPOOL_HOLDS_ENTRIES
    assert "3 that a defect keeps from it, on host-a, host-b" in found.summary


def test_a_contradiction_names_provider_and_orders() -> None:
    found = _one(replace(_WELL, contradicted=[Contradicted("main", 2, [17, 12], _NOW)]))
    assert (found.kind, found.subject) == (AlertKind.CONTRADICTION, "main")
    assert "17, 12" in found.summary


def test_ordering_that_is_stopped_for_all_is_trouble_and_for_one_it_is_not() -> None:
    stop = OrderingStop(None, "the panels are down", "ada", _NOW)
    found = _one(replace(_WELL, stops=[stop]))
    assert found.kind is AlertKind.ORDERING_STOPPED
    assert "by ada: the panels are down" in found.summary
    assert troubles(replace(_WELL, stops=[replace(stop, reseller="acme")]), _LIMITS) == []


def test_a_panel_s_words_stay_one_line() -> None:
    silent = replace(
        _ACCOUNT, unanswered_since=_NOW, unanswered_reason="x\r\nBcc: all@example.com\u2028y"
    )
    assert _one(_with(silent)).summary.isprintable()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172800, "2 days"),
    ],
)
def test_durations_are_said_in_one_unit(seconds: int, words: str) -> None:
    assert duration(timedelta(seconds=seconds)) == words
