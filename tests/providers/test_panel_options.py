"""What an account may be configured with: what then goes over the wire and how it is read."""

import json
import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from providers.account import BadAccount, ProviderAccount
from providers.errors import Ambiguous, Rejected, Unavailable
from providers.limits import Timeouts
from providers.panel_options import PanelOptions
from providers.panel_v2 import PanelV2
from providers.registry import create_provider
from providers.transport import Transport, metered
from schemas.upstream import RefusalGroup, Submission, UpstreamStatus, UpstreamWord
from tests.architecture import ROOT
from tests.providers.answers import row
from tests.providers.wire import KEY, Request, Upstream, hangs, says

ORDER = Submission("7", {"link": "https://example.com/p?a=1&b=ü +c", "quantity": "250"})
FIELDS = {"action": "add", "service": "7", "quantity": "250", "link": ORDER.parameters["link"]}
PLACED = '{"order":1}'


def panel(upstream: Upstream, transport: Transport, **options: object) -> PanelV2:
    return PanelV2(ProviderAccount("main", upstream.url, KEY, options), transport)


async def sent(transport: Transport, **options: object) -> Request:
    """The one request that an order becomes."""
    async with Upstream(says(PLACED)) as upstream:
        await panel(upstream, transport, **options).add(ORDER)
    (request,) = upstream.requests
    return request


async def test_by_default_an_order_is_a_form_with_the_key_in_it(transport: Transport) -> None:
    request = await sent(transport)
    assert (request.method, request.target) == ("POST", "/api/v2")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.form == {**FIELDS, "key": KEY}


@pytest.mark.parametrize(
    "options", [{"method": "GET"}, {"method": "GET", "encoding": "query"}, {"encoding": "query"}]
)
async def test_fields_may_travel_in_the_address(
    transport: Transport, options: dict[str, object]
) -> None:
    request = await sent(transport, **options)
    assert request.method == options.get("method", "POST")
    assert request.target.startswith("/api/v2?")
    assert "content-type" not in request.headers or request.headers["content-length"] == "0"
    assert request.form == {**FIELDS, "key": KEY}


async def test_an_address_with_a_query_of_its_own_keeps_it(transport: Transport) -> None:
    async with Upstream(says(PLACED)) as upstream:
        account = ProviderAccount("main", f"{upstream.url}/?v=2", KEY, {"method": "GET"})
        await PanelV2(account, transport).add(ORDER)
    (request,) = upstream.requests
    assert request.target.startswith("/api/v2/?v=2&")
    assert request.form == {**FIELDS, "key": KEY, "v": "2"}


async def test_fields_may_be_json(transport: Transport) -> None:
    request = await sent(transport, encoding="json")
    assert request.headers["content-type"] == "application/json"
    assert request.form == {**FIELDS, "key": KEY}


@pytest.mark.parametrize(
    ("options", "header", "value"),
    [
        ({"key_in": "header"}, "x-api-key", KEY),
        ({"key_in": "header", "key_name": "X-Token"}, "x-token", KEY),
        ({"key_in": "bearer"}, "authorization", f"Bearer {KEY}"),
    ],
)
async def test_the_key_may_travel_in_a_header_and_then_nowhere_else(
    transport: Transport, options: dict[str, object], header: str, value: str
) -> None:
    for method in ("POST", "GET"):
        request = await sent(transport, method=method, **options)
        assert request.headers[header] == value
        assert request.form == FIELDS
        assert KEY not in request.target


async def test_the_key_may_have_another_name(transport: Transport) -> None:
    assert (await sent(transport, key_name="api_token")).form == {**FIELDS, "api_token": KEY}


async def test_headers_are_added_and_may_replace_the_agent(transport: Transport) -> None:
    request = await sent(transport, headers={"X-Shop": "a b", "User-Agent": "shop/1"})
    assert request.headers["x-shop"] == "a b"
    assert request.headers["user-agent"] == "shop/1"
    assert request.headers["accept"] == "application/json"


