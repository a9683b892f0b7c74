"""The default adapter: what it sends, what it falls back to, and what a dialect costs."""

from collections.abc import Mapping
from typing import ClassVar

import pytest

from providers.account import ProviderAccount
from providers.decoding import Json
from providers.errors import Ambiguous, Rejected, Unavailable
from providers.panel_v2 import PanelV2
from providers.reading import NoOrderId, find_order_id
from providers.transport import Transport
from schemas.upstream import (
    RefusalGroup,
    Submission,
    UpstreamRequest,
    UpstreamStatus,
    UpstreamWord,
)
from tests.providers.wire import KEY, Upstream, says

ORDER = Submission("7", {"link": "https://example.com/p?a=1&b=ü", "quantity": "250"})
UNKNOWN_WORDS = '{"error":"Unheard of"}'
TAKEN = UpstreamRequest(taken=True)


def panel(upstream: Upstream, transport: Transport, **options: object) -> PanelV2:
    return PanelV2(ProviderAccount("main", upstream.url, KEY, options), transport)


def sent(upstream: Upstream) -> list[dict[str, str]]:
    """The forms that were received, without what every form has."""
    forms = [dict(request.form) for request in upstream.requests]
    assert all(form.pop("key") == KEY for form in forms)
    return forms


async def test_an_order_is_sent_with_its_parameters_as_they_are(transport: Transport) -> None:
    async with Upstream(says('{"order":1}')) as upstream:
        await panel(upstream, transport).add(ORDER)
    assert sent(upstream) == [
        {
            "action": "add",
            "service": "7",
            "link": "https://example.com/p?a=1&b=ü",
            "quantity": "250",
        }
    ]


async def test_a_parameter_cannot_replace_the_key_the_action_or_the_service(
    transport: Transport,
) -> None:
    order = Submission("7", {"key": "mine", "action": "balance", "service": "8"})
    async with Upstream(says('{"order":1}')) as upstream:
        await panel(upstream, transport).add(order)
    assert sent(upstream) == [{"action": "add", "service": "7"}]


async def test_text_that_cannot_be_sent_is_a_fault_of_the_order(transport: Transport) -> None:
    order = Submission("7", {"link": "https://example.com/\ud800"})
    async with Upstream(says('{"order":1}')) as upstream:
        with pytest.raises(Rejected) as caught:
            await panel(upstream, transport).add(order)
    assert caught.value.group is RefusalGroup.ORDER
    assert upstream.connections == 0


async def test_one_id_is_asked_in_the_singular_and_several_in_the_plural(
    transport: Transport,
) -> None:
    body = '{"1":{"status":"Pending"},"2":{"status":"Pending"}}'
    async with Upstream(says(body)) as upstream:
        provider = panel(upstream, transport)
        await provider.status(["1"])
        await provider.status(["1", "2"])
        await provider.refill_status(["1"])
        await provider.refill_status(["1", "2"])
    assert sent(upstream) == [
        {"action": "status", "order": "1"},
        {"action": "status", "orders": "1,2"},
        {"action": "refill_status", "refill": "1"},
        {"action": "refill_status", "refills": "1,2"},
    ]


@pytest.mark.parametrize("action", ["add", "refill", "cancel"])
async def test_what_happens_once_never_travels_on_a_connection_that_may_be_closing(
    transport: Transport, action: str
) -> None:
    async with Upstream(says('{"order":1,"refill":"5","cancel":1}')) as upstream:
        provider = panel(upstream, transport)
        for _ in range(2):
            await (provider.add(ORDER) if action == "add" else getattr(provider, action)(["1"]))
    assert upstream.connections == 2


async def test_cancel_is_asked_in_the_plural_as_the_reference_has_it(transport: Transport) -> None:
    async with Upstream(says('[{"order":1,"cancel":1}]')) as upstream:
        assert await panel(upstream, transport).cancel(["1"]) == {"1": TAKEN}
    assert sent(upstream) == [{"action": "cancel", "orders": "1"}]


async def test_cancel_is_asked_one_by_one_where_the_account_says_so(transport: Transport) -> None:
    async with Upstream(says('{"ok":true}')) as upstream:
        provider = panel(upstream, transport, cancel_one_by_one=True)
        assert await provider.cancel(["1", "2"]) == {"1": TAKEN, "2": TAKEN}
    assert sent(upstream) == [
        {"action": "cancel", "order": "1"},
        {"action": "cancel", "order": "2"},
    ]


async def test_what_was_learned_before_a_failure_stays(transport: Transport) -> None:
    async with Upstream(says('{"ok":true}', "<html>", '{"ok":true}')) as upstream:
        provider = panel(upstream, transport, cancel_one_by_one=True)
        assert await provider.cancel(["1", "2", "3"]) == {"1": TAKEN}
    assert len(upstream.requests) == 2


