"""The choice of a route: a pure function of the order, the routes, and how providers stand."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.catalogue import routing
from gateway.catalogue.routing import (
    CROWDED_MINUTES,
    Standing,
    Want,
    is_open_to,
    key_of,
    next_route,
    way_out,
)
from schemas.catalogue import Route, Service
from schemas.orders import Tried
from tests.orders.making import a_route, a_service

RATE = 900_000
_AWAY = Standing(usable=False)


def _routes(*values: Mapping[str, object]) -> tuple[Route, ...]:
    return tuple(
        a_route(**{"id": n, "provider_id": n, "provider": f"p{n}", "cost": 1_000} | dict(given))
        for n, given in enumerate(values, 1)
    )


def _service(*values: Mapping[str, object], **service: object) -> Service:
    return replace(a_service(rate=RATE), routes=_routes(*values), **service)  # type: ignore[arg-type]


def first_route(service: Service, want: Want, standings: dict[int, Standing]) -> Route:
    """What is chosen for a new order."""
    return routing.first_route(service, want.order_id, want.quantity, want.rate, standings)


def _want(order_id: int = 1, *, rate: int = RATE, **tried: Tried) -> Want:
    return Want(order_id, 1000, rate, {(int(k[1:]), "1"): v for k, v in tried.items()})


def test_the_lowest_priority_is_asked_first() -> None:
    service = _service({"priority": 20}, {"priority": 10}, {"priority": 30})
    assert {first_route(service, _want(n), {}).id for n in range(50)} == {2}


def test_a_route_that_is_off_is_never_chosen() -> None:
    service = _service({"priority": 1, "enabled": False}, {"priority": 2})
    assert first_route(service, _want(), {}).id == 2
    with pytest.raises(ValueError, match="no route"):
        first_route(_service({"enabled": False}), _want(), {})


@pytest.mark.parametrize(
    "standing", [_AWAY, Standing(balance=999), Standing(balance=-1)], ids=["away", "low", "debt"]
)
def test_a_provider_that_cannot_take_the_order_is_passed_over(standing: Standing) -> None:
    service = _service({"priority": 1}, {"priority": 2})
    assert first_route(service, _want(), {1: standing}).id == 2


def test_a_balance_that_just_suffices_is_enough() -> None:
    service = _service({"priority": 1}, {"priority": 2})
    assert first_route(service, _want(), {1: Standing(balance=1_000)}).id == 1


def test_when_nobody_is_well_a_new_order_waits_at_the_first_choice() -> None:
    service = _service({"priority": 1}, {"priority": 2})
    assert first_route(service, _want(), {1: _AWAY, 2: _AWAY}).id == 1


def test_a_route_that_costs_more_than_the_order_pays_is_not_chosen_unless_on_purpose() -> None:
    dear = {"priority": 1, "cost": RATE + 1}
    assert first_route(_service(dear, {"priority": 2}), _want(), {}).id == 2
    assert first_route(_service(dear, {"priority": 2}, below_cost=True), _want(), {}).id == 1
    assert first_route(_service({"priority": 1, "cost": RATE}, {}), _want(), {}).id == 1


def test_a_crowded_provider_is_passed_over_among_equals_only() -> None:
    crowded = {1: Standing(waiting=10 * CROWDED_MINUTES + 1, adds_per_minute=10)}
    equals = _service({}, {})
    assert {first_route(equals, _want(n), crowded).id for n in range(50)} == {2}
    assert first_route(_service({"priority": 1}, {"priority": 2}), _want(), crowded).id == 1
    full = {1: Standing(waiting=10 * CROWDED_MINUTES, adds_per_minute=10)}
    assert {first_route(equals, _want(n), full).id for n in range(50)} == {1, 2}


@pytest.mark.parametrize("weights", [(1, 1), (1, 3), (5, 1, 4), (1, 1000)])
def test_equals_share_orders_by_weight(weights: tuple[int, ...]) -> None:
    service = _service(*({"weight": weight} for weight in weights))
    drawn = Counter(first_route(service, _want(n), {}).id for n in range(1, 20_001))
    for number, weight in enumerate(weights, 1):
        assert drawn[number] == pytest.approx(20_000 * weight / sum(weights), rel=0.02, abs=3)


def test_after_a_refusal_for_good_the_order_waits_even_for_a_provider_that_is_away() -> None:
    service = _service({}, {})
    refused = _want(p1=Tried(True, 1))
    found = next_route(service, (1, "1"), refused, {2: _AWAY}, refused=True)
    assert found is not None
    assert found.id == 2
    assert next_route(service, (1, "1"), _want(p1=Tried(False, 1)), {2: _AWAY}) is None


def test_every_route_is_asked_once_before_one_is_asked_again() -> None:
    service = _service({"priority": 1}, {"priority": 2}, {"priority": 3})
    here, path = (1, "1"), [1]
    tried: dict[tuple[int, str], Tried] = {here: Tried(False, 1)}
    while found := next_route(service, here, Want(1, 1000, RATE, tried), {}):
        here = key_of(found)
        path.append(found.id)
        tried[here] = Tried(False, tried.get(here, Tried(False, 0)).times + 1)
    assert path == [1, 2, 3]


def test_a_route_that_became_too_dear_is_left_for_one_that_was_tried_more_often() -> None:
    service = _service({"cost": RATE + 1}, {})
    found = next_route(service, (1, "1"), _want(p1=Tried(False, 1), p2=Tried(False, 7)), {})
    assert found is not None
    assert found.id == 2


ROUTES = st.lists(
    st.builds(
        lambda provider, name, cost, priority, weight, enabled: {
            "provider_id": provider,
            "upstream_service": name,
            "cost": cost,
            "priority": priority,
            "weight": weight,
            "enabled": enabled,
        },
        st.integers(1, 4),
        st.sampled_from("ab"),
        st.integers(0, 2 * RATE),
        st.integers(1, 3),
        st.integers(1, 9),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda route: (route["provider_id"], route["upstream_service"]),
)
STANDINGS = st.dictionaries(
    st.integers(1, 4),
    st.builds(
        Standing,
        usable=st.booleans(),
        stuck=st.booleans(),
        balance=st.none() | st.integers(-5, 2 * RATE),
        waiting=st.integers(0, 100),
        adds_per_minute=st.integers(0, 10),
    ),
)
TRIED = st.dictionaries(
    st.tuples(st.integers(1, 4), st.sampled_from("ab")),
    st.builds(Tried, st.booleans(), st.integers(1, 3)),
)


@given(
    routes=ROUTES, standings=STANDINGS, tried=TRIED, order=st.integers(1, 2**31), loss=st.booleans()
)
def test_no_choice_breaks_a_rule(
    routes: list[dict[str, object]],
    standings: dict[int, Standing],
    tried: dict[tuple[int, str], Tried],
    order: int,
    loss: bool,
) -> None:
    service = _service(*routes, below_cost=loss)
    want = Want(order, 1000, RATE, tried)
    for route in service.routes:
        here = key_of(route)
        choices = [
            next_route(service, here, want, standings, refused=refused) for refused in (True, False)
        ]
        out = way_out(service, here, want, standings)
        for found in (*choices, out):
            if found is None:
                continue
            assert found.enabled
            assert loss or found.cost <= RATE
            assert key_of(found) not in {key for key, met in tried.items() if met.refused}
            assert key_of(found) != here
        for found in (choices[1], out):
            if found is not None:
                standing = standings.get(found.provider_id, Standing())
                assert standing.usable
                assert standing.balance is None or standing.balance >= found.cost
        left = [r for r in service.routes if key_of(r) != here and is_open_to(service, r, want)]
        assert (choices[0] is None) == (not left)


@given(routes=ROUTES, standings=STANDINGS, order=st.integers(1, 2**31), turn=st.integers(0, 5))
def test_the_same_order_chooses_the_same_wherever_and_whenever(
    routes: list[dict[str, object]], standings: dict[int, Standing], order: int, turn: int
) -> None:
    service = _service(*routes)
    if not any(route.enabled for route in service.routes):
        return
    turned = replace(service, routes=service.routes[turn:] + service.routes[:turn])
    want = Want(order, 1000, RATE)
    chosen = first_route(service, want, standings)
    assert chosen == first_route(turned, want, standings)
    assert chosen.enabled
    better = [r for r in service.routes if is_open_to(service, r, want)]
    if better and sum(route.enabled for route in service.routes) > 1:
        assert chosen in better
