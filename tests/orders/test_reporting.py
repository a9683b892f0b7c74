"""What an operator may say of an order, decided without a database."""

import pytest

from gateway.errors import UserError
from gateway.orders.reporting import require_possible
from schemas.orders import OrderState
from schemas.upstream import UpstreamStatus, UpstreamWord
from tests.orders.making import an_order


def _says(word: UpstreamWord) -> UpstreamStatus:
    return UpstreamStatus(word)


@pytest.mark.parametrize("word", [UpstreamWord.IN_PROGRESS, UpstreamWord.COMPLETED])
@pytest.mark.parametrize("state", [OrderState.SCHEDULED, OrderState.COMPLETED, OrderState.PARTIAL])
def test_a_drip_feed_is_not_reported_on_but_its_parts_are(
    state: OrderState, word: UpstreamWord
) -> None:
    parent = an_order(state, upstream_id=None, attempts=0)
    with pytest.raises(UserError, match="delivered in parts: report on those"):
        require_possible(parent, _says(word))


def test_a_run_is_reported_on_like_any_order() -> None:
    run = an_order(OrderState.PLACED, parent_id=9)
    require_possible(run, _says(UpstreamWord.COMPLETED))
