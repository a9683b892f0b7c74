"""What the answers of a probe mean, in words for an operator. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from providers.account import BadAccount, ProviderAccount
from providers.decoding import Unreadable, clean, decode
from providers.errors import ProviderError, Rejected
from providers.reading import find_failure
from providers.refusals import (
    group_of,
    is_incorrect_request,
    is_missing_parameter,
    is_unknown_action,
    means_no_such_order,
)
from providers.transport import Answer
from schemas.upstream import (
    Placed,
    RefusalGroup,
    UpstreamBalance,
    UpstreamCatalogue,
    UpstreamRefill,
    UpstreamService,
    UpstreamStatus,
)

Trouble: TypeAlias = ProviderError | BadAccount

_MOST_COUNTED = 25
_LONGEST_SHOWN = 160


@dataclass(frozen=True, slots=True)
class Finding:
    """One point of a dialect: what was asked, what is so, and how long the panel took."""

    point: str
    result: str
    ms: int | None = None


@dataclass(slots=True)
class Report:
    """What a talk showed.

    ``options`` and ``url`` are what the account needs beyond what it has, ``unset`` what it must
    lose; ``teach`` are refusals in words that we do not know, with the group that the question
    suggests. ``works`` is False when the panel could not be spoken to at all.
    """

    findings: list[Finding] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    unset: list[str] = field(default_factory=list)
    url: str | None = None
    teach: dict[str, RefusalGroup] = field(default_factory=dict)
    works: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to call a panel."""

    method: str
    encoding: str
    key_in: str = "field"
    key_name: str | None = None

    def __str__(self) -> str:
        key = self.key_name or ("key" if self.key_in == "field" else "")
        place = f"{self.key_in} {key}".strip()
        return f"{self.method} {self.encoding}, key in {place}"

    @property
    def options(self) -> dict[str, str]:
        """The options that say so, all of them, because an adapter may have other defaults."""
        said = {"method": self.method, "encoding": self.encoding, "key_in": self.key_in}
        return said if self.key_name is None else {**said, "key_name": self.key_name}

    def applied(self, account: ProviderAccount) -> ProviderAccount:
        """The account, called in this way."""
        others = {name: value for name, value in account.options.items() if name != "key_name"}
        return replace(account, options={**others, **self.options})


@dataclass(frozen=True, slots=True)
class Refusal:
    """A finding about a refusal; ``unknown_text`` are its words where nobody knows them."""

    finding: Finding
    unknown_text: str | None = None


@dataclass(frozen=True, slots=True)
class Several:
    """A finding about lists of ids; ``one_by_one`` when it is certain that there are none."""

    finding: Finding
    one_by_one: bool = False


def other_spelling(url: str) -> str:
    """The address with its last slash taken away, or with one added."""
    parts = urlsplit(url)
    path = parts.path[:-1] if parts.path.endswith("/") else f"{parts.path}/"
    return parts._replace(path=path).geturl()


def wrong_key(key: str) -> str:
    """A key of the same length that is surely not this one."""
    digit = "1" if set(key) == {"0"} else "0"
    return digit * max(len(key), 1)


def is_protocol(answers: Sequence[Answer]) -> bool:
    """Whether something answered that speaks JSON, not a page or a redirect."""
    return any(_payload_of(answer) is not None for answer in answers)


def _payload_of(answer: Answer) -> Any:
    try:
        return decode(answer.text)
    except Unreadable:
        return None


def _ms(answers: Sequence[Answer]) -> int | None:
    return answers[-1].exchange.elapsed_ms if answers else None


def _shown(text: str) -> str:
    return clean(text, _LONGEST_SHOWN)


def _trouble(error: Trouble) -> str:
    return f"refused: {_shown(str(error))}" if isinstance(error, Rejected) else _shown(str(error))


def of_call(how: str, outcome: object, answers: Sequence[Answer]) -> Finding:
    """Whether a way to call the panel works."""
    result = _trouble(outcome) if isinstance(outcome, Trouble) else "works"
    return Finding(f"call, {how}", result, _ms(answers))


