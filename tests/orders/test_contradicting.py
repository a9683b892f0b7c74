"""An upstream that took an attempt after all: nothing is sent once more, and somebody is told."""

from collections.abc import Sequence

import pytest

from gateway.catalogue.upstreams import timeouts
from gateway.errors import UserError
from gateway.metrics import CONTRADICTIONS
from gateway.orders.dispatch import freeze_forgotten
from gateway.orders.failover import Outcome
from gateway.orders.reconciliation import Reconciler
from gateway.orders.recording import Ended, Recorder
from gateway.orders.replaying import Replays
from gateway.orders.resolutions import require_known_upstream, resolve_order
from gateway.orders.resolving import Word
from gateway.orders.spooling import spooled_outcome
from gateway.orders.unclaiming import give_back
from gateway.spool import OUTCOME
from gateway.store import doubts
from providers.errors import Ambiguous, Rejected, Unavailable
from providers.transport import Transport
from schemas.config import ReconcileSettings
from schemas.doubts import Decision, Finding, Verdict
from schemas.orders import AttemptState, ClaimedOrder, OrderState
from schemas.upstream import Exchange, Placed, RefusalGroup
from tests.orders.line import DISPATCH, Line, faulty
from tests.world import BY_TEST, KEYS

_TOLD = Exchange(sent=True, elapsed_ms=1, status=200)
_LATE = Placed("77", _TOLD)


async def _claim(line: Line) -> ClaimedOrder:
    await line.pool.execute("update orders set next_at = now() where state = 'queued'")
    [order] = (await line.sender.claim(line.provider, 1)).orders
    return order


async def _record(line: Line, order: ClaimedOrder, outcome: Outcome) -> float:
    """Record an outcome; how many contradictions were told."""
    before = _told(line)
    recorder = Recorder(line.pool, DISPATCH, line.spool, {})
    await recorder.record(Ended(line.provider, order, outcome))
    return _told(line) - before


def _told(line: Line) -> float:
    return float(CONTRADICTIONS.labels(line.provider.name)._value.get())


async def _decided(line: Line, outcome: Outcome) -> ClaimedOrder:
    """An order about whose first attempt something else was found out."""
    await line.place(faulty())
    order = await _claim(line)
    await _record(line, order, outcome)
    return order


_ABSENT = Unavailable("found to be absent")


@pytest.mark.parametrize("spooled", [False, True], ids=["at once", "from the spool"])
async def test_an_order_that_was_taken_after_all_is_not_sent_again(
    line: Line, spooled: bool
) -> None:
    order = await _decided(line, _ABSENT)
    if spooled:
        late = spooled_outcome(line.provider, order, _LATE)
        line.spool.release(await line.spool.add(OUTCOME, late))
        recorder = Recorder(line.pool, DISPATCH, line.spool, {})
        before = _told(line)
        await Replays(line.pool, line.spool, recorder).work()
        assert _told(line) == before + 1
        assert line.spool.entries(OUTCOME) == []
    else:
        assert await _record(line, order, _LATE) == 1
    assert (await line.row(order.id))["state"] == OrderState.REVIEW
    assert await line.attempts(order.id) == [AttemptState.PLACED]
    await line.world.assert_sound()
    assert await line.send() == []
    # A person looks, and from then on it is followed there.
    word = Word(Decision.PLACED, "seen there", upstream_id="77")
    await resolve_order(line.pool, order.id, word, BY_TEST, correction_ms=1)
    row = await line.row(order.id)
    assert (row["state"], row["upstream_id"]) == (OrderState.PLACED, "77")
    await line.world.assert_sound()


async def test_an_order_that_is_sent_again_already_stays_with_that(line: Line) -> None:
    first = await _decided(line, _ABSENT)
    await _claim(line)
    assert await _record(line, first, _LATE) == 1
    assert (await line.row(first.id))["state"] == OrderState.SENDING
    assert await line.attempts(first.id) == [AttemptState.NOT_SENT, AttemptState.INTENT]
    await line.world.assert_sound()


_REFUSED = Rejected("bad link", RefusalGroup.ORDER, _TOLD)
_LOST = Ambiguous("no answer", Exchange(sent=True, elapsed_ms=1))


