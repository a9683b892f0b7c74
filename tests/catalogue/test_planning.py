"""What a new catalogue means for our routes and services: pure."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.catalogue.planning import (
    VANISHED,
    Offers,
    Plan,
    State,
    broken_catalogue,
    holds,
    judged,
    plan,
)
from gateway.catalogue.pricing import PriceRules, offered
from schemas.catalogue import PriceRule, Route, Service
from schemas.changes import Change, ChangeKind, ChangeState, NewChange, Seen
from schemas.config import PriceChanges, SyncPolicy
from schemas.money import UNIT
from schemas.upstream import RefusedRow, UpstreamCatalogue, UpstreamService
from tests.orders.making import a_route, a_service

_POLICY = SyncPolicy()
_RULES = PriceRules([PriceRule(1, Decimal(25))])
_NOW = datetime(2026, 3, 1, tzinfo=UTC)
_ROW = UpstreamService(
    service="1",
    name="Followers",
    category="Instagram",
    type="Default",
    type_known=True,
    rate=Decimal("1.00"),
    minimum=10,
    maximum=1000,
    refill=True,
    cancel=False,
    dripfeed=False,
)


def _offers(*rows: UpstreamService, refused: tuple[RefusedRow, ...] = ()) -> Offers:
    return judged(UpstreamCatalogue(rows, refused), Decimal(1))


@dataclass
class Shop:
    """What we have of one provider, as the store would keep it from sync to sync."""

    services: list[Service]
    seen: dict[int, Seen] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    known: frozenset[str] | None = None
    policy: SyncPolicy = _POLICY

    def plan(self, offers: Offers) -> Plan:
        newest = {(c.route_id, c.kind): c for c in self.changes if c.route_id is not None}
        waiting = {
            (route, kind): c
            for (route, kind), c in newest.items()
            if c.state in (ChangeState.HELD, ChangeState.DISMISSED)
        }
        state = State(1, tuple(self.services), self.seen, waiting, self.known)
        return plan(state, offers, self.policy)

    def sync(self, offers: Offers) -> tuple[NewChange, ...]:
        """Apply a plan as the store does."""
        found = self.plan(offers)
        routes = {route.id: route for route in found.routes}
        limited = {service.id: service for service in found.services}
        for n, service in enumerate(self.services):
            now = limited.get(service.id, service)
            now = replace(now, routes=tuple(routes.get(r.id, r) for r in service.routes))
            self.services[n] = now
        self.seen |= {seen.route_id: seen for seen in found.seen}
        for n, change in enumerate(self.changes):
            if change.id in found.closed:
                self.changes[n] = replace(change, state=ChangeState.APPLIED)
        for new in found.changes:
            self.changes.append(_kept(len(self.changes) + 1, new))
        self.known = frozenset(offers.ids)
        return found.changes

    def decide(self, state: ChangeState) -> None:
        """An operator's word on all that waits."""
        for n, change in enumerate(self.changes):
            if change.state is not ChangeState.HELD:
                continue
            self.changes[n] = replace(change, state=state)
            if state is ChangeState.APPROVED:
                self._approve(change)

    def _approve(self, change: Change) -> None:
        assert change.route_id is not None
        assert change.after is not None
        for n, service in enumerate(self.services):
            if service.id != change.service_id:
                continue
            if change.kind is ChangeKind.PRICE:
                routes = [
                    replace(r, basis=None) if r.id == change.route_id else r for r in service.routes
                ]
                self.services[n] = replace(service, routes=tuple(routes))
            elif change.kind is ChangeKind.TYPE_CHANGED:
                self.services[n] = replace(service, type=change.after)
            elif change.kind is ChangeKind.RENAMED:
                seen = self.seen[change.route_id]
                self.seen[change.route_id] = replace(seen, name=change.after)
                self.services[n] = replace(service, name=change.after)

    @property
    def route(self) -> Route:
        return self.services[0].routes[0]

    @property
    def rate(self) -> int | None:
        """The rate for everybody, None when the service is not for sale."""
        sold = offered(self.services[0], _RULES)
        return sold.rate if sold else None


def _kept(number: int, new: NewChange) -> Change:
    return Change(
        number,
        1,
        "upstream",
        new.service_id,
        new.route_id,
        new.upstream_service,
        new.kind,
        new.before,
        new.after,
        new.state,
        new.why,
        _NOW,
        None,
    )


def _shop(row: UpstreamService = _ROW, policy: SyncPolicy = _POLICY, **values: object) -> Shop:
    """A shop that sells the row at its price and 25 %, after a first sync."""
    cost = int(row.rate * UNIT)
    service = a_service(
        minimum=row.minimum,
        maximum=row.maximum,
        **{"follows": True, "refill": row.refill, "routes": (a_route(cost=cost),), **values},  # type: ignore[arg-type]
    )
    shop = Shop([service], policy=policy)
    shop.sync(_offers(row))
    return shop