async def test_actions_and_parameters_may_have_other_names(transport: Transport) -> None:
    names = {"action": "method", "service": "package", "link": "url", "orders": "ids"}
    actions = {"add": "create", "multi_status": "statuses", "refill": "restart"}
    answers = (PLACED, '{"1":{"status":"Pending"},"2":{"status":"Pending"}}', '{"refill":1}')
    async with Upstream(says(*answers)) as upstream:
        provider = panel(upstream, transport, action_names=actions, parameter_names=names)
        await provider.add(ORDER)
        await provider.status(["1", "2"])
        await provider.refill(["1"])
    assert [{k: v for k, v in r.form.items() if k != "key"} for r in upstream.requests] == [
        {"method": "create", "package": "7", "url": FIELDS["link"], "quantity": "250"},
        {"method": "statuses", "ids": "1,2"},
        {"method": "restart", "order": "1"},
    ]


async def test_several_orders_are_asked_for_under_the_name_of_one_where_no_other_is_given(
    transport: Transport,
) -> None:
    async with Upstream(says('{"1":{"status":"Pending"}}')) as upstream:
        await panel(upstream, transport, action_names={"status": "check"}).status(["1", "2"])
    assert upstream.requests[0].form["action"] == "check"


async def test_things_are_found_where_the_account_says_that_they_lie(transport: Transport) -> None:
    paths = {
        "services": "result.items",
        "balance": "wallet.0.sum",
        "currency": "wallet.0.unit",
        "order": "result.id",
        "status": "result",
        "refill": "result",
        "refill_status": "result",
        "cancel": "result",
    }
    answers = (
        '{"result":{"items":[{"service":1,"name":"n","rate":"1","min":1,"max":2}]}}',
        '{"wallet":[{"sum":"5.5","unit":"inr"}],"balance":"9"}',
        '{"result":{"id":"t-9"},"id":4}',
        '{"result":{"1":{"status":"Pending"}}}',
        '{"result":{"refill":"8"}}',
        '{"result":{"status":"Completed"}}',
        '{"result":[{"order":1,"cancel":1}]}',
    )
    async with Upstream(says(*answers)) as upstream:
        provider = panel(upstream, transport, response_paths=paths)
        assert len((await provider.services()).services) == 1
        balance = await provider.balance()
        assert (balance.amount, balance.currency) == (Decimal("5.5"), "INR")
        assert (await provider.add(ORDER)).upstream_id == "t-9"
        assert list(await provider.status(["1", "2"])) == ["1"]
        assert (await provider.refill(["1"]))["1"].request_id == "8"
        assert list(await provider.refill_status(["8"])) == ["8"]
        assert (await provider.cancel(["1"]))["1"].taken


@pytest.mark.parametrize(
    "body",
    [
        '{"order":5}',
        '{"order":5,"error":"Bad link"}',
        '{"order":5,"result":{"id":null},"error":"Bad link"}',
        '{"result":{"id":0}}',
        '{"result":{"id":"5"},"error":"Bad link"}',
        "{}",
    ],
)
async def test_an_order_that_may_lie_elsewhere_is_in_doubt(transport: Transport, body: str) -> None:
    async with Upstream(says(body)) as upstream:
        with pytest.raises(Ambiguous):
            await panel(upstream, transport, response_paths={"order": "result.id"}).add(ORDER)


async def test_a_refusal_is_one_wherever_the_order_would_lie(transport: Transport) -> None:
    async with Upstream(says('{"error":"Bad link","result":{}}')) as upstream:
        with pytest.raises(Rejected):
            await panel(upstream, transport, response_paths={"order": "result.id"}).add(ORDER)


async def test_nothing_at_a_path_is_an_answer_that_cannot_be_used(transport: Transport) -> None:
    paths = {"services": "result", "balance": "result.sum", "refill_status": "result"}
    async with Upstream(says('{"balance":"5","services":[],"status":"Completed"}')) as upstream:
        provider = panel(upstream, transport, response_paths=paths)
        with pytest.raises(Unavailable, match="without result"):
            await provider.services()
        with pytest.raises(Unavailable, match=r"without result\.sum"):
            await provider.balance()
        with pytest.raises(Unavailable):
            await provider.refill_status(["1"])


