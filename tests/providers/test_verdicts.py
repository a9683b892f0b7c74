"""What a complete answer to ``add`` proves (U05 to U14 of the send path)."""

import pytest

from providers.errors import Ambiguous, Rejected, Unavailable
from providers.reading import find_order_id
from providers.verdicts import verdict_on_add
from tests.providers.answers import answered, by_first_text


@pytest.mark.parametrize(
    "body",
    [
        '{"order":123,"error":"x"}',
        '{"order":123,"error":"Bad link"}',
        '{"id":123,"error":"Bad link"}',
        '{"order":123,"status":"error"}',
        '{"order":123,"success":false}',
        '{"order":-1,"error":"Bad link"}',
        '{"order":true,"error":"Bad link"}',
        '{"order":[1],"error":"Bad link"}',
        '{"order":0}',
        '{"order":null}',
        '{"order":true}',
        '{"order":-1}',
        '{"order":1.5}',
        '{"order":[1]}',
        '{"order":NaN}',
        '{"error":"Unheard of"}',
        '{"error":{"code":"x","message":"y"}}',
        '{"status":"error"}',
        '{"success":false}',
        '"ok"',
        "[]",
        "[5]",
        "5",
        "",
    ],
)
def test_an_answer_that_proves_neither_is_ambiguous(body: str) -> None:
    with pytest.raises(Ambiguous) as caught:
        verdict_on_add(answered(body), find_order_id, by_first_text)
    assert caught.value.exchange is not None
    assert caught.value.exchange.body == body


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 422])
def test_a_client_error_is_judged_by_its_words(status: int) -> None:
    with pytest.raises(Rejected):
        verdict_on_add(answered('{"error":"Bad link"}', status), find_order_id, by_first_text)
    for body in ('{"error":"Unheard of"}', '{"order":5}', "Not Found", "{}"):
        with pytest.raises(Ambiguous):
            verdict_on_add(answered(body, status), find_order_id, by_first_text)


def test_too_many_requests_is_not_processed_only_where_the_panel_itself_says_so() -> None:
    for body in ('{"error":"Unheard of"}', '{"error":"Too many requests"}', "{}"):
        with pytest.raises(Unavailable):
            verdict_on_add(answered(body, 429), find_order_id, by_first_text)
    for body in ("<h1>429</h1>", "", '{"order":5}', '{"order":5,"error":"Too many requests"}'):
        with pytest.raises(Ambiguous):
            verdict_on_add(answered(body, 429), find_order_id, by_first_text)


def test_created_is_as_good_as_ok() -> None:
    placed = verdict_on_add(answered('{"order":5}', 201), find_order_id, by_first_text)
    assert placed.upstream_id == "5"
