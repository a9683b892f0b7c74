"""From a client's fields to a priced order: every type, every refusal, the exact price."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.orders.drafting import Draft, draft_order, redraft
from schemas.catalogue import Service
from schemas.order_parameters import ORDER_OPTIONS
from schemas.panel_v2 import PanelError
from schemas.services import SERVICE_TYPES, TYPES, find_service_type
from tests.orders.making import a_service

#: Also halves of characters, which JSON can carry and nothing can store.
_TEXTS = st.text(st.characters(exclude_categories=[]))
_LINK = "https://example.com/p/1"


def draft(service: Service, **fields: str) -> Draft:
    return draft_order(service, fields, reseller_id=7, currency="USD", request_id="r-1")


def refusal(service: Service, **fields: str) -> str:
    with pytest.raises(PanelError) as refused:
        draft(service, **fields)
    return str(refused.value)


def test_a_default_order_costs_its_share_of_the_rate() -> None:
    made = draft(a_service(rate=900_000), link=_LINK, quantity="1500")
    assert (made.quantity, made.charge, made.link) == (1500, 1_350_000, _LINK)
    assert made.parameters is None
    assert (made.reseller_id, made.currency, made.request_id) == (7, "USD", "r-1")


def test_a_charge_is_rounded_up() -> None:
    assert draft(a_service(rate=10, minimum=1), link=_LINK, quantity="1").charge == 1


def test_a_package_costs_its_rate_whatever_quantity_a_client_sends() -> None:
    made = draft(a_service("Package", rate=1_375_000), link=_LINK, quantity="5000")
    assert (made.quantity, made.charge) == (1, 1_375_000)


def test_comments_are_counted_by_their_lines() -> None:
    service = a_service("Custom Comments", rate=9_500_000, minimum=2)
    made = draft(service, link=_LINK, comments="wow\r\n\r\n  nice \nگل\n", quantity="900")
    assert (made.quantity, made.charge) == (3, 28_500)
    assert json.loads(made.parameters or "") == {"comments": "wow\nnice\nگل"}


@pytest.mark.parametrize("name", SERVICE_TYPES)
def test_every_type_needs_its_parameters(name: str) -> None:
    kind = SERVICE_TYPES[name]
    service = a_service(name, minimum=1)
    assert draft(service, **kind.example).charge > 0
    for parameter in kind.parameters:
        rest = {key: text for key, text in kind.example.items() if key != parameter.name}
        if parameter.required:
            assert refusal(service, **rest) == "Incorrect request"


@pytest.mark.parametrize("name", SERVICE_TYPES)
def test_a_parameter_that_is_present_but_bad_is_named(name: str) -> None:
    kind = SERVICE_TYPES[name]
    for parameter in kind.parameters:
        text = "Bad link" if parameter.name == "link" else f"Incorrect {parameter.name}"
        assert (
            refusal(a_service(name, minimum=1), **(kind.example | {parameter.name: "\0"})) == text
        )


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("default", "Default"),
        ("DEFAULT", "Default"),
        ("package", "Package"),
        ("custom_comments", "Custom Comments"),
        ("Custom Comment", "Custom Comments"),
        ("CustomComments", "Custom Comments"),
        ("mentions_custom_list", "Mentions Custom List"),
        ("invites from groups", "Invites from Groups"),
        ("Seo", "SEO"),
        ("subscription", "Subscriptions"),
        ("WebTraffic", "Web Traffic"),
    ],
)
def test_a_type_is_found_in_every_known_spelling(spelling: str, name: str) -> None:
    found = find_service_type(spelling)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("spelling", ["", "Polls", "Default Package", "fb_viplike", "100"])
def test_an_unknown_type_is_not_guessed(spelling: str) -> None:
    assert find_service_type(spelling) is None


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        ("49", "Quantity less than minimal 50"),
        ("0", "Quantity less than minimal 50"),
        ("10001", "Quantity more than maximum 10000"),
        ("9" * 40, "Quantity more than maximum 10000"),
        ("-100", "Incorrect quantity"),
        ("100.5", "Incorrect quantity"),
        ("1e3", "Incorrect quantity"),
        ("1_000", "Incorrect quantity"),
        ("\uff11\uff10\uff10", "Incorrect quantity"),
        ("0100", "Incorrect quantity"),
        ("100\n", "Incorrect quantity"),
        ("true", "Incorrect quantity"),
        ("", "Incorrect request"),
        ("null", "Incorrect request"),
    ],
)
def test_a_bad_quantity_is_refused_in_known_words(quantity: str, text: str) -> None:
    assert refusal(a_service(), link=_LINK, quantity=quantity) == text


@pytest.mark.parametrize("quantity", ["50", "10000", " 100 ", "100.0"])
def test_a_sound_quantity_is_taken(quantity: str) -> None:
    assert draft(a_service(), link=_LINK, quantity=quantity).quantity == float(quantity)


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "ftp://a.example/x", "https://", "a b", "a\0b", "a" * 2049]
)
def test_a_bad_link_is_refused(link: str) -> None:
    assert refusal(a_service(), link=link, quantity="100") == "Bad link"


def test_too_few_comments_are_refused_by_their_number() -> None:
    service = a_service("Custom Comments", minimum=3)
    text = refusal(service, link=_LINK, comments="one\ntwo\n\n", quantity="500")
    assert text == "Quantity less than minimal 3"


@pytest.mark.parametrize("text", ["nice\0one", "nice\ud800"])
def test_comments_that_no_database_can_hold_are_refused(text: str) -> None:
    service = a_service("Custom Comments", minimum=1)
    assert refusal(service, link=_LINK, comments=text) == "Incorrect comments"


def test_comments_of_blanks_alone_are_no_comments() -> None:
    service = a_service("Custom Comments", minimum=1)
    assert refusal(service, link=_LINK, comments=" \n\t\n") == "Incorrect request"


@st.composite
def _orders(draw: st.DrawFn) -> tuple[str, dict[str, str], int]:
    """An order of any type, and how many pieces it pays for; 0 is one package."""
    kind = SERVICE_TYPES[draw(st.sampled_from(sorted(SERVICE_TYPES)))]
    fields = dict(kind.example)
    pieces = draw(st.integers(1, 200))
    if kind.counted is None:
        return kind.name, fields, 0
    fields[kind.counted.name] = "ok\n" * pieces if kind.counted.many else str(pieces)
    if kind.times:
        fields["min"] = str(draw(st.integers(1, pieces)))
        posts, old = draw(st.tuples(st.integers(0, 50), st.integers(0, 50)).filter(any))
        fields |= {"posts": str(posts), "old_posts": str(old)}
        pieces *= posts + old
    return kind.name, fields, pieces


@given(_orders(), st.integers(1, 10**9).map(lambda steps: steps * 10), st.integers(2, 1000))
def test_the_charge_is_the_shown_rate_times_the_quantity_for_every_type(
    order: tuple[str, dict[str, str], int], rate: int, runs: int
) -> None:
    name, fields, pieces = order
    made = draft(a_service(name, rate=rate, minimum=1), **fields)
    assert made.quantity == (pieces or 1)
    exact = Fraction(rate * pieces, 1000) if pieces else Fraction(rate)
    assert exact <= made.charge < exact + 1
    if SERVICE_TYPES[name].dripfeed:
        service = a_service(name, rate=rate, minimum=1, dripfeed=True)
        fed = draft(service, **fields, runs=str(runs), interval="5")
        assert (fed.quantity, fed.per_run, fed.runs) == (pieces * runs, pieces, runs)
        assert exact * runs <= fed.charge < exact * runs + 1


_NAMES = sorted({p.name for kind in TYPES for p in kind.parameters + ORDER_OPTIONS})


@given(
    st.sampled_from(sorted(SERVICE_TYPES)),
    st.dictionaries(st.sampled_from(_NAMES), _TEXTS | st.integers(-1, 10**6).map(str)),
    st.booleans(),
)
def test_any_fields_give_an_order_or_a_refusal(
    name: str, fields: dict[str, str], sound: bool
) -> None:
    service = a_service(name, minimum=1, dripfeed=True)
    try:
        made = draft(service, **(SERVICE_TYPES[name].example | fields if sound else fields))
    except PanelError:
        return
    assert made.charge >= 1
    assert 1 <= made.quantity < 2**31
    json.dumps([made.link, made.parameters]).encode()
    made.link.encode()
    "".join(json.loads(made.parameters or "{}").values()).encode()
    again = redraft(made, service)
    assert again == made


def test_an_order_is_priced_anew_at_another_rate_with_nothing_lost() -> None:
    service = a_service("Custom Comments", minimum=1)
    made = draft(service, link=_LINK, comments="one\ntwo")
    again = redraft(made, a_service("Custom Comments", minimum=1, rate=1_800_000))
    assert again.charge == 2 * made.charge
    assert (again.link, again.quantity, again.parameters) == (
        made.link,
        made.quantity,
        made.parameters,
    )


def test_an_order_that_no_longer_fits_its_service_is_refused() -> None:
    made = draft(a_service(), link=_LINK, quantity="100")
    with pytest.raises(PanelError, match="Quantity less than minimal 200"):
        redraft(made, a_service(minimum=200))