async def test_a_configured_currency_stands_above_what_is_told(transport: Transport) -> None:
    bodies = ('{"balance":"5","currency":"USDT"}', '{"1":{"status":"Pending","currency":"USDT"}}')
    async with Upstream(says(*bodies)) as upstream:
        provider = panel(upstream, transport, currency="USD")
        assert (await provider.balance()).currency == "USD"
        assert (await provider.status(["1"]))["1"].currency == "USD"


async def test_a_multiplier_turns_rates_exactly_into_rates_per_thousand(
    transport: Transport,
) -> None:
    rows = [row(rate="0.07"), row(service=2, rate=3), row(service=3, rate="90000000000")]
    async with Upstream(says(json.dumps(rows))) as upstream:
        found = await panel(upstream, transport, rate_multiplier="100.1").services()
    assert [service.rate for service in found.services] == [Decimal("7.007"), Decimal("300.3")]
    assert [(r.service, r.reason) for r in found.refused] == [
        ("3", "the rate is too large after rate_multiplier")
    ]


@pytest.mark.parametrize(("batch", "asked"), [(1, 5), (2, 3), (5, 1), (100, 1)])
async def test_no_request_asks_for_more_ids_than_the_account_says(
    transport: Transport, batch: int, asked: int
) -> None:
    ids = ["1", "2", "3", "4", "5"]
    keyed = json.dumps({one: {"status": "x"} for one in ids})
    async with Upstream(says(keyed)) as upstream:
        options = {"status_batch": batch, "refill_status_batch": batch}
        provider = panel(upstream, transport, **options)
        assert provider.status_batch == batch
        with metered() as meter:
            assert list(await provider.status(ids)) == ids
        assert meter.requests == asked
        assert list(await provider.refill_status(ids)) == ids
    assert len(upstream.requests) == 2 * asked
    several = [r.form.get("orders", r.form.get("refills", "")) for r in upstream.requests]
    assert max(len(text.split(",")) for text in several) == min(batch, 5)


async def test_a_panel_s_own_words_for_states_are_understood(transport: Transport) -> None:
    words = {"En Cours": "in_progress", "Paused": "in_progress", "Completed": "pending"}
    bodies = (
        '{"status":"en_cours","remains":"5"}',
        '{"1":"PAUSED","2":{"status":"Completed"},"3":{"status":"Expired"}}',
    )
    async with Upstream(says(*bodies)) as upstream:
        provider = panel(upstream, transport, status_words=words)
        one = await provider.status(["1"])
        several = await provider.status(["1", "2", "3"])
    assert one["1"] == UpstreamStatus(UpstreamWord.IN_PROGRESS, raw_word="en_cours", remains=5)
    assert several["1"] == UpstreamStatus(UpstreamWord.IN_PROGRESS, raw_word="PAUSED")
    assert several["2"].word is UpstreamWord.PENDING
    assert several["3"].word is None


async def test_an_account_may_be_less_patient_than_the_gateway(transport: Transport) -> None:
    timeouts = {"connect": "0.2", "add": 0.4, "read": 0.3}
    async with Upstream(hangs) as upstream:
        provider = panel(upstream, transport, timeouts=timeouts)
        with pytest.raises(Ambiguous, match="TimeoutError"):
            await provider.add(ORDER)
        with pytest.raises(Unavailable, match="TimeoutError"):
            await provider.balance()


class Inherits(PanelV2):
    kind = "inherits"
    default_options = {  # noqa: RUF012 - ClassVar in the base
        "method": "GET",
        "parameter_names": {"link": "url"},
        "known_refusals": {"No": "order"},
    }


