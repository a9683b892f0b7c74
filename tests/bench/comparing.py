"""What two servers did in the same rounds, and the table that shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_LINE = "{:36}{:>9}{:>11}{:>8}{:>12}{:>8}{:>8}{:>9}{:>9}{:>13}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: answers a second, and processor microseconds for each answer."""

    rate: float
    total: int
    server_us: float
    database_us: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """A comparison over all rounds: medians, and the ratio's spread.

    ``base`` is what the gateway is compared to: the bare handler, or the gateway run otherwise.
    """

    case: str
    base_per_second: float
    gateway_per_second: float
    ratio: float
    ratio_least: float
    ratio_most: float
    target: float
    ok: bool
    base_us: float
    gateway_us: float
    database_us: float


def outcome_of(
    case: str, target: float, bases: Sequence[Sample], gateways: Sequence[Sample]
) -> Outcome:
    """Sum the rounds up; ratios are taken within a round."""
    ratios = [ours.rate / base.rate for ours, base in zip(gateways, bases, strict=True)]
    return Outcome(
        case=case,
        base_per_second=median(s.rate for s in bases),
        gateway_per_second=median(s.rate for s in gateways),
        ratio=median(ratios),
        ratio_least=min(ratios),
        ratio_most=max(ratios),
        target=target,
        ok=median(ratios) >= target,
        base_us=median(s.server_us for s in bases),
        gateway_us=median(s.server_us for s in gateways),
        database_us=median(s.database_us for s in gateways),
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """The result for people."""
    lines = [
        _LINE.format(
            *("", "base/s", "gateway/s", "ratio", "spread", "target", ""),
            *("base µs", "ours µs", "database µs"),
        )
    ]
    lines += [
        _LINE.format(
            o.case,
            f"{o.base_per_second:,.0f}",
            f"{o.gateway_per_second:,.0f}",
            f"{o.ratio:.2f}",
            f"{o.ratio_least:.2f}-{o.ratio_most:.2f}",
            f"{o.target:.2f}",
            "ok" if o.ok else "MISSED",
            f"{o.base_us:,.0f}",
            f"{o.gateway_us:,.0f}",
            f"{o.database_us:,.0f}",
        )
        for o in outcomes
    ]
    return "\n".join([*lines, "", "µs: processor time for each answer."])