def _said(changes: tuple[NewChange, ...]) -> list[tuple[str, str]]:
    return [(change.kind.value, change.state.value) for change in changes]


def test_a_price_within_the_threshold_is_followed_with_the_markup() -> None:
    shop = _shop()
    [change] = shop.sync(_offers(replace(_ROW, rate=Decimal("1.40"))))
    assert (change.kind, change.state) == (ChangeKind.PRICE, ChangeState.APPLIED)
    assert (change.before, change.after) == ("1.00", "1.40")
    assert shop.rate == 1_750_000


def test_a_rise_above_the_threshold_stops_the_sale_until_it_is_approved() -> None:
    shop = _shop()
    dear = _offers(replace(_ROW, rate=Decimal("1.60")))
    assert _said(shop.sync(dear)) == [("price", "held")]
    assert (shop.rate, shop.route.cost, shop.route.basis) == (None, 1_600_000, UNIT)
    assert shop.plan(dear).is_empty
    shop.decide(ChangeState.APPROVED)
    assert shop.rate == 2_000_000
    assert shop.plan(dear).is_empty


def test_a_rise_that_our_price_still_covers_is_held_and_goes_on_selling() -> None:
    shop = _shop(rate=5 * UNIT, follows=False)
    assert _said(shop.sync(_offers(replace(_ROW, rate=Decimal(2))))) == [("price", "held")]
    assert shop.rate == 5 * UNIT
    assert shop.route.cost == 2 * UNIT


def test_a_held_fall_keeps_selling_at_the_old_price() -> None:
    shop = _shop()
    cheap = _offers(replace(_ROW, rate=Decimal("0.10")))
    assert _said(shop.sync(cheap)) == [("price", "held")]
    assert shop.rate == 1_250_000
    shop.decide(ChangeState.DISMISSED)
    assert shop.plan(cheap).is_empty
    assert shop.rate == 1_250_000


def test_a_held_change_that_the_upstream_takes_back_is_over() -> None:
    shop = _shop()
    shop.sync(_offers(replace(_ROW, rate=Decimal(4))))
    assert [shop.rate] == [None]
    assert _said(shop.sync(_offers(_ROW))) == [("price", "applied")]
    assert [c.state for c in shop.changes if c.kind is ChangeKind.PRICE] == [
        ChangeState.APPLIED,
        ChangeState.APPLIED,
    ]
    back = shop.rate, shop.route.basis
    assert back == (1_250_000, None)


def test_a_held_change_is_measured_from_the_price_that_we_go_by() -> None:
    shop = _shop()
    shop.sync(_offers(replace(_ROW, rate=Decimal("1.60"))))
    assert _said(shop.sync(_offers(replace(_ROW, rate=Decimal("1.70"))))) == [("price", "held")]
    assert shop.route.basis == UNIT
    assert sum(c.state is ChangeState.HELD for c in shop.changes) == 1


@pytest.mark.parametrize(
    ("before", "after", "values", "held"),
    [
        (100, 150, {}, False),
        (100, 151, {}, True),
        (100, 50, {}, False),
        (100, 49, {}, True),
        (100, 300, {"hold_percent": 1000}, False),
        (100, 301, {"hold_percent": 1000}, True),
        (100, 33, {"hold_percent": 1000}, True),
        (100, 101, {"price_changes": PriceChanges.HOLD}, True),
        (100, 101, {"hold_percent": 0}, True),
        (0, 100, {}, False),
    ],
)
def test_what_waits_for_an_operator(
    before: int, after: int, values: dict[str, Any], held: bool
) -> None:
    assert holds(before, after, SyncPolicy(**values)) is held


def test_a_cost_that_reaches_a_fixed_price_ends_its_sale_and_says_so() -> None:
    shop = _shop(rate=1_400_000, follows=False)
    [change] = shop.sync(_offers(replace(_ROW, rate=Decimal("1.40"))))
    assert change.state is ChangeState.APPLIED
    assert "reached our fixed price" in (change.why or "")
    assert shop.rate is None
    shop.sync(_offers(replace(_ROW, rate=Decimal("1.39"))))
    assert shop.rate == 1_400_000


def test_limits_and_flags_follow() -> None:
    shop = _shop()
    now = replace(_ROW, minimum=20, maximum=500, refill=False, cancel=True)
    assert _said(shop.sync(_offers(now))) == [("flags", "applied"), ("limits", "applied")]
    service = shop.services[0]
    assert (service.minimum, service.maximum) == (20, 500)
    assert (service.refill, service.cancel) == (False, True)


