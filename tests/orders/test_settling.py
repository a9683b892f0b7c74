"""What is counted of orders once their moves are committed."""

from gateway.orders.lifecycle import move
from gateway.orders.settling import report
from schemas.money import UNIT
from schemas.orders import OrderState
from tests.orders.making import an_order


def test_a_part_whose_share_of_the_charge_is_nothing_ends_like_any_other() -> None:
    part = an_order(OrderState.PLACED, quantity=1, charge=0, cost=UNIT, parent_id=7)
    report([move(part, OrderState.COMPLETED, "upstream_completed")])
