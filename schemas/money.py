"""Money as whole micro-units, and the two rounding rules of the house.

An amount is a number of micro-units (10⁻⁶ of its currency) in an ``int``; a *rate* is the price
of 1,000 pieces in the same unit. Decimal strings exist only at the edges. A charge rounds up to
the next micro-unit, a refund rounds down; there is no third rounding.
"""

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TypeAlias

Micros: TypeAlias = int

UNIT: Micros = 1_000_000
#: Sale rates carry at most five decimals, so that the price shown is the price charged.
RATE_STEP: Micros = 10
#: The largest amount that any field of ours takes: a trillion units, far inside a BIGINT.
MAX_AMOUNT: Micros = 10**12 * UNIT

_AMOUNT = re.compile(r"(\d{1,12})(?:\.(\d{1,6}))?", re.ASCII)


class BadAmount(ValueError):
    """The text is not an amount of money."""


def parse_amount(text: str) -> Micros:
    """Read ``"12.5"`` as 12,500,000.

    ASCII digits with at most six decimals; no sign, exponent, separator or blank.

    Raises:
        BadAmount: for anything else.
    """
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise BadAmount(f"{text!r} is not an amount: write digits, at most 6 decimals, like 12.50")
    whole, decimals = match.groups(default="")
    return int(whole) * UNIT + int(decimals.ljust(6, "0"))


def format_amount(amount: Micros) -> str:
    """Write an amount with two to six decimals: 12,500,000 is ``"12.50"``."""
    whole, part = divmod(abs(amount), UNIT)
    decimals = f"{part:06d}"
    tail = decimals[2:].rstrip("0")
    sign = "-" if amount < 0 else ""
    return f"{sign}{whole}.{decimals[:2]}{tail}"


def charge_of(rate: Micros, quantity: int) -> Micros:
    """What ``quantity`` pieces cost at ``rate`` per 1,000: rounded up, never below one micro-unit.

    Raises:
        ValueError: when rate or quantity is not positive.
    """
    if rate <= 0 or quantity <= 0:
        raise ValueError("a charge needs a positive rate and a positive quantity")
    return -(-rate * quantity // 1000)


def undelivered_part(charge: Micros, remains: int, quantity: int) -> Micros:
    """The part of ``charge`` that pays for ``remains`` of ``quantity`` pieces, rounded down.

    Raises:
        ValueError: when ``remains`` is not within 0..quantity.
    """
    if not 0 <= remains <= quantity or quantity <= 0:
        raise ValueError("remains must lie between 0 and quantity")
    return charge * remains // quantity


def first_shares(charge: Micros, number: int, parts: int) -> Micros:
    """What the first ``number`` of ``parts`` equal parts of an order cost together, rounded down.

    Raises:
        ValueError: when ``number`` is not within 0..parts.
    """
    if not 0 <= number <= parts or parts <= 0:
        raise ValueError("the number of shares must lie between 0 and the number of parts")
    return charge * number // parts


def share_of(charge: Micros, number: int, parts: int) -> Micros:
    """What part ``number`` (1, 2 … ``parts``) of an order costs; all shares add up to the charge.

    The last takes what the others leave; a share of a tiny charge may be 0.

    Raises:
        ValueError: when there is no such part.
    """
    if number <= 0:
        raise ValueError("parts are numbered from 1")
    return first_shares(charge, number, parts) - first_shares(charge, number - 1, parts)


def refund_due(target: Micros, refunded: Micros, charge: Micros) -> Micros:
    """What is still to be paid so that refunds reach ``target``; the only refund rule there is.

    Never negative (money that was given back is not taken again) and never above the charge.
    """
    return max(0, min(target, charge) - refunded)


def micros_from(amount: Decimal) -> Micros:
    """An upstream's decimal amount in micro-units, rounded down.

    Raises:
        BadAmount: when it is not finite or larger than any amount that we handle.
    """
    if not amount.is_finite() or abs(amount) > MAX_AMOUNT // UNIT:
        raise BadAmount(f"{amount} is not an amount that can be handled")
    return int((amount * UNIT).to_integral_value(ROUND_FLOOR))


def rate_above(cost: Decimal, markup_percent: Decimal) -> Micros:
    """The sale rate for an upstream rate ``cost`` with a markup, rounded up to a whole rate step.

    Raises:
        BadAmount: when the result is not a rate that can be sold.
    """
    if not cost.is_finite() or not markup_percent.is_finite():
        raise BadAmount("cost and markup must be finite")
    exact = cost * (100 + markup_percent) / 100 * UNIT / RATE_STEP
    rate = int(exact.to_integral_value(ROUND_CEILING)) * RATE_STEP
    if not 0 < rate <= MAX_AMOUNT:
        raise BadAmount(f"a cost of {cost} with {markup_percent} % markup gives no sellable rate")
    return rate


def parse_rate(text: str) -> Micros:
    """Read a sale rate: an amount above zero with at most five decimals.

    Raises:
        BadAmount: for anything else.
    """
    rate = parse_amount(text)
    if rate <= 0 or rate % RATE_STEP:
        raise BadAmount(f"{text!r} is not a rate: it must be above 0 with at most 5 decimals")
    return rate