def test_a_flag_that_an_operator_set_stays() -> None:
    shop = _shop()
    shop.services[0] = replace(shop.services[0], refill=False)
    shop.sync(_offers(replace(_ROW, cancel=True)))
    assert (shop.services[0].refill, shop.services[0].cancel) == (False, True)


def test_a_quantity_must_suit_every_route() -> None:
    shop = _shop()
    [service] = shop.services
    second = a_route(id=2, upstream_service="2", cost=UNIT)
    shop.services = [replace(service, routes=(*service.routes, second))]
    narrow = replace(_ROW, service="2", minimum=50, maximum=5000)
    shop.sync(_offers(_ROW, narrow))
    assert (shop.services[0].minimum, shop.services[0].maximum) == (50, 1000)
    found = shop.sync(_offers(_ROW, replace(narrow, minimum=2000)))
    assert _said(found) == [("limits", "held")]
    assert (shop.services[0].minimum, shop.services[0].maximum) == (50, 1000)


def test_what_an_operator_narrowed_stays_until_the_upstream_changes_it() -> None:
    shop = _shop()
    shop.services[0] = replace(shop.services[0], minimum=100)
    assert shop.plan(_offers(_ROW)).is_empty


def test_a_new_name_waits_and_ours_stays() -> None:
    shop = _shop()
    renamed = _offers(replace(_ROW, name="Likes"))
    assert _said(shop.sync(renamed)) == [("renamed", "held")]
    assert (shop.services[0].name, shop.rate) == ("Followers", 1_250_000)
    assert shop.plan(renamed).is_empty
    shop.decide(ChangeState.DISMISSED)
    assert shop.plan(renamed).is_empty
    shop.sync(_offers(replace(_ROW, name="Views")))
    shop.decide(ChangeState.APPROVED)
    assert shop.services[0].name == "Views"
    assert shop.plan(_offers(replace(_ROW, name="Views"))).is_empty


def test_a_name_that_comes_up_again_after_it_was_taken_back_waits_again() -> None:
    shop = _shop()
    renamed = _offers(replace(_ROW, name="Likes"))
    shop.sync(renamed)
    assert _said(shop.sync(_offers(_ROW))) == []
    assert _said(shop.sync(renamed)) == [("renamed", "held")]


def test_what_vanishes_is_switched_off_and_comes_back_with_the_upstream() -> None:
    shop = _shop()
    other = replace(_ROW, service="2")
    assert _said(shop.sync(_offers(other))) == [("vanished", "applied"), ("new", "applied")]
    assert (shop.rate, shop.route.disabled_reason) == (None, VANISHED)
    assert shop.plan(_offers(other)).is_empty
    assert _said(shop.sync(_offers(_ROW, other))) == [("returned", "applied")]
    assert (shop.rate, shop.route.disabled_reason) == (1_250_000, None)


def test_what_an_operator_switched_off_does_not_come_back() -> None:
    shop = _shop()
    off = replace(shop.route, enabled=False, disabled_reason="switched off by an operator")
    shop.services[0] = replace(shop.services[0], routes=(off,))
    other = replace(_ROW, service="2")
    assert "vanished" not in dict(_said(shop.sync(_offers(other))))
    assert _said(shop.sync(_offers(_ROW, other))) == []
    assert not shop.route.enabled


def test_what_an_operator_switched_off_after_the_sync_did_stays_off() -> None:
    shop = _shop()
    other = replace(_ROW, service="2")
    shop.sync(_offers(other))
    off = replace(shop.route, disabled_reason="switched off by an operator")
    shop.services[0] = replace(shop.services[0], routes=(off,))
    assert _said(shop.sync(_offers(_ROW, other))) == []


def test_what_returns_as_something_else_stays_off_until_an_operator_has_looked() -> None:
    shop = _shop()
    other = replace(_ROW, service="2")
    shop.sync(_offers(other))
    back = _offers(replace(_ROW, name="Another thing"), other)
    assert _said(shop.sync(back)) == [("renamed", "held")]
    assert shop.rate is None
    shop.decide(ChangeState.APPROVED)
    assert _said(shop.sync(back)) == [("returned", "applied")]
    assert shop.rate == 1_250_000


