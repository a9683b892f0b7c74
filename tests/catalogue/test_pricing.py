"""What a service costs a reseller: which rule counts, and what is not for sale."""

from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue.pricing import PriceRules, offered, price_of, why_not_for_sale
from schemas.catalogue import PriceRule, Service
from schemas.money import UNIT, format_amount
from tests.orders.making import a_route, a_service

_COST = 1 * UNIT
_RESELLER = 7


def _following(*costs: int, **values: object) -> Service:
    routes = tuple(
        a_route(id=n, provider_id=n, cost=cost) for n, cost in enumerate(costs or (_COST,), 1)
    )
    return a_service(rate=900_000, **{"routes": routes, "follows": True, **values})  # type: ignore[arg-type]


def _rule(markup: int, **scope: object) -> PriceRule:
    return PriceRule(markup, Decimal(markup), **scope)  # type: ignore[arg-type]


def _rate(service: Service, *rules: PriceRule, reseller: int | None = _RESELLER) -> int | None:
    price = price_of(service, PriceRules(rules), reseller)
    return price.rate if price else None


_RESELLERS = {"reseller_id": _RESELLER}
_SERVICES = {"service_id": 1}
_CATEGORIES = {"category": "Tests"}
_PROVIDERS = {"provider_id": 1}
#: From the most specific to the one for everything, as the documentation has it.
_ORDER: list[dict[str, object]] = [
    {**_RESELLERS, **_SERVICES, **_CATEGORIES, **_PROVIDERS},
    {**_RESELLERS, **_SERVICES, **_CATEGORIES},
    {**_RESELLERS, **_SERVICES, **_PROVIDERS},
    {**_RESELLERS, **_SERVICES},
    {**_RESELLERS, **_CATEGORIES, **_PROVIDERS},
    {**_RESELLERS, **_CATEGORIES},
    {**_RESELLERS, **_PROVIDERS},
    {**_RESELLERS},
    {**_SERVICES, **_CATEGORIES, **_PROVIDERS},
    {**_SERVICES, **_CATEGORIES},
    {**_SERVICES, **_PROVIDERS},
    {**_SERVICES},
    {**_CATEGORIES, **_PROVIDERS},
    {**_CATEGORIES},
    {**_PROVIDERS},
    {},
]


@pytest.mark.parametrize("first", range(len(_ORDER)))
def test_the_most_specific_rule_counts(first: int) -> None:
    rules = [_rule(n, **scope) for n, scope in enumerate(_ORDER[first:], start=first)]
    for ordered in (rules, rules[::-1]):
        assert _rate(_following(), *ordered) == _COST * (100 + first) // 100


def test_a_rule_that_names_something_else_does_not_count() -> None:
    others = [
        _rule(50, reseller_id=8),
        _rule(51, service_id=2),
        _rule(52, category="tests"),
        _rule(53, provider_id=2),
        _rule(54, reseller_id=_RESELLER, service_id=2),
    ]
    assert _rate(_following(), *others, _rule(10)) == 1_100_000
    assert _rate(_following(), *others) is None
    assert _rate(_following(), _rule(5, **_RESELLERS), _rule(10), reseller=None) == 1_100_000


def test_the_price_is_made_from_the_dearest_route_that_is_on() -> None:
    service = _following(_COST, 3 * _COST, 2 * _COST)
    assert _rate(service, _rule(10)) == 3_300_000
    off = replace(service.routes[1], enabled=False)
    service = replace(service, routes=(service.routes[0], off, service.routes[2]))
    assert _rate(service, _rule(10), _rule(50, provider_id=3)) == 3_000_000