@pytest.mark.parametrize(
    ("second", "left"),
    [
        (_REFUSED, [AttemptState.PLACED, AttemptState.REJECTED]),
        (_ABSENT, [AttemptState.PLACED, AttemptState.NOT_SENT]),
        (_LOST, [AttemptState.NOT_SENT, AttemptState.UNKNOWN]),
    ],
    ids=["refused", "not sent", "lost"],
)
async def test_an_order_whose_first_attempt_runs_is_neither_sent_a_third_time_nor_paid_back(
    line: Line, second: Outcome, left: list[AttemptState]
) -> None:
    first = await _decided(line, _ABSENT)
    again = await _claim(line)
    await _record(line, first, _LATE)
    assert await _record(line, again, second) == 0
    row = await line.row(first.id)
    assert (row["state"], row["refunded"]) == (OrderState.REVIEW, 0)
    assert await line.attempts(first.id) == left
    assert await line.send() == []
    word = Word(Decision.PLACED, "seen there", upstream_id="77")
    await resolve_order(line.pool, first.id, word, BY_TEST, correction_ms=1)
    row = await line.row(first.id)
    assert (row["state"], row["upstream_id"]) == (OrderState.PLACED, "77")
    await line.world.assert_sound()


@pytest.mark.parametrize("second", [_REFUSED, _ABSENT], ids=["refused", "not sent"])
async def test_a_late_answer_to_an_order_in_review_neither_pays_it_back_nor_sends_it_again(
    line: Line, second: Outcome
) -> None:
    first = await _decided(line, _ABSENT)
    again = await _claim(line)
    await line.pool.execute("update orders set next_at = now() where state = 'sending'")
    assert await freeze_forgotten(line.pool) == 1
    assert await _record(line, first, _LATE) == 1
    assert (await line.row(first.id))["state"] == OrderState.REVIEW
    assert await line.attempts(first.id) == [AttemptState.NOT_SENT, AttemptState.UNKNOWN]
    version = (await line.row(first.id))["version"]
    await _record(line, again, second)
    row = await line.row(first.id)
    assert (row["state"], row["version"], row["refunded"]) == (OrderState.REVIEW, version, 0)
    assert (await line.attempts(first.id))[0] == AttemptState.PLACED
    assert await line.send() == []
    await line.world.assert_sound()


async def _decide(line: Line, order: ClaimedOrder, word: Word) -> None:
    await resolve_order(line.pool, order.id, word, BY_TEST, correction_ms=1)


@pytest.mark.parametrize("second", [None, _LOST], ids=["alone", "the second in doubt"])
async def test_an_order_that_was_taken_is_not_sent_again_on_an_operators_word(
    line: Line, second: Outcome | None
) -> None:
    first = await _decided(line, _ABSENT)
    again = await _claim(line) if second else None
    await _record(line, first, _LATE)
    if again and second:
        await _record(line, again, second)
    assert (await line.row(first.id))["state"] == OrderState.REVIEW
    with pytest.raises(UserError, match=r"attempt 1 was taken as 77: use --placed 77, or --cancel"):
        await _decide(line, first, Word(Decision.NOT_PLACED, "not seen there"))
    assert await line.send() == []
    await _decide(line, first, Word(Decision.CANCELED, "it took too long"))
    assert await line.spent() == 0
    await line.world.assert_sound()


async def test_a_decision_is_about_the_attempt_whose_id_it_names(line: Line) -> None:
    first = await _decided(line, _ABSENT)
    spare = await line.world.provider("http://127.0.0.1:1/", name="spare")
    await line.pool.execute("update orders set provider_id = $1, next_at = now()", spare.id)
    [again] = (await line.sender.claim(spare, 1)).orders
    await _record(line, first, _LATE)
    recorder = Recorder(line.pool, DISPATCH, line.spool, {})
    await recorder.record(Ended(spare, again, _LOST))
    assert await line.attempts(first.id) == [AttemptState.NOT_SENT, AttemptState.UNKNOWN]
    # Nobody answers at the spare one: it is the first provider that is asked for its order.
    async with Transport(timeouts(DISPATCH)) as transport:
        with pytest.raises(UserError, match="sandbox does not have order 77"):
            await require_known_upstream(line.pool, transport, KEYS, first.id, "77")
    await _decide(line, first, Word(Decision.PLACED, "seen there", upstream_id="77"))
    row = await line.row(first.id)
    assert (row["state"], row["provider_id"]) == (OrderState.PLACED, line.provider.id)
    assert await line.attempts(first.id) == [AttemptState.PLACED, AttemptState.ABANDONED]
    owners = await line.pool.fetch("select provider_id, upstream_id from placement")
    assert [tuple(row) for row in owners] == [(line.provider.id, "77")]
    await line.world.assert_sound()