def test_a_row_that_cannot_be_sold_switches_its_route_off_and_no_other() -> None:
    shop = _shop()
    other = a_service(id=2, follows=True, routes=(a_route(id=2, service_id=2, cost=UNIT),))
    other = replace(other, routes=(replace(other.routes[0], upstream_service="2"),))
    shop.services.append(other)
    second = replace(_ROW, service="2")
    shop.sync(_offers(_ROW, second))
    bad = _offers(second, refused=(RefusedRow("1", "the rate is not above 0"),))
    assert _said(shop.sync(bad)) == [("refused", "applied")]
    assert shop.rate is None
    assert "the rate is not above 0" in (shop.route.disabled_reason or "")
    assert offered(shop.services[1], _RULES) is not None
    assert shop.plan(bad).is_empty
    assert _said(shop.sync(_offers(_ROW, second))) == [("returned", "applied")]


@pytest.mark.parametrize("rate", ["99999.01", "1e10", "0.0000000", "1e400"])
def test_an_absurd_price_is_refused_after_conversion(rate: str) -> None:
    found = _offers(replace(_ROW, rate=Decimal(rate)))
    assert not found.sound
    assert [row.service for row in found.refused] == ["1"]


def test_another_type_is_another_service_until_an_operator_agrees() -> None:
    shop = _shop()
    package = _offers(replace(_ROW, type="Package", rate=Decimal("0.9")))
    assert _said(shop.sync(package)) == [("type_changed", "held")]
    assert (shop.rate, shop.route.cost) == (None, UNIT)
    assert shop.plan(package).is_empty
    shop.decide(ChangeState.APPROVED)
    assert _said(shop.sync(package)) == [("price", "applied"), ("returned", "applied")]
    assert (shop.services[0].type, shop.rate) == ("Package", 1_125_000)


def test_a_first_catalogue_is_no_news_and_later_ones_name_what_is_new() -> None:
    shop = Shop([a_service(follows=True, minimum=10, maximum=1000, routes=(a_route(cost=UNIT),))])
    rows = [replace(_ROW, service=str(n)) for n in range(1, 5)]
    assert shop.sync(_offers(*rows[:2])) == ()
    [change] = shop.sync(_offers(*rows[:3]))
    assert (change.kind, change.upstream_service) == (ChangeKind.NEW, "3")
    assert shop.sync(_offers(*rows[:3])) == ()


def test_a_changed_exchange_rate_is_a_changed_price() -> None:
    shop = _shop()
    dearer = judged(UpstreamCatalogue((_ROW,)), Decimal("1.1"))
    [change] = shop.sync(dearer)
    assert (change.kind, change.after) == (ChangeKind.PRICE, "1.10")


@pytest.mark.parametrize(
    ("rows", "last", "broken"),
    [(0, 0, True), (0, 5, True), (2, 5, True), (3, 5, False), (5, 5, False), (1, 0, False)],
)
def test_an_empty_or_halved_catalogue_is_broken(rows: int, last: int, broken: bool) -> None:
    offers = _offers(*(replace(_ROW, service=str(n)) for n in range(rows)))
    assert (broken_catalogue(offers, last) is not None) is broken


_STEP = st.fixed_dictionaries(
    {
        "rate": st.sampled_from(["0.01", "0.50", "0.90", "1.00", "1.20", "1.60", "5", "99999.5"]),
        "name": st.sampled_from(["Followers", "Likes"]),
        "type": st.sampled_from(["Default", "Default", "Package"]),
        "minimum": st.integers(1, 50),
        "there": st.sampled_from(["sound", "sound", "sound", "gone", "bad"]),
        "word": st.sampled_from([None, ChangeState.APPROVED, ChangeState.DISMISSED]),
        "policy": st.sampled_from([_POLICY, SyncPolicy(price_changes=PriceChanges.HOLD)]),
    }
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_STEP, min_size=1, max_size=8), st.booleans())
def test_no_sequence_of_catalogues_sells_below_cost_and_none_says_the_same_twice(
    steps: list[dict[str, Any]], follows: bool
) -> None:
    shop = _shop(rate=1_250_000, follows=follows)
    other = replace(_ROW, service="2")
    for step in steps:
        shop.policy = step["policy"]
        row = replace(
            _ROW,
            rate=Decimal(step["rate"]),
            name=step["name"],
            type=step["type"],
            minimum=step["minimum"],
        )
        rows = [other, row] if step["there"] == "sound" else [other]
        refused = (RefusedRow("1", "bad"),) if step["there"] == "bad" else ()
        offers = _offers(*rows, refused=refused)
        shop.sync(offers)
        assert shop.plan(offers).is_empty
        if step["word"] is not None:
            shop.decide(step["word"])
            shop.sync(offers)
            assert shop.plan(offers).is_empty
        sold = offered(shop.services[0], _RULES)
        if sold is not None:
            asked = offers.sound["1"]
            assert asked.row.type == sold.type
            assert sold.rate >= asked.cost
            assert sold.minimum <= sold.maximum
