"""The judge of a run with faults: what clients were told, what is kept, what the panel took.

Everything here is pure: each rule yields one text per thing that is wrong.
"""

from collections import Counter
from collections.abc import Iterator

from tests.faults.client_rules import client_violations
from tests.faults.evidence import Evidence
from tests.faults.journal import Outcome

#: States that say the panel took the order.
_TAKEN = frozenset({"placed", "in_progress", "completed", "partial"})
#: States in which an order may rest although its fate is open: nothing was given back.
_OPEN = frozenset({"unknown", "review"})
#: A refill in these states may have been taken by its panel.
_MAYBE_REFILLED = frozenset({"sending", "unknown", "placed", "in_progress", "completed", "failed"})


def violations(evidence: Evidence) -> list[str]:
    """Everything that is wrong; empty after a run without a mistake."""
    rules = (
        _told,
        _kept_once,
        _charged_once,
        _accepted_once,
        _states_are_true,
        _nothing_was_given_back_for_nothing,
        _refilled_once,
        _money_adds_up,
        _bank_adds_up,
        _nothing_leaked,
        client_violations,
    )
    return [text for rule in rules for text in rule(evidence)]


def _told(evidence: Evidence) -> Iterator[str]:
    """What a client was told is so."""
    by_link = {order.link: order for order in evidence.orders}
    for add in evidence.adds:
        order = by_link.get(add.link)
        match add.outcome:
            case Outcome.OK if order is None:
                yield f"lost: order {add.order_id} was acknowledged and is not there ({add.link})"
            case Outcome.OK if order is not None and order.id != add.order_id:
                yield f"{add.link} was acknowledged as {add.order_id} and is order {order.id}"
            case Outcome.FAIL if order is not None:
                yield f"order {order.id} exists although it was refused: {add.said}"
            case None:
                yield f"{add.link} has no outcome"
            case _:
                pass


def _kept_once(evidence: Evidence) -> Iterator[str]:
    """Every order is one that a client asked for, once."""
    asked = {add.link: add for add in evidence.adds}
    for link, number in Counter(order.link for order in evidence.orders).items():
        if number > 1:
            yield f"doubled: {number} orders for the one add of {link}"
    for order in evidence.orders:
        add = asked.get(order.link)
        if add is None:
            yield f"order {order.id} was asked for by nobody: {order.link}"
        elif (add.reseller_id, add.quantity) != (order.reseller_id, order.quantity):
            yield f"order {order.id} is not what was asked for: {order}"


def _charged_once(evidence: Evidence) -> Iterator[str]:
    for order in evidence.orders:
        price = -(-order.rate * order.quantity // 1000)
        if order.charges != (price,) or order.charge != price:
            yield f"order {order.id} costs {price} and was charged {order.charges}"


def _accepted_once(evidence: Evidence) -> Iterator[str]:
    """What the panel accepted is one order of ours, accepted once."""
    ours = {order.link for order in evidence.orders}
    for link, number in Counter(link for _, link in evidence.accepted).items():
        if number > 1:
            yield f"sent twice: the panel accepted {link} {number} times"
        if link not in ours:
            yield f"the panel accepted {link}, which is no order of ours"


def _states_are_true(evidence: Evidence) -> Iterator[str]:
    """An order's state agrees with what the panel logged; a doubt costs nobody anything."""
    accepted = {link: upstream_id for upstream_id, link in evidence.accepted}
    for order in evidence.orders:
        upstream_id = accepted.get(order.link)
        named = f"order {order.id} is {order.state}"
        # Canceled is either the panel's end of it, or our own before it was sent.
        taken = order.state in _TAKEN or (order.state == "canceled" and order.upstream_id)
        if taken and (upstream_id is None or upstream_id != order.upstream_id):
            yield f"{named} as {order.upstream_id}, the panel has {upstream_id}"
        elif order.state in ("failed", "canceled") and not taken and upstream_id is not None:
            yield f"{named} and refunded, the panel has {upstream_id}"
        elif order.state in _OPEN and order.refunded:
            yield f"{named}, and {order.refunded} was given back"
        elif order.state not in {*_TAKEN, *_OPEN, "failed", "canceled"}:
            yield f"{named} although everything has come to rest"


def _nothing_was_given_back_for_nothing(evidence: Evidence) -> Iterator[str]:
    """Money goes back for an order that the panel has only when the panel says that it ended so."""
    if evidence.upstream is None:
        return
    for order in evidence.orders:
        status = evidence.upstream.get(order.link)
        if order.refunded and status not in (None, "Partial", "Canceled"):
            yield f"order {order.id}: {order.refunded} was given back, the panel says {status}"


def _refilled_once(evidence: Evidence) -> Iterator[str]:
    """A refill that was told exists; a panel took no more refills of an order than were asked."""
    ours = {str(refill.id): refill for refill in evidence.refills}
    for request in evidence.requests:
        if request.action == "refill" and request.outcome is Outcome.OK:
            refill = ours.get(request.given)
            if refill is None or refill.order_id != request.order_id:
                yield f"lost: refill {request.given} of order {request.order_id} was acknowledged"
    if evidence.refilled is None:
        return
    ids = {order.id: order.upstream_id for order in evidence.orders}
    asked = Counter(ids.get(r.order_id) for r in evidence.refills if r.state in _MAYBE_REFILLED)
    for upstream_id, taken in evidence.refilled.items():
        if taken > asked[upstream_id]:
            yield f"refilled {taken} times: {upstream_id}, asked for {asked[upstream_id]} times"


def _money_adds_up(evidence: Evidence) -> Iterator[str]:
    for reseller_id, statement in evidence.statements.items():
        orders = [o for o in evidence.orders if o.reseller_id == reseller_id]
        expected = statement.funds - sum(o.charge - o.refunded for o in orders)
        if statement.balance != expected:
            yield f"reseller {reseller_id} has {statement.balance} instead of {expected}"
        walked = 0
        for position, (signed, after) in enumerate(statement.entries, start=1):
            walked += signed
            if walked != after or walked < 0:
                yield f"reseller {reseller_id} entry {position}: {after} instead of {walked}"
                break
        if walked != statement.balance:
            yield f"reseller {reseller_id} has {statement.balance}, its entries make {walked}"


def _bank_adds_up(evidence: Evidence) -> Iterator[str]:
    """At any instant the balances are what the entries make, whatever is going on (O4)."""
    for snapshot in evidence.snapshots:
        if snapshot.balances != snapshot.entries:
            yield (
                f"the bank at {snapshot.at:.1f} s holds {snapshot.balances}, "
                f"its entries make {snapshot.entries}"
            )


def _nothing_leaked(evidence: Evidence) -> Iterator[str]:
    """No planted secret is in anything that the run printed or answered (O7)."""
    for leak in evidence.leaks:
        yield f"leaked: {leak}"