async def test_an_order_whose_first_attempt_runs_is_kept_when_the_second_is_found_absent(
    line: Line,
) -> None:
    first = await _decided(line, _ABSENT)
    await _claim(line)
    await _record(line, first, _LATE)
    await line.pool.execute("update orders set next_at = now() where state = 'sending'")
    assert await freeze_forgotten(line.pool) == 1
    async with line.pool.acquire() as conn:
        [doubt], _ = await doubts.list_doubts(conn, line.provider.id)
    reconciler = Reconciler(line.pool, ReconcileSettings(), DISPATCH, "USD")
    absent = Verdict(doubt, Finding.NOT_PLACED, "absent_from_list", {})
    await reconciler.write(line.provider, absent)
    row = await line.row(first.id)
    assert (row["state"], row["refunded"]) == (OrderState.REVIEW, 0)
    assert await line.attempts(first.id) == [AttemptState.PLACED, AttemptState.NOT_SENT]
    assert await line.send() == []
    await line.world.assert_sound()


async def test_a_claim_that_is_given_back_of_an_order_that_runs_is_not_made_again(
    line: Line,
) -> None:
    first = await _decided(line, _ABSENT)
    again = await _claim(line)
    await _record(line, first, _LATE)
    await give_back(line.pool, [again], again.started_at, 10)
    assert (await line.row(first.id))["state"] == OrderState.REVIEW
    assert await line.attempts(first.id) == [AttemptState.PLACED, AttemptState.NOT_SENT]
    await line.world.assert_sound()


async def test_a_second_attempt_that_is_taken_too_is_followed(line: Line) -> None:
    first = await _decided(line, _ABSENT)
    again = await _claim(line)
    assert await _record(line, first, _LATE) == 1
    await _record(line, again, Placed("78", _TOLD))
    row = await line.row(first.id)
    assert (row["state"], row["upstream_id"]) == (OrderState.PLACED, "78")
    await line.world.assert_sound()


async def test_an_order_whose_second_attempt_is_in_doubt_is_not_sent_a_third_time(
    line: Line,
) -> None:
    first = await _decided(line, _ABSENT)
    await _claim(line)
    await line.pool.execute("update attempt set state = 'unknown' where state = 'intent'")
    await line.pool.execute("update orders set state = 'unknown', version = version + 1")
    await line.pool.execute(
        "insert into order_event (order_id, version, from_state, to_state, cause)"
        " select id, version, 'sending', 'unknown', 'test' from orders"
    )
    assert await _record(line, first, _LATE) == 1
    assert (await line.row(first.id))["state"] == OrderState.REVIEW
    assert await line.attempts(first.id) == [AttemptState.NOT_SENT, AttemptState.UNKNOWN]
    await line.world.assert_sound()


async def test_money_that_was_paid_back_stays_paid_back(line: Line) -> None:
    order = await _decided(line, Rejected("bad link", RefusalGroup.ORDER, _TOLD))
    assert await _record(line, order, _LATE) == 1
    assert (await line.row(order.id))["state"] == OrderState.FAILED
    assert await line.spent() == 0
    await line.world.assert_sound()


async def test_an_order_that_is_placed_under_another_id_stays_there(line: Line) -> None:
    order = await _decided(line, Placed("76", _TOLD))
    assert await _record(line, order, _LATE) == 1
    row = await line.row(order.id)
    assert (row["state"], row["upstream_id"]) == (OrderState.PLACED, "76")
    await line.world.assert_sound()


async def test_a_record_that_is_repeated_contradicts_nothing(line: Line) -> None:
    order = await _decided(line, _LATE)
    assert await _record(line, order, _LATE) == 0
    assert (await line.row(order.id))["state"] == OrderState.PLACED


async def test_what_was_taken_twice_is_nobody_else_s(line: Line) -> None:
    order = await _decided(line, _ABSENT)
    await _record(line, order, _LATE)
    rows: Sequence[tuple[str, int]] = [
        (row["upstream_id"], row["order_id"])
        for row in await line.pool.fetch("select upstream_id, order_id from placement")
    ]
    assert rows == [("77", order.id)]
