"""What an upstream's new catalogue means for our routes and services: pure, and said as changes.

A price that changes is always taken down as the route's cost, because the guard against selling
below cost looks there. What may wait for an operator is what *we* ask: while a change is held,
prices are still made from the cost before it (``Route.basis``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from schemas.catalogue import Route, Service
from schemas.changes import Change, ChangeKind, ChangeState, NewChange, Seen
from schemas.config import PriceChanges, SyncPolicy
from schemas.money import UNIT, BadAmount, Micros, cost_from, format_amount
from schemas.upstream import RefusedRow, UpstreamCatalogue, UpstreamService

#: Prices above this, per 1,000 in the house currency, stand for "not for sale" at many panels.
ABSURD_COST: Micros = 99_999 * UNIT
VANISHED = "the upstream no longer offers it"
#: A change to more than so many times a cost, or to less than that part of it, is never followed.
_MOST_TIMES = 3
_NOT_SEEN = Decimal(0)


@dataclass(frozen=True, slots=True)
class Offer:
    """A sound row of an upstream's catalogue, and what it costs in the house currency."""

    row: UpstreamService
    cost: Micros


@dataclass(frozen=True, slots=True)
class Offers:
    """A catalogue by the upstream's ids: what can be sold, and why the rest cannot."""

    sound: Mapping[str, Offer]
    refused: tuple[RefusedRow, ...]

    @property
    def ids(self) -> list[str]:
        """All ids, sold or not."""
        return sorted({*self.sound, *(row.service for row in self.refused)})


