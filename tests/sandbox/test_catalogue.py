"""The catalogue and the forms: every type of the panel API, sold and read."""

import pytest

from providers.sandbox.catalogue import CATALOGUE
from providers.sandbox.forms import FORMS, Refused, count_of, repeats_of
from providers.sandbox.orders import read_draft
from schemas.money import parse_amount

LINK = "https://example.com/p/1"

#: A sound order of each type: (service, parameters, quantity, charge).
SOUND: list[tuple[int, dict[str, str], int, str]] = [
    (101, {"quantity": "1000"}, 1000, "0.84"),
    (101, {"quantity": "100", "runs": "5", "interval": "30"}, 500, "0.42"),
    (105, {"quantity": "77"}, 1, "1.10"),
    (141, {"comments": "one\r\n\r\ntwo\nthree"}, 3, "0.0285"),
    (142, {"comments": "one\ntwo"}, 1, "0.48"),
    (145, {"quantity": "100", "usernames": "a\nb"}, 100, "0.26"),
    (146, {"quantity": "100", "usernames": "a", "hashtags": "b"}, 100, "0.29"),
    (144, {"usernames": "a\nb\nc\nd\ne"}, 5, "0.0155"),
    (147, {"quantity": "101", "hashtag": "cats"}, 101, "0.27775"),
    (148, {"quantity": "100", "username": "someone"}, 100, "0.24"),
    (149, {"quantity": "100", "media": LINK}, 100, "0.25"),
    (124, {"quantity": "10", "username": "someone"}, 10, "0.0065"),
    (143, {"username": "someone", "comments": "yes"}, 1, "0.01225"),
    (403, {"quantity": "10", "answer_number": "2"}, 10, "0.0088"),
    (404, {"quantity": "100", "groups": "a\nb"}, 100, "0.73"),
    (602, {"quantity": "10", "keywords": "a"}, 10, "0.1175"),
    (
        601,
        {
            "quantity": "500",
            "country": "US",
            "device": "5",
            "type_of_traffic": "2",
            "referring_url": LINK,
        },
        500,
        "0.18",
    ),
    (
        123,
        {"username": "someone", "min": "20", "max": "50", "delay": "90", "posts": "4"},
        200,
        "0.054",
    ),
    # A charge rounds up to the next micro-unit.
    (402, {"quantity": "21"}, 21, "0.00024"),
]


def test_a_few_dozen_services_of_every_type() -> None:
    assert len(CATALOGUE) >= 40
    assert {service.kind for service in CATALOGUE.values()} == set(FORMS)
    assert {CATALOGUE[service].kind for service, *_ in SOUND} == set(FORMS)
    for flag in ("dripfeed", "refill", "cancel"):
        assert {getattr(service, flag) for service in CATALOGUE.values()} == {True, False}


@pytest.mark.parametrize(("service", "parameters", "quantity", "charge"), SOUND)
def test_a_sound_order_of_each_type(
    service: int, parameters: dict[str, str], quantity: int, charge: str
) -> None:
    link = {} if CATALOGUE[service].kind == "Subscriptions" else {"link": LINK}
    draft = read_draft({"service": str(service), **link, **parameters})
    assert (draft.quantity, draft.charge) == (quantity, parse_amount(charge))


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_every_required_parameter_is_required(kind: str) -> None:
    service, parameters = next((s, p) for s, p, *_ in SOUND if CATALOGUE[s].kind == kind)
    whole = {"service": str(service), "link": LINK, **parameters}
    for name in FORMS[kind].fields:
        with pytest.raises(Refused, match=r"^Incorrect request$"):
            count_of(kind, whole | {name: ""})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"service": "9"}, "Incorrect service ID"),
        ({"service": "\uff11\uff10\uff11"}, "Incorrect service ID"),
        ({"service": ""}, "Incorrect request"),
        ({"link": "two words"}, "Bad link"),
        ({"quantity": "9"}, "Quantity less than minimal 10"),
        ({"quantity": "100001"}, "Quantity more than maximum 100000"),
        ({"quantity": "1e3"}, "Incorrect quantity"),
        ({"quantity": "-5"}, "Incorrect quantity"),
        ({"runs": "2"}, "Interval time is required"),
        ({"interval": "2"}, "Runs is required"),
        ({"runs": "x", "interval": "2"}, "Incorrect runs"),
        (
            {"service": "103", "runs": "2", "interval": "5"},
            "This service does not support drip-feed",
        ),
    ],
)
def test_refusals(changes: dict[str, str], text: str) -> None:
    sound = {"service": "101", "link": LINK, "quantity": "1000"}
    with pytest.raises(Refused) as refused:
        read_draft(sound | changes)
    assert str(refused.value) == text


@pytest.mark.parametrize(
    ("kind", "changes", "text"),
    [
        ("Web Traffic", {"device": "6"}, "Incorrect device"),
        ("Web Traffic", {"type_of_traffic": "1"}, "Incorrect request"),
        ("Subscriptions", {"delay": "7"}, "Incorrect delay"),
        ("Subscriptions", {"min": "60"}, "Incorrect min"),
        ("Custom Comments", {"comments": " \n "}, "Incorrect comments"),
    ],
)
def test_refusals_of_exotic_types(kind: str, changes: dict[str, str], text: str) -> None:
    parameters = next(p for s, p, *_ in SOUND if CATALOGUE[s].kind == kind)
    with pytest.raises(Refused) as refused:
        count_of(kind, {"link": LINK, **parameters} | changes)
    assert str(refused.value) == text


def test_a_subscription_counts_its_posts() -> None:
    assert repeats_of("Subscriptions", {"posts": "3"}) == 3
    assert repeats_of("Subscriptions", {}) == 1
