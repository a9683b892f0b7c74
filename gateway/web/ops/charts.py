"""Charts as shapes: pure geometry of lines over time, drawn as SVG by the template ``parts.html``.

The plot is stretched to whatever width there is, while its labels are ordinary text beside it, so
that they are as readable on a phone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

WIDTH, HEIGHT = 600.0, 160.0
_MARKS = 4


@dataclass(frozen=True, slots=True)
class Line:
    """Values over time, as they are given."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A line as paths of an SVG; ``tone`` numbers its colour."""

    name: str
    tone: int
    path: str
    area: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A stripe of the plot that tells its values when one points at it."""

    x: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn chart. Labels of the vertical axis are from the top down."""

    lines: list[Drawn]
    vertical: list[str]
    horizontal: list[str]
    hits: list[Hit]
    summary: str
    empty: bool


def plot(moments: Sequence[datetime], lines: Sequence[Line], *, unit: str) -> Plot:
    """A chart of some lines over the same moments, from zero up or from what is below it."""
    highest = max((value for line in lines for value in line.values), default=0.0)
    lowest = min((value for line in lines for value in line.values), default=0.0)
    top, bottom = nice(highest), -nice(-lowest) if lowest < 0 else 0.0
    drawn = [_drawn(line, tone, bottom, top) for tone, line in enumerate(lines, start=1)]
    steps = [top - (top - bottom) * step / _MARKS for step in range(_MARKS + 1)]
    summary = "; ".join(
        f"{line.name}: last {short(line.values[-1])}, highest {short(max(line.values))} {unit}"
        for line in lines
        if line.values
    )
    return Plot(
        lines=drawn,
        vertical=[short(value) for value in steps],
        horizontal=[_clock(moment, moments) for moment in _spread(moments)],
        hits=_hits(moments, lines, unit),
        summary=summary,
        empty=highest == 0 and lowest == 0,
    )


def nice(value: float) -> float:
    """The next number of 1, 2, 4, 5, 8 times a power of ten that is not below ``value``."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value * 0.999999)


def short(value: float) -> str:
    """A number as short as an axis needs it: 1.2k, 0.05."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _drawn(line: Line, tone: int, bottom: float, top: float) -> Drawn:
    points = list(zip(_across(len(line.values)), line.values, strict=True))
    places = [f"{x:.1f} {_down(value, bottom, top):.1f}" for x, value in points]
    path = "M" + "L".join(places) if places else ""
    zero = _down(0.0, bottom, top)
    area = f"{path}L{WIDTH:.1f} {zero:.1f}L0 {zero:.1f}Z" if path else ""
    return Drawn(line.name, tone, path, area)


def _across(number: int) -> list[float]:
    return [WIDTH * place / max(number - 1, 1) for place in range(number)]


def _down(value: float, bottom: float, top: float) -> float:
    return HEIGHT - (value - bottom) / (top - bottom) * HEIGHT


def _hits(moments: Sequence[datetime], lines: Sequence[Line], unit: str) -> list[Hit]:
    width = WIDTH / max(len(moments) - 1, 1)
    found = []
    for place, (x, moment) in enumerate(zip(_across(len(moments)), moments, strict=True)):
        values = ", ".join(f"{line.name} {short(line.values[place])}" for line in lines)
        found.append(Hit(x - width / 2, width, f"{_clock(moment, moments)}: {values} {unit}"))
    return found


def _spread(moments: Sequence[datetime]) -> list[datetime]:
    """At most five moments, evenly apart."""
    if len(moments) < 5:
        return list(moments)
    last = len(moments) - 1
    return [moments[last * place // 4] for place in range(5)]


def _clock(moment: datetime, moments: Sequence[datetime]) -> str:
    days = (moments[-1] - moments[0]).days
    return moment.astimezone(UTC).strftime("%d %b" if days > 2 else "%H:%M")


def sparkline(values: Sequence[float]) -> str:
    """The path of a small line without axes, 100 wide and 24 high."""
    highest = max(values, default=0.0) or 1.0
    across = [100 * place / max(len(values) - 1, 1) for place in range(len(values))]
    places = [f"{x:.1f} {23 - 22 * v / highest:.1f}" for x, v in zip(across, values, strict=True)]
    return "M" + "L".join(places) if places else ""