@dataclass(frozen=True, slots=True)
class State:
    """What we have of one provider when its catalogue comes.

    ``seen`` is what was last taken over, by route; ``decisions`` are changes that wait or were
    dismissed, the newest of each route and kind; ``known`` are the ids of the last good catalogue,
    None before the first.
    """

    provider_id: int
    services: tuple[Service, ...]
    seen: Mapping[int, Seen]
    decisions: Mapping[tuple[int, ChangeKind], Change]
    known: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a catalogue changes. Routes, services and ``seen`` are as they become.

    ``closed`` are held changes that the upstream has taken back or changed again.
    """

    changes: tuple[NewChange, ...]
    routes: tuple[Route, ...]
    services: tuple[Service, ...]
    seen: tuple[Seen, ...]
    closed: tuple[int, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.changes or self.routes or self.services or self.seen or self.closed)


def judged(catalogue: UpstreamCatalogue, exchange: Decimal) -> Offers:
    """The catalogue in the house currency; prices that are absurd there are refused.

    Of two rows with the same id the first counts.
    """
    sound: dict[str, Offer] = {}
    refused = list(catalogue.refused)
    for row in catalogue.services:
        try:
            cost = cost_from(row.rate, exchange)
        except BadAmount as error:
            refused.append(RefusedRow(row.service, str(error)))
            continue
        if 0 < cost <= ABSURD_COST:
            sound.setdefault(row.service, Offer(row, cost))
        else:
            price = f"a price of {row.rate} per 1000"
            refused.append(RefusedRow(row.service, f"{price} is absurd: {format_amount(cost)}"))
    return Offers(sound, tuple(refused))


def broken_catalogue(offers: Offers, last_rows: int) -> str | None:
    """Why nothing may be taken over from a catalogue; None when it is sound.

    An empty or halved catalogue more often is a broken answer than a closed shop.
    """
    if not offers.sound:
        return "an empty catalogue"
    if len(offers.sound) * 2 < last_rows:
        return f"a catalogue of {len(offers.sound)} services that had {last_rows} before"
    return None


def holds(before: Micros, after: Micros, policy: SyncPolicy) -> bool:
    """Whether a change of a cost waits for an operator before our price follows."""
    if not before:
        return False
    return (
        policy.price_changes is PriceChanges.HOLD
        or abs(after - before) * 100 > policy.hold_percent * before
        or after > _MOST_TIMES * before
        or after * _MOST_TIMES < before
    )


def plan(state: State, offers: Offers, policy: SyncPolicy) -> Plan:
    """What has to be changed so that we sell what the catalogue says."""
    why = {row.service: row.reason for row in offers.refused}
    changed: list[Service] = []
    follower = _Follower(state, policy)
    for service in state.services:
        mine = [r for r in service.routes if r.provider_id == state.provider_id]
        for route in mine:
            found = offers.sound.get(route.upstream_service)
            if found is not None:
                follower.follow(service, route, found)
            else:
                follower.lose(service, route, why.get(route.upstream_service))
        limited = follower.limited(service)
        if limited != service:
            changed.append(limited)
    routed = {r.upstream_service for s in state.services for r in s.routes}
    if state.known is not None:
        for name in sorted(set(offers.sound) - state.known - routed):
            follower.changes.append(_new(offers.sound[name]))
    return Plan(
        tuple(follower.changes),
        tuple(follower.routes.values()),
        tuple(changed),
        tuple(s for i, s in follower.seen.items() if s != state.seen.get(i)),
        tuple(follower.closed),
    )


def _new(offer: Offer) -> NewChange:
    after = f"{offer.row.name} ({offer.row.type}, {format_amount(offer.cost)})"
    why = "sell it with `service import --ids`"
    kind, state = ChangeKind.NEW, ChangeState.APPLIED
    return NewChange(None, None, offer.row.service, kind, None, after, state, why)


def _flags(source: Seen | UpstreamService) -> str:
    return " ".join(name for name in ("refill", "cancel") if getattr(source, name)) or "none"


@dataclass
class _Follower:
    """Collects what becomes of the routes, one after the other."""

    state: State
    policy: SyncPolicy
    changes: list[NewChange] = field(default_factory=list)
    routes: dict[int, Route] = field(default_factory=dict)
    seen: dict[int, Seen] = field(default_factory=dict)
    closed: list[int] = field(default_factory=list)

    def lose(self, service: Service, route: Route, reason: str | None) -> None:
        """The upstream does not offer it, or in a way that cannot be sold."""
        if reason is None:
            self._off(service, route, ChangeKind.VANISHED, VANISHED)
        else:
            reason = f"the upstream's row cannot be sold: {reason}"
            self._off(service, route, ChangeKind.REFUSED, reason)

    def follow(self, service: Service, route: Route, offer: Offer) -> None:
        """The upstream offers it: take over what may be taken over."""
        if offer.row.type != service.type:
            # What a price and the limits are for depends on the type: this is another service.
            self._change_type(service, route, offer)
            return
        self._close(route, ChangeKind.TYPE_CHANGED)
        before = self.state.seen.get(route.id)
        seen = Seen(
            route.id,
            before.name if before and before.name else offer.row.name,
            offer.row.rate,
            offer.row.minimum,
            offer.row.maximum,
            offer.row.refill,
            offer.row.cancel,
            before.off if before and not route.enabled else None,
        )
        renamed = self._rename(service, route, seen.name, offer.row.name)
        if before and before.name and _flags(before) != _flags(offer.row):
            words = _flags(before), _flags(offer.row)
            self._note(service, route, ChangeKind.FLAGS, *words)
        after = self._price(service, route, offer.cost)
        if self._is_off_by_sync(route) and not renamed:
            after = replace(after, enabled=True, disabled_reason=None)
            seen = replace(seen, off=None)
            self._note(service, route, ChangeKind.RETURNED, route.disabled_reason, None)
        self.seen[route.id] = seen
        if after != route:
            self.routes[route.id] = after

    def limited(self, service: Service) -> Service:
        """The service within the limits and with the flags that its routes now have."""
        limits = service.minimum, service.maximum
        for route in service.routes:
            now = self.seen.get(route.id)
            before = self.state.seen.get(route.id)
            if now is None or now == before:
                continue
            old = (before.minimum, before.maximum) if before else limits
            new = now.minimum, now.maximum
            if old != new:
                limits = self._narrow(service, route, old, new)
            if before and before.name:
                service = _flagged(service, before, now)
        return replace(service, minimum=limits[0], maximum=limits[1])

    def _narrow(
        self, service: Service, route: Route, old: tuple[int, int], new: tuple[int, int]
    ) -> tuple[int, int]:
        """An order may go to any route, so its quantity must suit them all."""
        on = [self.routes.get(r.id, r) for r in service.routes]
        known = [self.seen.get(r.id) or self.state.seen.get(r.id) for r in on if r.enabled]
        ranges = [(s.minimum, s.maximum) for s in known if s is not None] or [new]
        low, high = max(r[0] for r in ranges), min(r[1] for r in ranges)
        words = f"{old[0]}-{old[1]}", f"{new[0]}-{new[1]}"
        if low <= high:
            self._note(service, route, ChangeKind.LIMITS, *words)
            return low, high
        why = "no quantity suits all its routes"
        self._note(service, route, ChangeKind.LIMITS, *words, ChangeState.HELD, why)
        return service.minimum, service.maximum

    def _price(self, service: Service, route: Route, cost: Micros) -> Route:
        if cost == route.cost:
            return route
        basis = route.cost if route.basis is None else route.basis
        words = format_amount(route.cost), format_amount(cost)
        self._close(route, ChangeKind.PRICE)
        if cost != basis and holds(basis, cost, self.policy):
            size = f"{abs(cost - basis) * 100 // basis} %"
            why = f"a rise of {size}: our price stays" if cost > basis else f"a fall of {size}"
            self._note(service, route, ChangeKind.PRICE, *words, ChangeState.HELD, why)
            return replace(route, cost=cost, basis=basis)
        reached = not service.follows and not service.below_cost and cost >= service.rate
        why_not = "it has reached our fixed price: not sold by this route" if reached else None
        self._note(service, route, ChangeKind.PRICE, *words, why=why_not)
        return replace(route, cost=cost, basis=None)

    def _rename(self, service: Service, route: Route, before: str, after: str) -> bool:
        """Whether a new name still waits for an operator: it may be another service now."""
        if after == before:
            self._close(route, ChangeKind.RENAMED)
            return False
        return self._hold(service, route, ChangeKind.RENAMED, before, after)

    def _change_type(self, service: Service, route: Route, offer: Offer) -> None:
        before, after = service.type, offer.row.type
        self._hold(service, route, ChangeKind.TYPE_CHANGED, before, after)
        reason = f"the upstream changed its type from {before} to {after}"
        self._off(service, route, None, reason)

    def _hold(
        self, service: Service, route: Route, kind: ChangeKind, before: str, after: str
    ) -> bool:
        known = self.state.decisions.get((route.id, kind))
        if known is not None and known.after == after:
            return known.state is ChangeState.HELD
        self._close(route, kind)
        self._note(service, route, kind, before, after, ChangeState.HELD)
        return True

    def _off(self, service: Service, route: Route, kind: ChangeKind | None, reason: str) -> None:
        """Switch a route off; one that is off already stays as it is, whoever did that."""
        if not route.enabled:
            return
        seen = self.state.seen.get(route.id) or Seen(
            route.id,
            name="",
            rate=_NOT_SEEN,
            minimum=service.minimum,
            maximum=service.maximum,
            refill=service.refill,
            cancel=service.cancel,
        )
        self.seen[route.id] = replace(seen, off=reason)
        self.routes[route.id] = replace(route, enabled=False, disabled_reason=reason)
        if kind is not None:
            self._note(service, route, kind, "on", "off", why=reason)

    def _is_off_by_sync(self, route: Route) -> bool:
        seen = self.state.seen.get(route.id)
        off = seen.off if seen is not None else None
        return not route.enabled and off is not None and route.disabled_reason == off

    def _close(self, route: Route, kind: ChangeKind) -> None:
        known = self.state.decisions.get((route.id, kind))
        if known is not None and known.state is ChangeState.HELD:
            self.closed.append(known.id)

    def _note(
        self,
        service: Service,
        route: Route,
        kind: ChangeKind,
        before: str | None,
        after: str | None,
        state: ChangeState = ChangeState.APPLIED,
        why: str | None = None,
    ) -> None:
        name = route.upstream_service
        self.changes.append(NewChange(service.id, route.id, name, kind, before, after, state, why))


def _flagged(service: Service, before: Seen, now: Seen) -> Service:
    """Flags follow where we show what the upstream showed; what an operator set is ours.

    A flag that is new is taken over only where no other route would have to keep it.
    """
    alone = len(service.routes) == 1
    refill, cancel = service.refill, service.cancel
    if refill == before.refill and (alone or not now.refill):
        refill = now.refill
    if cancel == before.cancel and (alone or not now.cancel):
        cancel = now.cancel
    return replace(service, refill=refill, cancel=cancel)