def of_slash(url: str, other: str, outcome: object, answers: Sequence[Answer]) -> Finding:
    """Whether the slash at the end of the address matters."""
    if not isinstance(outcome, Trouble):
        return Finding("slash", "does not matter", _ms(answers))
    text = f"matters: {url} works; {other} does not ({_trouble(outcome)})"
    return Finding("slash", text, _ms(answers))


def of_balance(balance: UpstreamBalance) -> Finding:
    """What the account holds, and in which currency."""
    unit = balance.currency or "no currency told: say it with --set currency=…"
    return Finding("balance", f"{balance.amount:f} {unit}")


def of_refusal(point: str, outcome: object, answers: Sequence[Answer]) -> Refusal:
    """How the panel refuses, and whether the refusal table knows the words."""
    ms = _ms(answers)
    if isinstance(outcome, BadAccount):
        return Refusal(Finding(point, "cannot be asked with this kind of provider"))
    if not isinstance(outcome, ProviderError):
        return Refusal(Finding(point, "is not refused; the panel answers as usual", ms))
    if isinstance(outcome, Rejected):
        text = f"{_shown(str(outcome))!r}, known as a refusal of the {outcome.group} group"
        return Refusal(Finding(point, text, ms))
    failure = find_failure(_payload_of(answers[-1])) if answers else None
    if failure is None or not failure.texts:
        return Refusal(Finding(point, _trouble(outcome), ms))
    return Refusal(Finding(point, f"{_shown(failure.text)!r}, in unknown words", ms), failure.text)


def of_services(outcome: object, answers: Sequence[Answer]) -> list[Finding]:
    """What the catalogue holds: types, flags, and rows that cannot be sold."""
    ms = _ms(answers)
    if not isinstance(outcome, UpstreamCatalogue):
        text = _trouble(outcome) if isinstance(outcome, Trouble) else "no catalogue"
        return [Finding("services", text, ms)]
    size = len(answers[-1].text) if answers else 0
    services = outcome.services
    found = [
        Finding("services", f"{len(services)} rows, {len(outcome.refused)} refused, {size} B", ms),
        Finding("types", _counts(s.type for s in services if s.type_known) or "none"),
    ]
    strange = _counts(s.type for s in services if not s.type_known)
    if strange:
        found.append(Finding("types unknown to us", f"{strange}; imported switched off"))
    if services:
        found.append(Finding("flags", _flags(services)))
    if outcome.refused:
        found.append(Finding("rows refused", _counts(row.reason for row in outcome.refused)))
    return found


def _counts(words: Any) -> str:
    counted = Counter(words).most_common()
    shown = [f"{word} ({number})" for word, number in counted[:_MOST_COUNTED]]
    return ", ".join(shown + ["…"] * (len(counted) > _MOST_COUNTED))


def _flags(services: Sequence[UpstreamService]) -> str:
    counts = {
        "refill": sum(service.refill for service in services),
        "cancel": sum(service.cancel for service in services),
        "dripfeed": sum(service.dripfeed for service in services),
    }
    return ", ".join(f"{name} {number} of {len(services)}" for name, number in counts.items())


def of_unknown_order(order: str, outcome: object, answers: Sequence[Answer]) -> Finding:
    """What the panel says of an order that does not exist."""
    point = f"unknown order {order}"
    if isinstance(outcome, Trouble):
        return Finding(point, _trouble(outcome), _ms(answers))
    status = outcome.get(order) if isinstance(outcome, dict) else None
    if not isinstance(status, UpstreamStatus) or status.error is None:
        return Finding(point, "gets an answer that is no error", _ms(answers))
    known = means_no_such_order(status.error) or group_of(status.error) is not None
    words = "known words" if known else "unknown words: an order is never lost by them"
    return Finding(point, f"{_shown(status.error)!r}, in {words}", _ms(answers))


