"""Whatever an upstream answers, the readers stay within the contract."""

import json
import re
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from providers.catalogue_reading import read_catalogue
from providers.decoding import Unreadable, decode
from providers.errors import Ambiguous, Rejected, Unavailable
from providers.reading import find_order_id, read_balance
from providers.request_reading import read_requests
from providers.status_reading import read_refill_states, read_statuses
from providers.verdicts import content_of, reply_in, verdict_on_add
from schemas.money import BadAmount, cost_from, rate_above
from tests.providers.answers import answered, by_first_text, row

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=20)  # lone surrogates too
    | st.sampled_from(["Completed", "1e5", "0", "error", "Bad link", "5", "Empty Data"])
)
NAMES = st.sampled_from(
    [
        *("order", "Order", "order_id", "id", "data", "error", "errors", "status", "success"),
        *("message", "services", "service", "name", "rate", "min", "max", "type", "refill"),
        *("cancel", "balance", "funds", "currency", "charge", "remains", "start_count", "1", "2"),
    ]
) | st.text(st.characters(), max_size=5)
PAYLOADS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=30,
)
STATUSES = st.sampled_from([200, 201, 301, 400, 402, 404, 429, 500, 503])


def judge_in_every_way(text: str, status: int) -> None:
    """Every reader either answers or raises an error of the contract; nothing else."""
    answer = answered(text, status)
    try:
        placed = verdict_on_add(answer, find_order_id, by_first_text)
    except (Rejected, Unavailable, Ambiguous):
        pass
    else:
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", placed.upstream_id)
        assert status in {200, 201}
    try:
        reply = reply_in(answer, by_first_text, state_expected=True)
    except (Rejected, Unavailable):
        return
    for parse in (
        read_catalogue,
        read_balance,
        lambda payload: read_statuses(payload, ["1", "2"]),
        lambda payload: read_statuses(payload, ["1"]),
        lambda payload: read_refill_states(payload, ["1"]),
        lambda payload: read_requests(payload, ["1", "2"], "refill"),
        lambda payload: read_requests(payload, ["1"], "cancel"),
    ):
        try:
            shown = repr(content_of(reply, parse))
        except (Rejected, Unavailable):
            continue
        assert not re.search(r"\\ud[89a-f]|\\x00", shown), "text that cannot be stored"


@given(PAYLOADS, STATUSES)
def test_any_json_is_read_or_refused_in_the_words_of_the_contract(
    payload: object, status: int
) -> None:
    judge_in_every_way(json.dumps(payload), status)


@given(st.binary(max_size=200), STATUSES)
def test_any_bytes_are_read_or_refused_in_the_words_of_the_contract(
    body: bytes, status: int
) -> None:
    judge_in_every_way(body.decode("utf-8", "replace"), status)


@given(st.dictionaries(NAMES, SCALARS, max_size=9))
def test_every_service_that_is_read_can_be_handled_as_money_and_quantity(
    changes: dict[str, Any],
) -> None:
    try:
        found = read_catalogue(decode(json.dumps([row(**changes)])))
    except Unreadable:
        return
    for service in found.services:
        assert 1 <= service.minimum <= service.maximum <= 2_147_483_647
        assert service.rate > 0
        service.name.encode()
        try:
            assert rate_above(cost_from(service.rate, Decimal(1)), Decimal(30)) > 0
        except BadAmount:
            assert service.rate > 10**11
