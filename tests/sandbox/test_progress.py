"""Progress is a pure function: no clock runs in these tests."""

import pytest

from providers.sandbox.progress import Pace, Plan, Standing, charge_at, standing_after
from schemas.orders import WireStatus

SECOND = 1_000_000
WHOLE = Plan(WireStatus.COMPLETED, 0)


@pytest.mark.parametrize(
    ("work", "status", "remains", "start_count"),
    [
        (0.0, "Pending", 1000, 0),
        (0.15, "Processing", 1000, 0),
        (0.2, "In progress", 1000, 77),
        (0.6, "In progress", 500, 77),
        (1.0, "Completed", 0, 77),
        (50.0, "Completed", 0, 77),
    ],
)
def test_an_order_walks_from_pending_to_completed(
    work: float, status: str, remains: int, start_count: int
) -> None:
    standing = standing_after(WHOLE, 1000, 77, work)
    assert standing.status == status
    assert standing.remains == pytest.approx(remains, abs=1)
    assert standing.start_count == start_count


def test_remains_never_rise() -> None:
    seen = [standing_after(WHOLE, 997, 0, step / 100).remains for step in range(120)]
    assert seen == sorted(seen, reverse=True)


def test_plans_end_where_they_say() -> None:
    assert standing_after(Plan(WireStatus.PARTIAL, 300), 1000, 5, 1.0) == Standing(
        "Partial", 300, 5
    )
    assert standing_after(Plan(WireStatus.CANCELED, 1000), 1000, 5, 1.0) == Standing(
        "Canceled", 1000, 5
    )
    assert standing_after(Plan(None, 500), 1000, 5, 99.0) == Standing("In progress", 500, 5)


def test_only_the_delivered_part_is_kept() -> None:
    assert charge_at(Standing("Completed", 0, 0), 840_000, 1000) == 840_000
    assert charge_at(Standing("Canceled", 1000, 0), 840_000, 1000) == 0
    assert charge_at(Standing("Partial", 333, 0), 840_001, 1000) == 840_001 - 279_720
    # Garbage that a person set moves no money.
    assert charge_at(Standing("Partial", -2, 0), 840_000, 1000) == 840_000


def test_a_change_of_pace_takes_no_work_back() -> None:
    pace = Pace()
    pace.change(1 * SECOND, 10.0)
    assert pace.work(6 * SECOND) == pytest.approx(0.5)
    pace.change(6 * SECOND, 1000.0)
    assert pace.work(6 * SECOND) == pytest.approx(0.5)
    pace.change(7 * SECOND, None)
    rested = pace.work(7 * SECOND)
    assert pace.work(500 * SECOND) == rested
    pace.jump(500 * SECOND, 1.0)
    assert pace.work(500 * SECOND) == rested + 1
    assert pace.work(499 * SECOND) == rested


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_no_order_takes_no_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Pace().change(1, seconds)
