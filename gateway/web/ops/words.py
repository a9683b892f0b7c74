"""How the console writes numbers, money and times. Pure; used as filters of templates."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from schemas.money import format_amount

_DASH = "\N{EN DASH}"
_MINUS = "\N{MINUS SIGN}"


def money(amount: int | None, currency: str = "") -> str:
    """An amount in micro-units, rounded to cents at least: ``1,234.50 USD``."""
    if amount is None:
        return _DASH
    text = format_amount(amount)
    whole, _, rest = text.partition(".")
    sign, digits = (_MINUS, whole[1:]) if whole.startswith("-") else ("", whole)
    grouped = f"{int(digits):,}.{rest.ljust(2, '0')}"
    return f"{sign}{grouped} {currency}".rstrip()


def cents(amount: int, currency: str = "") -> str:
    """A sum of many amounts, rounded to whole cents."""
    return money((abs(amount) + 5_000) // 10_000 * 10_000 * (1 if amount >= 0 else -1), currency)


def shortened(text: str, longest: int = 48) -> str:
    """A text that leaves room for others in its row."""
    return text if len(text) <= longest else text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"


def brief(length: timedelta) -> str:
    """A short length of time: ``120 ms``, ``3.5 s``."""
    milliseconds = length.total_seconds() * 1000
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def count(number: int | None) -> str:
    """A number with its thousands apart."""
    return _DASH if number is None else f"{number:,}"


def percent(part: float | None) -> str:
    """A share of one: ``12.5 %``."""
    return _DASH if part is None else f"{part * 100:.1f} %"


def span(seconds: float | timedelta | None) -> str:
    """A length of time in its two largest units: ``3 d 4 h``."""
    if seconds is None:
        return _DASH
    whole = int(seconds.total_seconds() if isinstance(seconds, timedelta) else seconds)
    if whole < 60:
        return f"{max(whole, 0)} s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 60:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def when(moment: datetime | None) -> str:
    """A moment, in UTC: ``2026-05-04 12:30:05``."""
    return _DASH if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def ago(moment: datetime | None) -> str:
    """How long a moment is past."""
    return _DASH if moment is None else f"{span(datetime.now(UTC) - moment)} ago"


def markup(percent: Decimal) -> str:
    """A markup: ``12.5 %``."""
    return f"{percent.normalize():f} %"


def plain(word: str) -> str:
    """A name of ours as a person reads it: ``in_progress`` is ``in progress``."""
    return str(word).replace("_", " ")


FILTERS = {
    "money": money,
    "cents": cents,
    "shortened": shortened,
    "brief": brief,
    "count": count,
    "percent": percent,
    "span": span,
    "when": when,
    "ago": ago,
    "markup": markup,
    "plain": plain,
}