async def test_an_account_s_options_come_on_top_of_its_adapter_s(transport: Transport) -> None:
    options = {"method": "POST", "parameter_names": {"service": "package"}}
    async with Upstream(says(PLACED, '{"error":"No"}')) as upstream:
        provider = Inherits(ProviderAccount("main", upstream.url, KEY, options), transport)
        await provider.add(ORDER)
        with pytest.raises(Rejected) as caught:
            await provider.add(ORDER)
    assert caught.value.group is RefusalGroup.ORDER
    (first, _) = upstream.requests
    assert first.method == "POST"
    assert {"url", "package", "quantity"} < first.form.keys()


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"any_eror_is_refusal": True}, "any_eror_is_refusal: Extra inputs"),
        ({"any_error_is_refusal": "perhaps"}, "any_error_is_refusal: "),
        ({"known_refusals": {"Nope": "nobody"}}, "known_refusals.Nope: "),
        ({"method": "PUT"}, "method: Input should be 'POST' or 'GET'"),
        ({"encoding": "xml"}, "encoding: "),
        ({"method": "GET", "encoding": "json"}, "encoding: a GET has no body"),
        ({"key_in": "cookie"}, "key_in: "),
        ({"key_in": "bearer", "key_name": "X"}, "key_name: a bearer token has none"),
        ({"key_name": "link"}, "key_name: link is another parameter's name"),
        ({"key_name": "a key"}, "key_name: 'a key' is not a name"),
        ({"key_in": "header", "key_name": "Host"}, "headers: Host is not for an account to set"),
        ({"key_in": "header", "headers": {"x-api-key": "1"}}, "headers: X-API-Key is where the"),
        ({"headers": {"Content-Length": "5"}}, "headers: Content-Length is not for"),
        ({"headers": {"X": "a\r\nY: b"}}, "headers: 'X' or its value is not plain ASCII"),
        ({"headers": {"X Y": "a"}}, "headers: 'X Y' or its value"),
        ({"headers": "X"}, "headers: "),
        ({"timeouts": {"add": 61}}, "timeouts: add is 61 s, above the 60 s of dispatch.timeout_ms"),
        ({"timeouts": {"connect": 30}}, "timeouts: the connect timeout must be above 0 and below"),
        ({"timeouts": {"read": 0}}, "timeouts.read: "),
        ({"timeouts": 5}, "timeouts: "),
        ({"action_names": {"ad": "create"}}, "action_names.ad"),
        ({"action_names": {"add": "two words"}}, "action_names: 'two words' is not a name"),
        ({"parameter_names": {"lnk": "url"}}, "parameter_names: we send no 'lnk'"),
        ({"parameter_names": {"link": ""}}, "parameter_names: '' is not a name"),
        ({"parameter_names": {"link": "service"}}, "two parameters are called service"),
        ({"response_paths": {"order": "a..b"}}, "response_paths: order: write names with dots"),
        ({"response_paths": {"refills": "a"}}, "response_paths.refills: Extra inputs"),
        ({"currency": "usd"}, "currency: "),
        ({"rate_multiplier": 0.01}, 'rate_multiplier: write it as text, like "0.01"'),
        ({"rate_multiplier": "0"}, "rate_multiplier: "),
        ({"rate_multiplier": "NaN"}, "rate_multiplier: "),
        ({"rate_multiplier": "1e-30"}, "rate_multiplier: "),
        ({"status_batch": 0}, "status_batch: "),
        ({"status_batch": 101}, "status_batch: "),
        ({"refill_status_batch": 0}, "refill_status_batch: "),
        ({"status_words": {"x": "finished"}}, "status_words.x: "),
    ],
)
def test_options_that_cannot_work_are_refused_in_one_line_that_names_them(
    options: dict[str, Any], wrong: str
) -> None:
    account = ProviderAccount("main", "http://127.0.0.1:1/api/v2", KEY, options)
    with pytest.raises(BadAccount) as caught:
        create_provider("panel_v2", account, Transport(Timeouts()))
    text = str(caught.value)
    assert text.startswith("provider main: ")
    assert wrong in text
    assert "\n" not in text
    assert KEY not in text


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown() -> None:
    account = ProviderAccount("main", "http://127.0.0.1:1/", "ké\ny", {"key_in": "header"})
    for broken in (account, replace(account, options={"key_in": "bearer"})):
        with pytest.raises(BadAccount, match="key: this key cannot go into a header") as caught:
            PanelV2(broken, Transport())
        assert "ké" not in str(caught.value)


def test_every_option_is_in_the_table_for_operators() -> None:
    text = (ROOT / "docs" / "providers.md").read_text("utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    groups = {str(group) for group in RefusalGroup}
    assert [name for name in listed if name not in groups] == sorted(
        PanelOptions.model_fields, key=listed.index
    )