@pytest.mark.parametrize(
    "first",
    [
        '{"error":"Incorrect request"}',
        '{"error":"Incorrect order ID"}',
        '{"error":"Order ID is required parameter. Please check your API Manual"}',
        '[{"status":"Canceled"},{"status":"Pending"}]',
        '{"9":{"status":"Canceled"}}',
        "[]",
        "{}",
        "",
    ],
)
async def test_a_panel_that_knows_no_lists_is_asked_one_by_one(
    transport: Transport, first: str
) -> None:
    answers = (first, '{"status":"Pending"}', '{"error":"Incorrect order ID"}')
    async with Upstream(says(*answers)) as upstream:
        found = await panel(upstream, transport).status(["1", "2"])
    assert found == {
        "1": UpstreamStatus(UpstreamWord.PENDING, raw_word="Pending"),
        "2": UpstreamStatus(None, error="Incorrect order ID"),
    }
    assert [form.get("order") for form in sent(upstream)] == [None, "1", "2"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"error":"Invalid API key"}', Rejected),
        ('{"error":"Too many requests"}', Rejected),
        (UNKNOWN_WORDS, Unavailable),
        ("<html>", Unavailable),
    ],
)
async def test_trouble_is_no_reason_to_ask_one_by_one(
    transport: Transport, body: str, error: type[Exception]
) -> None:
    async with Upstream(says(body)) as upstream:
        with pytest.raises(error):
            await panel(upstream, transport).status(["1", "2"])
    assert len(upstream.requests) == 1


async def test_a_request_that_was_not_understood_says_nothing_of_the_order(
    transport: Transport,
) -> None:
    async with Upstream(says('{"error":"Incorrect request"}')) as upstream:
        with pytest.raises(Rejected):
            await panel(upstream, transport).status(["1"])


async def test_more_ids_than_fit_are_a_mistake_of_the_caller(transport: Transport) -> None:
    ids = [str(number) for number in range(1, 102)]
    async with Upstream(says("{}")) as upstream:
        provider = panel(upstream, transport)
        for ask in (provider.status, provider.refill, provider.refill_status, provider.cancel):
            with pytest.raises(ValueError, match="101 ids"):
                await ask(ids)
    assert upstream.connections == 0


@pytest.mark.parametrize("text", ["Refill is disabled for this service", "Incorrect action"])
async def test_a_panel_without_refills_refuses_each_and_stays_in_use(
    transport: Transport, text: str
) -> None:
    async with Upstream(says(f'{{"error":"{text}"}}')) as upstream:
        found = await panel(upstream, transport).refill(["1", "2"])
    assert found == dict.fromkeys(["1", "2"], UpstreamRequest(taken=False, error=text))


async def test_an_unknown_action_concerns_the_account_elsewhere(transport: Transport) -> None:
    async with Upstream(says('{"error":"Incorrect action"}')) as upstream:
        for call in (panel(upstream, transport).balance(), panel(upstream, transport).add(ORDER)):
            with pytest.raises(Rejected) as caught:
                await call
            assert caught.value.group is RefusalGroup.ACCOUNT


async def test_a_rate_limit_names_its_pause(transport: Transport) -> None:
    answer = says('{"error":"Slow down"}', status=429, headers={"Retry-After": "30"})
    async with Upstream(answer) as upstream:
        with pytest.raises(Unavailable) as caught:
            await panel(upstream, transport).add(ORDER)
    assert caught.value.exchange is not None
    assert caught.value.exchange.retry_after == 30


async def test_an_account_may_declare_that_any_error_is_a_refusal(transport: Transport) -> None:
    async with Upstream(says(UNKNOWN_WORDS)) as upstream:
        with pytest.raises(Rejected) as caught:
            await panel(upstream, transport, any_error_is_refusal=True).add(ORDER)
    assert caught.value.group is RefusalGroup.ORDER


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ('{"order":5,"error":"Unheard of"}', 200),
        ("<html>", 200),
        ("{}", 200),
        (UNKNOWN_WORDS, 500),
    ],
)
async def test_that_declaration_covers_nothing_but_plain_errors(
    transport: Transport, body: str, status: int
) -> None:
    async with Upstream(says(body, status=status)) as upstream:
        with pytest.raises(Ambiguous):
            await panel(upstream, transport, any_error_is_refusal=True).add(ORDER)


async def test_an_account_may_be_taught_single_refusals(transport: Transport) -> None:
    taught = {"unheard OF": "temporary"}
    async with Upstream(says(UNKNOWN_WORDS, '{"error":"Unheard of it"}')) as upstream:
        provider = panel(upstream, transport, known_refusals=taught)
        with pytest.raises(Rejected) as caught:
            await provider.add(ORDER)
        with pytest.raises(Ambiguous):
            await provider.add(ORDER)
    assert caught.value.group is RefusalGroup.TEMPORARY


class Dialect(PanelV2):
    """A panel with other names for the same things."""

    kind = "dialect"
    default_options: ClassVar[Mapping[str, object]] = {"action_names": {"add": "create"}}

    def encode_add(self, order: Submission) -> dict[str, str]:
        return {"service_id": order.service, "url": order.parameters["link"]}

    def parse_order_id(self, payload: Json) -> str | NoOrderId:
        return find_order_id(payload["task"] if isinstance(payload, dict) else payload)


async def test_a_dialect_is_a_few_lines(transport: Transport) -> None:
    async with Upstream(says('{"task":{"id":"t-9"}}')) as upstream:
        account = ProviderAccount("main", upstream.url, KEY)
        placed = await Dialect(account, transport).add(ORDER)
    assert placed.upstream_id == "t-9"
    assert sent(upstream) == [
        {"action": "create", "service_id": "7", "url": "https://example.com/p?a=1&b=ü"}
    ]