def test_while_a_change_waits_the_price_is_made_from_the_cost_before() -> None:
    cheaper = _following(routes=(a_route(cost=_COST // 4, basis=_COST),))
    assert _rate(cheaper, _rule(10)) == 1_100_000
    dearer = _following(routes=(a_route(cost=4 * _COST, basis=_COST),))
    assert _rate(dearer, _rule(10)) == 1_100_000
    assert offered(dearer, PriceRules([_rule(10)])) is None
    assert "waits for review" in (why_not_for_sale(dearer, PriceRules([_rule(10)])) or "")


def test_a_fixed_rate_counts_for_all_but_whom_a_rule_names_with_the_service() -> None:
    service = a_service(rate=2 * UNIT, routes=(a_route(cost=_COST),))
    assert _rate(service, _rule(10), _rule(11, **_RESELLERS), _rule(12, **_SERVICES)) == 2 * UNIT
    assert _rate(service, _rule(10), _rule(15, **_RESELLERS, **_SERVICES)) == 1_150_000


@pytest.mark.parametrize(
    ("step", "rate"), [(None, "1.00001"), (10_000, "1.01"), (250_000, "1.25"), (UNIT, "2.00")]
)
def test_rates_are_rounded_up_to_the_rule_s_step(step: int | None, rate: str) -> None:
    rule = PriceRule(1, Decimal("0.0004"), step=step)
    found = _rate(_following(), rule)
    assert found is not None
    assert format_amount(found) == rate


def test_a_service_below_its_cost_is_not_for_sale_unless_it_is_marked() -> None:
    rules = PriceRules([_rule(10)])
    service = a_service(rate=900_000, routes=(a_route(cost=900_001),))
    assert offered(service, rules) is None
    marked = replace(service, below_cost=True)
    assert offered(marked, rules) == marked
    assert (why_not_for_sale(service, rules), why_not_for_sale(marked, rules)) == (
        "its cost has reached its price",
        None,
    )


def test_a_fixed_price_that_its_cost_has_reached_is_not_sold_and_a_rule_may_sell_at_cost() -> None:
    fixed = a_service(rate=_COST, routes=(a_route(cost=_COST),))
    assert offered(fixed, PriceRules([_rule(0)])) is None
    assert offered(_following(), PriceRules([_rule(0)])) is not None


def test_only_routes_that_the_price_covers_are_used() -> None:
    cheap, dear = a_route(id=1, cost=_COST, priority=200), a_route(id=2, cost=3 * _COST)
    service = a_service(rate=2 * UNIT, routes=(dear, cheap))
    sold = offered(service, PriceRules([]))
    assert sold is not None
    assert sold.routes == (cheap,)


@pytest.mark.parametrize(
    "service",
    [
        a_service(enabled=False, disabled_reason="a reason"),
        a_service(routes=()),
        a_service(routes=(a_route(enabled=False, disabled_reason="a reason"),)),
        _following(0),
        _following(10**18),
    ],
)
def test_what_is_off_or_has_no_price_is_not_for_sale(service: Service) -> None:
    rules = PriceRules([_rule(10)])
    assert offered(service, rules) is None
    assert why_not_for_sale(service, rules)


_COSTS = st.integers(0, 5_000_000)
_ROUTES = st.lists(st.tuples(_COSTS, st.none() | _COSTS, st.booleans()), max_size=4)


@given(
    _ROUTES,
    st.lists(st.tuples(st.integers(0, 300), st.sampled_from(_ORDER)), max_size=6),
    st.booleans(),
    st.integers(1, 500_000).map(lambda n: n * 10),
    st.booleans(),
)
def test_nothing_is_ever_offered_below_cost_unmarked(
    routes: list[tuple[int, int | None, bool]],
    rules: list[tuple[int, dict[str, object]]],
    follows: bool,
    rate: int,
    below_cost: bool,
) -> None:
    made = [
        a_route(id=n, provider_id=n, cost=c, basis=b, enabled=e)
        for n, (c, b, e) in enumerate(routes)
    ]
    service = a_service(rate=rate, follows=follows, below_cost=below_cost, routes=tuple(made))
    terms = PriceRules([_rule(markup, **scope) for markup, scope in rules])
    for reseller in (None, _RESELLER, 8):
        sold = offered(service, terms, reseller)
        if sold is not None:
            assert sold.routes
            assert sold.rate > 0
            assert sold.rate % 10 == 0
            assert all(r.enabled for r in sold.routes)
            assert below_cost or all(r.cost <= sold.rate for r in sold.routes)


def test_the_documented_order_has_every_combination_once() -> None:
    assert len(_ORDER) == 16
    assert all(a != b for a, b in permutations(_ORDER, 2))
