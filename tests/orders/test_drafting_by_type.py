"""What single types ask of an order: subscriptions, drip-feed, traffic; and what upstreams get."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from gateway.orders.dispatch import submission_of
from gateway.orders.drafting import Draft, draft_order, redraft
from schemas.catalogue import Service
from schemas.orders import ClaimedOrder
from schemas.panel_v2 import PanelError
from schemas.services import SERVICE_TYPES
from tests.orders.making import a_service

_LINK = "https://example.com/p/1"


def draft(service: Service, **fields: str) -> Draft:
    return draft_order(service, fields, reseller_id=7, currency="USD", request_id="r-1")


def refusal(service: Service, **fields: str) -> str:
    with pytest.raises(PanelError) as refused:
        draft(service, **fields)
    return str(refused.value)


def subscription(**fields: str) -> dict[str, str]:
    """A subscription of 20 to 30 for each post, but for these parameters."""
    good = {"username": "some.account", "min": "20", "max": "30", "delay": "0"}
    return good | fields


SUBSCRIPTIONS = a_service("Subscriptions", rate=1_000_000, minimum=10, maximum=100)


@pytest.mark.parametrize(
    ("fields", "posts", "quantity"),
    [
        ({"posts": "5"}, "5", 150),
        ({"posts": "5", "old_posts": "2"}, "5", 210),
        ({"posts": "0", "old_posts": "2"}, "0", 60),
        ({"old_posts": "2"}, "0", 60),
        ({"posts": "undefined", "old_posts": "2"}, "0", 60),
        ({"posts": "1.0", "old_posts": ""}, "1", 30),
    ],
)
def test_a_subscription_is_paid_for_all_its_posts(
    fields: dict[str, str], posts: str, quantity: int
) -> None:
    """What is sent always says how many posts: without a number an upstream would not end."""
    made = draft(SUBSCRIPTIONS, **subscription(**fields), link="x", quantity="7")
    assert (made.link, made.quantity, made.charge) == ("some.account", quantity, quantity * 1000)
    assert json.loads(made.parameters or "")["posts"] == posts


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "Incorrect posts"),
        ({"posts": "0"}, "Incorrect posts"),
        ({"posts": "", "old_posts": "0"}, "Incorrect posts"),
        ({"posts": "-1"}, "Incorrect posts"),
        ({"posts": "10001"}, "Incorrect posts"),
        ({"posts": "5", "old_posts": "all"}, "Incorrect old_posts"),
        ({"posts": "5", "min": "31"}, "Incorrect min"),
        ({"posts": "5", "min": "9"}, "Quantity less than minimal 10"),
        ({"posts": "5", "min": "0"}, "Incorrect min"),
        ({"posts": "5", "max": "101"}, "Quantity more than maximum 100"),
        ({"posts": "5", "delay": "7"}, "Incorrect delay"),
        ({"posts": "5", "delay": ""}, "Incorrect request"),
        ({"posts": "5", "expiry": "31/02/2027"}, "Incorrect expiry"),
        ({"posts": "5", "expiry": "28/02/2026"}, "Incorrect expiry"),
        ({"posts": "5", "username": " "}, "Incorrect request"),
        ({"posts": "5", "username": "a\nb"}, "Incorrect username"),
    ],
)
def test_a_bad_subscription_is_refused(fields: dict[str, str], text: str) -> None:
    with pytest.raises(PanelError) as refused:
        draft_on(date(2026, 3, 1), SUBSCRIPTIONS, subscription(**fields))
    assert str(refused.value) == text


def draft_on(day: date, service: Service, fields: dict[str, str]) -> Draft:
    return draft_order(
        service, fields, reseller_id=7, currency="USD", request_id="r-1", today=lambda: day
    )


def test_a_subscription_may_end_today_and_its_end_may_pass_before_it_is_priced_anew() -> None:
    fields = subscription(posts="5", expiry="3/1/2026")
    made = draft_on(date(2026, 1, 3), SUBSCRIPTIONS, fields)
    assert json.loads(made.parameters or "")["expiry"] == "03/01/2026"
    dearer = replace(SUBSCRIPTIONS, rate=2_000_000)
    assert redraft(made, dearer) == replace(made, service=dearer, charge=300_000)


def test_a_subscription_of_too_many_pieces_is_refused() -> None:
    service = a_service("Subscriptions", minimum=1, maximum=2**31 - 1)
    fields = subscription(max="2147483647", posts="2")
    assert refusal(service, **fields) == "Quantity more than maximum 1073741823"


FED = a_service(dripfeed=True)


@pytest.mark.parametrize(
    "fields",
    [
        *(
            {},
            {"runs": "0"},
            {"runs": "undefined", "interval": "NaN"},
            {"runs": "", "interval": ""},
        ),
        *({"runs": "0", "interval": "30"}, {"runs": "1", "interval": "30"}),
        *({"runs": "0", "interval": "-5"}, {"runs": "1", "interval": "-5"}),
        *({"runs": "1"}, {"interval": "0"}, {"runs": "", "interval": " 0 "}),
    ],
)
def test_without_several_runs_an_order_is_an_ordinary_one(fields: dict[str, str]) -> None:
    for service in (FED, a_service(), a_service("Package")):
        made = draft(service, link=_LINK, quantity="100", **fields)
        assert (made.runs, made.interval, made.per_run) == (None, None, made.quantity)


def test_a_drip_feed_is_charged_for_all_its_runs() -> None:
    made = draft(FED, link=_LINK, quantity="100", runs="3", interval="30")
    assert (made.runs, made.interval, made.per_run, made.quantity) == (3, 30, 100, 300)
    assert made.charge == 270_000
    dearer = replace(FED, rate=1_800_000)
    assert redraft(made, dearer) == replace(made, service=dearer, charge=540_000)
    with pytest.raises(PanelError, match="Incorrect request"):
        redraft(made, replace(FED, dripfeed=False))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"runs": "5"}, "Incorrect request"),
        ({"interval": "30"}, "Incorrect request"),
        ({"runs": "undefined", "interval": "30"}, "Incorrect request"),
        ({"runs": "abc", "interval": "30"}, "Incorrect runs"),
        ({"runs": "1.5", "interval": "30"}, "Incorrect runs"),
        ({"runs": "-1", "interval": "30"}, "Incorrect runs"),
        ({"runs": "1001", "interval": "30"}, "Incorrect runs"),
        ({"runs": "1000000000", "interval": "30"}, "Incorrect runs"),
        ({"runs": "5", "interval": "0"}, "Incorrect interval"),
        ({"runs": "5", "interval": "-5"}, "Incorrect interval"),
        ({"runs": "5", "interval": "43201"}, "Incorrect interval"),
        ({"runs": "5", "interval": "30", "quantity": "49"}, "Quantity less than minimal 50"),
        ({"runs": "2", "interval": "30", "quantity": "6000"}, ""),
        ({"runs": "2", "interval": "30", "quantity": "10001"}, "Quantity more than maximum 10000"),
    ],
)
def test_a_bad_drip_feed_is_refused(fields: dict[str, str], text: str) -> None:
    fields = {"link": _LINK, "quantity": "100"} | fields
    if text:
        assert refusal(FED, **fields) == text
    else:
        assert draft(FED, **fields).quantity == 12_000


def test_a_drip_feed_of_too_many_pieces_in_all_is_refused() -> None:
    service = a_service(dripfeed=True, maximum=2**31 - 1)
    fields = {"link": _LINK, "quantity": "2147484", "runs": "1000", "interval": "1"}
    assert refusal(service, **fields) == "Quantity more than maximum 2147483"
    assert draft(service, **(fields | {"quantity": "2147483"})).quantity == 2147483000


@pytest.mark.parametrize("name", [n for n, kind in SERVICE_TYPES.items() if not kind.dripfeed])
def test_drip_feed_needs_a_type_and_a_service_that_have_it(name: str) -> None:
    drip = {"runs": "2", "interval": "30"}
    service = a_service(name, minimum=1, dripfeed=True)
    assert refusal(service, **SERVICE_TYPES[name].example, **drip) == "Incorrect request"
    assert refusal(a_service(), link=_LINK, quantity="100", **drip) == "Incorrect request"


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        *(("0.09", ""), ("1", ""), ("", ""), ("null", "")),
        *(("0.089999", "Price changed"), ("0", "Price changed"), ("-1", "Incorrect max_charge")),
        ("1e3", "Incorrect max_charge"),
    ],
)
def test_an_order_may_say_what_it_may_cost_at_most(limit: str, text: str) -> None:
    fields = {"link": _LINK, "quantity": "100", "max_charge": limit}
    if text:
        assert refusal(a_service(), **fields) == text
    else:
        assert draft(a_service(), **fields).charge == 90_000


def test_the_limit_of_the_charge_holds_when_the_price_changes_meanwhile() -> None:
    made = draft(a_service(), link=_LINK, quantity="100", max_charge="0.09")
    assert redraft(made, a_service(rate=899_990)).charge == 89_999
    with pytest.raises(PanelError, match="Price changed"):
        redraft(made, a_service(rate=900_010))


def test_a_service_that_changed_its_type_does_not_take_the_order() -> None:
    made = draft(a_service(), link=_LINK, quantity="100")
    with pytest.raises(PanelError, match="Incorrect service ID"):
        redraft(made, a_service("Package"))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"type_of_traffic": "1"}, "Incorrect request"),
        ({"type_of_traffic": "2"}, "Incorrect request"),
        ({"type_of_traffic": "2", "google_keyword": "x"}, "Incorrect request"),
        ({"type_of_traffic": "2", "referring_url": "data:x"}, "Incorrect referring_url"),
        ({"type_of_traffic": "4"}, "Incorrect type_of_traffic"),
        ({"type_of_traffic": "3", "device": "6"}, "Incorrect device"),
        ({"type_of_traffic": "1", "google_keyword": "x"}, ""),
        ({"type_of_traffic": "2", "referring_url": "https://a.example/?utm_source=x"}, ""),
        ({"type_of_traffic": "3"}, ""),
    ],
)
def test_some_traffic_needs_a_keyword_or_a_page(fields: dict[str, str], text: str) -> None:
    fields = {"link": _LINK, "quantity": "100", "country": "US", "device": "5"} | fields
    service = a_service("Web Traffic")
    if text:
        assert refusal(service, **fields) == text
    else:
        kept = json.loads(draft(service, **fields).parameters or "")
        assert kept == {k: v for k, v in fields.items() if k not in ("link", "quantity")}


def test_a_link_is_kept_without_what_tracks_unless_the_service_keeps_it() -> None:
    shared = {"link": "https://www.instagram.com/p/a/?igsh=b", "quantity": "100"}
    assert draft(a_service(), **shared).link == "https://www.instagram.com/p/a/"
    assert draft(a_service(keep_links=True), **shared).link == shared["link"]


@pytest.mark.parametrize("name", SERVICE_TYPES)
def test_an_upstream_gets_exactly_what_the_type_takes(name: str) -> None:
    kind = SERVICE_TYPES[name]
    sent = submission_of(claimed(draft(a_service(name, minimum=1), **kind.example, note="x")))
    assert sent.service == "77"
    assert dict(sent.parameters) == kind.example
    assert list(sent.parameters) == [p.name for p in kind.parameters if p.name in kind.example]


def claimed(made: Draft) -> ClaimedOrder:
    return ClaimedOrder(
        id=1,
        version=2,
        attempts=1,
        service_type=made.service.type,
        upstream_service="77",
        link=made.link,
        quantity=made.quantity,
        parameters=json.loads(made.parameters or "{}"),
        request_id=made.request_id,
        rate=made.service.rate,
        route_cost=0,
        below_cost=False,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
