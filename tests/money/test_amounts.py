"""Amounts of money: reading, writing, and the two rounding rules, for all amounts that exist."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import (
    MAX_AMOUNT,
    RATE_STEP,
    UNIT,
    BadAmount,
    charge_of,
    cost_from,
    format_amount,
    micros_from,
    parse_amount,
    parse_rate,
    rate_above,
    refund_due,
    undelivered_part,
)

AMOUNTS = st.integers(0, MAX_AMOUNT - 1)
RATES = st.integers(1, MAX_AMOUNT // RATE_STEP).map(lambda steps: steps * RATE_STEP)
QUANTITIES = st.integers(1, 2**31 - 1)


@given(AMOUNTS)
def test_what_is_written_is_read_back_unchanged(amount: int) -> None:
    assert parse_amount(format_amount(amount)) == amount


@given(AMOUNTS)
def test_an_amount_has_two_to_six_decimals_and_none_to_spare(amount: int) -> None:
    whole, decimals = format_amount(amount).split(".")
    assert whole == str(int(whole))
    assert 2 <= len(decimals) <= 6
    assert len(decimals) == 2 or not decimals.endswith("0")


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0.00"),
        (1, "0.000001"),
        (10, "0.00001"),
        (500_000, "0.50"),
        (12_500_000, "12.50"),
        (12_505_000, "12.505"),
        (-1, "-0.000001"),
        (-12_500_000, "-12.50"),
        (MAX_AMOUNT, "1000000000000.00"),
    ],
)
def test_amounts_are_written_as_the_reference_writes_them(amount: int, text: str) -> None:
    assert format_amount(amount) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 ",
        " 1",
        "-1",
        "+1",
        ".5",
        "1.",
        "1,5",
        "1e3",
        "1_000",
        "0x1",
        "NaN",
        "inf",
        "1.1234567",
        "1" * 13,
        "١٢",
        "\uff11",
        "1\n",
        "$1",
        "1.5.0",
        "1 000",
    ],
)
def test_what_is_not_plain_digits_is_not_an_amount(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_amount(text)


@given(st.text())
def test_no_text_makes_reading_an_amount_fail_otherwise(text: str) -> None:
    try:
        amount = parse_amount(text)
    except BadAmount:
        return
    assert amount == Decimal(text) * UNIT
    assert 0 <= amount < MAX_AMOUNT


@pytest.mark.parametrize("text", ["0", "0.00", "0.000001", "0.123456", "-1"])
def test_a_rate_is_above_zero_with_at_most_five_decimals(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_rate(text)


@given(RATES, QUANTITIES)
def test_a_charge_is_the_exact_price_rounded_up_to_the_next_micro_unit(
    rate: int, quantity: int
) -> None:
    exact = Fraction(rate * quantity, 1000)
    charge = charge_of(rate, quantity)
    assert charge >= 1
    assert exact <= charge < exact + 1


@given(RATES, QUANTITIES, QUANTITIES)
def test_splitting_an_order_never_makes_it_cheaper(rate: int, first: int, second: int) -> None:
    assert charge_of(rate, first) + charge_of(rate, second) >= charge_of(rate, first + second)


@pytest.mark.parametrize(("rate", "quantity"), [(0, 1), (-10, 1), (10, 0), (10, -1)])
def test_nothing_is_sold_for_nothing(rate: int, quantity: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        charge_of(rate, quantity)


@given(st.data(), AMOUNTS, QUANTITIES)
def test_the_undelivered_part_is_rounded_down_and_never_above_the_charge(
    data: st.DataObject, charge: int, quantity: int
) -> None:
    remains = data.draw(st.integers(0, quantity))
    exact = Fraction(charge * remains, quantity)
    part = undelivered_part(charge, remains, quantity)
    assert exact - 1 < part <= exact
    assert 0 <= part <= charge


@pytest.mark.parametrize(("remains", "quantity"), [(-1, 10), (11, 10), (0, 0), (1, -1)])
def test_a_part_outside_the_order_is_refused(remains: int, quantity: int) -> None:
    with pytest.raises(ValueError, match="remains"):
        undelivered_part(100, remains, quantity)


@given(st.integers(1, 10**12), st.lists(st.integers(-(10**6), 10**13)))
def test_any_sequence_of_refund_targets_pays_up_to_the_highest_and_never_above_the_charge(
    charge: int, targets: list[int]
) -> None:
    refunded = 0
    for target in targets:
        paid = refund_due(target, refunded, charge)
        assert paid >= 0
        refunded += paid
        assert 0 <= refunded <= charge
    assert refunded == max(0, min(charge, max(targets, default=0)))


@given(
    st.integers(1, 99_999 * UNIT),
    st.decimals("0", "1000", places=4),
    st.integers(1, 10**7),
)
def test_a_sale_rate_covers_cost_and_markup_within_one_step(
    cost: int, markup: Decimal, steps: int
) -> None:
    exact = Fraction(cost) * (100 + Fraction(markup)) / 100
    step = steps * RATE_STEP
    rate = rate_above(cost, markup, step)
    assert exact <= rate < exact + step
    assert rate % step == 0
    assert parse_rate(format_amount(rate)) == rate


@pytest.mark.parametrize("cost", [0, -1, 10**18 + 1])
def test_a_cost_that_gives_no_sellable_rate_is_refused(cost: int) -> None:
    with pytest.raises(BadAmount):
        rate_above(cost, Decimal(25))


@given(st.decimals("0", 10**6, places=15), st.decimals("0.000001", 10**4, places=18))
def test_a_cost_in_another_currency_is_rounded_up_once(rate: Decimal, exchange: Decimal) -> None:
    exact = Fraction(rate) * Fraction(exchange) * UNIT
    assert exact <= cost_from(rate, exchange) < exact + 1


@pytest.mark.parametrize("rate", ["NaN", "sNaN", "Infinity", "1e400", "1e12"])
def test_a_rate_beyond_all_measure_has_no_cost(rate: str) -> None:
    with pytest.raises(BadAmount):
        cost_from(Decimal(rate), Decimal("1.5"))


@given(st.decimals(-(10**11), 10**11, places=9))
def test_an_upstream_amount_is_rounded_down(amount: Decimal) -> None:
    assert Fraction(amount) * UNIT - 1 < micros_from(amount) <= Fraction(amount) * UNIT


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-Infinity", "1e400"])
def test_an_upstream_amount_beyond_all_measure_is_refused(amount: str) -> None:
    with pytest.raises(BadAmount):
        micros_from(Decimal(amount))
