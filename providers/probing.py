"""Finding out how a panel wants to be spoken to: a talk of read-only calls, and what it showed.

The talk goes through the account's own adapter, with one option changed at a time, so that what
works here is what works later. Nothing is placed, refilled or canceled, unless a test order is
given.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

from providers import findings
from providers.account import BadAccount, ProviderAccount
from providers.base import Provider
from providers.calls import Call
from providers.errors import ProviderError
from providers.findings import Finding, Report, Several, Shape
from providers.limits import Purpose, Timeouts
from providers.registry import create_provider
from providers.transport import Answer, Transport
from schemas.upstream import RefusalGroup, Submission, UpstreamBalance, UpstreamStatus

Item = TypeVar("Item")
Outcome: TypeAlias = Item | ProviderError | BadAccount

#: As good as no panel has come so far, and every panel can hold them.
UNKNOWN_IDS = ("2147483646", "2147483645")
UNKNOWN_ACTION = "no_such_action"
#: Whoever does not answer so often in a row is not asked further.
_ENOUGH_SILENCE = 2

_SHAPES = (
    Shape("POST", "form"),
    Shape("POST", "json"),
    Shape("POST", "query"),
    Shape("GET", "query"),
)
#: Where keys go elsewhere, most usual first: the place, and the name where it is unusual.
_KEYS: tuple[tuple[str, str | None], ...] = (
    ("header", None),
    ("bearer", None),
    ("field", "api_key"),
    ("field", "api_token"),
    ("field", "api"),
    ("field", "token"),
)


@dataclass(frozen=True, slots=True)
class Questions:
    """What to ask: ``orders`` are real ids of this account; ``test`` is placed, and costs money."""

    orders: Sequence[str] = ()
    test: Submission | None = None


class ListeningTransport(Transport):
    """A transport that pauses before each request and remembers each answer."""

    def __init__(self, timeouts: Timeouts, pause: Callable[[], Awaitable[None]]) -> None:
        super().__init__(timeouts)
        self._pause = pause
        self.heard: list[Answer] = []

    async def send(self, call: Call, purpose: Purpose, secret: str) -> Answer:
        """Send after a pause; as ``Transport.send`` otherwise."""
        await self._pause()
        answer = await super().send(call, purpose, secret)
        self.heard.append(answer)
        return answer


@dataclass(slots=True)
class _Probe:
    """One talk with one account."""

    kind: str
    account: ProviderAccount
    transport: ListeningTransport
    tell: Callable[[Finding], None]
    report: Report = field(default_factory=Report)

    def note(self, *found: Finding) -> None:
        for finding in found:
            self.report.findings.append(finding)
            self.tell(finding)

    def note_batch(self, option: str, verdict: Several) -> None:
        self.note(verdict.finding)
        if verdict.one_by_one and self.account.options.get(option) != 1:
            self.report.options[option] = 1

    def provider(self, account: ProviderAccount, **options: object) -> Provider:
        changed = replace(account, options={**account.options, **options})
        return create_provider(self.kind, changed, self.transport)

    async def asked(
        self, account: ProviderAccount, ask: Callable[[Provider], Awaitable[Item]], **options: Any
    ) -> tuple[Outcome[Item], list[Answer]]:
        """What came of one question, and the answers that were heard meanwhile."""
        before = len(self.transport.heard)
        outcome: Outcome[Item]
        try:
            outcome = await ask(self.provider(account, **options))
        except (ProviderError, BadAccount) as error:
            outcome = error
        return outcome, self.transport.heard[before:]


async def probe(
    kind: str,
    account: ProviderAccount,
    transport: ListeningTransport,
    questions: Questions,
    tell: Callable[[Finding], None],
) -> Report:
    """Talk to a panel and report its dialect; each finding is told as soon as it is made.

    Raises:
        BadAccount: when the account's options cannot work.
    """
    talk = _Probe(kind, account, transport, tell)
    talk.provider(account)
    working = await _find_shape(talk)
    if working is None:
        return talk.report
    await _ask_wrongly(talk, working)
    await _ask_for_services(talk, working)
    await _ask_for_orders(talk, working, questions.orders)
    await _ask_for_refills(talk, working)
    if questions.test is not None:
        await _place(talk, working, questions.test)
    talk.note(findings.of_latency(talk.transport.heard))
    return talk.report


async def _find_shape(talk: _Probe) -> ProviderAccount | None:
    """The account as it is understood by the panel, with what must change for that."""
    if (await _try(talk, talk.account, "as configured")).works:
        await _try_others(talk)
        return talk.account
    speaking: list[ProviderAccount] = []
    for url in (talk.account.url, findings.other_spelling(talk.account.url)):
        account = replace(talk.account, url=url)
        found, speaks = await _try_shapes(talk, account, _SHAPES)
        if found:
            return found
        speaking += [account] if speaks else []
    for account in speaking:
        for key_in, key_name in _KEYS:
            keyed = [replace(shape, key_in=key_in, key_name=key_name) for shape in _SHAPES]
            found, _ = await _try_shapes(talk, account, keyed)
            if found:
                return found
    return None


async def _try_shapes(
    talk: _Probe, account: ProviderAccount, shapes: Sequence[Shape]
) -> tuple[ProviderAccount | None, bool]:
    """The account in the first shape that works, and whether anything here speaks JSON."""
    speaks = False
    silent = 0
    for shape in shapes:
        shaped = shape.applied(account)
        tried = await _try(talk, shaped, f"{shape}, at {account.url}")
        if tried.works:
            return _chosen(talk, shaped, shape), True
        speaks = speaks or tried.speaks
        silent = 0 if tried.answered else silent + 1
        if silent == _ENOUGH_SILENCE:
            break
    return None, speaks


def _chosen(talk: _Probe, account: ProviderAccount, shape: Shape) -> ProviderAccount:
    talk.report.options |= shape.options
    talk.report.url = account.url if account.url != talk.account.url else None
    if "key_name" in talk.account.options and "key_name" not in account.options:
        talk.report.unset.append("key_name")
    return account


async def _try_others(talk: _Probe) -> None:
    """What the panel understands beside what is configured."""
    keyed = [replace(_SHAPES[0], key_in=place) for place in ("header", "bearer")]
    for shape in (*_SHAPES, *keyed):
        await _try(talk, shape.applied(talk.account), str(shape))
    other = findings.other_spelling(talk.account.url)
    outcome, answers = await talk.asked(replace(talk.account, url=other), _balance)
    talk.note(findings.of_slash(talk.account.url, other, outcome, answers))


@dataclass(frozen=True, slots=True)
class _Tried:
    works: bool
    speaks: bool
    answered: bool


async def _try(talk: _Probe, account: ProviderAccount, how: str) -> _Tried:
    outcome, answers = await talk.asked(account, _balance)
    talk.note(findings.of_call(how, outcome, answers))
    if isinstance(outcome, UpstreamBalance) and not talk.report.works:
        talk.report.works = True
        talk.note(findings.of_balance(outcome))
    works = isinstance(outcome, UpstreamBalance)
    return _Tried(works, findings.is_protocol(answers), bool(answers))


async def _ask_wrongly(talk: _Probe, account: ProviderAccount) -> None:
    """What the panel says to a wrong key and an unknown action, and whether we know the words."""
    wrong = replace(account, key=findings.wrong_key(account.key))
    outcome, answers = await talk.asked(wrong, _balance)
    key = findings.of_refusal("wrong key", outcome, answers)
    names = account.options.get("action_names")
    renamed = {**(names if isinstance(names, Mapping) else {}), "balance": UNKNOWN_ACTION}
    outcome, answers = await talk.asked(account, _balance, action_names=renamed)
    action = findings.of_refusal("unknown action", outcome, answers)
    talk.note(key.finding, action.finding)
    if key.unknown_text and key.unknown_text != action.unknown_text:
        talk.report.teach[key.unknown_text] = RefusalGroup.ACCOUNT


async def _ask_for_services(talk: _Probe, account: ProviderAccount) -> None:
    outcome, answers = await talk.asked(account, lambda provider: provider.services())
    talk.note(*findings.of_services(outcome, answers))


async def _ask_for_orders(talk: _Probe, account: ProviderAccount, orders: Sequence[str]) -> None:
    unknown, answers = await talk.asked(account, _status(UNKNOWN_IDS[:1]))
    talk.note(findings.of_unknown_order(UNKNOWN_IDS[0], unknown, answers))
    for order in orders:
        known, answers = await talk.asked(account, _status([order]))
        talk.note(findings.of_order(order, known, answers))
    real = len(orders) > 1
    ids = list(orders[:2]) if real else list(UNKNOWN_IDS)
    several, answers = await talk.asked(account, _status(ids), status_batch=100)
    verdict = findings.of_several("several orders", ids, several, answers, real=real)
    talk.note_batch("status_batch", verdict)


async def _ask_for_refills(talk: _Probe, account: ProviderAccount) -> None:
    one, answers = await talk.asked(account, lambda p: p.refill_status(UNKNOWN_IDS[:1]))
    talk.note(findings.of_unknown_refill(UNKNOWN_IDS[0], one, answers))
    several, answers = await talk.asked(
        account, lambda p: p.refill_status(UNKNOWN_IDS), refill_status_batch=100
    )
    verdict = findings.of_several("several refills", UNKNOWN_IDS, several, answers, real=False)
    talk.note_batch("refill_status_batch", verdict)


async def _place(talk: _Probe, account: ProviderAccount, test: Submission) -> None:
    placed, answers = await talk.asked(account, lambda provider: provider.add(test))
    finding, upstream_id = findings.of_placing(placed, answers)
    talk.note(finding)
    if upstream_id is not None:
        status, answers = await talk.asked(account, _status([upstream_id]))
        talk.note(findings.of_order(upstream_id, status, answers))


def _status(ids: Sequence[str]) -> Callable[[Provider], Awaitable[dict[str, UpstreamStatus]]]:
    return lambda provider: provider.status(ids)


async def _balance(provider: Provider) -> UpstreamBalance:
    return await provider.balance()