def of_order(order: str, outcome: object, answers: Sequence[Answer]) -> Finding:
    """How a real order stands, and whether its word is known."""
    point = f"order {order}"
    if isinstance(outcome, Trouble):
        return Finding(point, _trouble(outcome), _ms(answers))
    status = outcome.get(order) if isinstance(outcome, dict) else None
    if not isinstance(status, UpstreamStatus):
        return Finding(point, "is not spoken of", _ms(answers))
    if status.error is not None:
        return Finding(point, f"{_shown(status.error)!r}", _ms(answers))
    told = f"charge {status.charge}, start_count {status.start_count}, remains {status.remains}"
    if status.word is None:
        option = f"--set 'status_words={{{status.raw_word}: …}}'"
        word = f"an unknown word: say what it means with {option}"
    else:
        word = f"read as {status.word}"
    return Finding(point, f"{status.raw_word!r}, {word}; {told}", _ms(answers))


def of_several(
    point: str, ids: Sequence[str], outcome: object, answers: Sequence[Answer], *, real: bool
) -> Several:
    """Whether the panel answers lists of ids. ``real`` says that it knows these."""
    if isinstance(outcome, BadAccount):
        return Several(Finding(point, "cannot be asked with this kind of provider"))
    ms = answers[0].exchange.elapsed_ms if answers else None
    if len(answers) == 1 and isinstance(outcome, Mapping) and set(ids) <= outcome.keys():
        return Several(Finding(point, "in one request", ms))
    payload = _payload_of(answers[0]) if answers else None
    failure = find_failure(payload)
    texts = failure.texts if failure else ()
    words = f": {_shown(texts[0])!r}" if texts else ""
    if any(map(is_unknown_action, texts)):
        return Several(Finding(point, f"no such action{words}", ms))
    unordered = isinstance(payload, list) and bool(payload)
    not_understood = any(is_incorrect_request(t) or is_missing_parameter(t) for t in texts)
    # The adapter asks one by one where a list gave nothing, and these orders exist.
    fell_back = real and len(answers) > 1 and isinstance(outcome, Mapping)
    if fell_back or unordered or not_understood:
        return Several(Finding(point, f"one at a time; a list is not understood{words}", ms), True)
    text = f"unclear{words}; repeat with --orders and two orders of this account"
    return Several(Finding(point, text, ms))


def of_unknown_refill(refill: str, outcome: object, answers: Sequence[Answer]) -> Finding:
    """What the panel says of a refill that does not exist."""
    point = f"unknown refill {refill}"
    if isinstance(outcome, Trouble):
        return Finding(point, _trouble(outcome), _ms(answers))
    state = outcome.get(refill) if isinstance(outcome, dict) else None
    if isinstance(state, UpstreamRefill) and state.error is not None:
        return Finding(point, f"{_shown(state.error)!r}", _ms(answers))
    return Finding(point, "gets an answer that is no error", _ms(answers))


def of_placing(outcome: object, answers: Sequence[Answer]) -> tuple[Finding, str | None]:
    """What became of a test order, and its id."""
    if isinstance(outcome, Placed):
        return Finding("test order", f"placed as {outcome.upstream_id}", _ms(answers)), (
            outcome.upstream_id
        )
    if isinstance(outcome, Rejected):
        text = f"refused: {_shown(str(outcome))!r}, of the {outcome.group} group"
        return Finding("test order", text, _ms(answers)), None
    if isinstance(outcome, Trouble):
        text = f"{type(outcome).__name__.lower()}: {_shown(str(outcome))}"
        return Finding("test order", text, _ms(answers)), None
    return Finding("test order", "no answer that could be read", _ms(answers)), None


def of_latency(answers: Sequence[Answer]) -> Finding:
    """How long the panel took over all calls."""
    times = [answer.exchange.elapsed_ms for answer in answers]
    if not times:
        return Finding("latency", "no answer")
    middle, longest = round(median(times)), max(times)
    return Finding("latency", f"{len(times)} answers, median {middle} ms, longest {longest} ms")
