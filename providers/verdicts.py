"""From a complete HTTP answer to the provider contract: pure, and the same for every dialect.

On ``add`` the default is ``Ambiguous``: an answer must prove that the order exists, or say in
known words that it does not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from providers.decoding import Json, Unreadable, decode
from providers.errors import Ambiguous, Rejected, Unavailable
from providers.reading import ABSENT, Failure, NoOrderId, find_failure
from providers.refusals import is_unknown_action
from providers.transport import Answer
from schemas.upstream import Exchange, Placed, RefusalGroup

GroupOf: TypeAlias = Callable[[Failure], RefusalGroup | None]
Item = TypeVar("Item")

_RATE_LIMITED = 429
#: Refusals that concern every request to this account, whatever was asked.
_OF_THE_ACCOUNT = frozenset({RefusalGroup.ACCOUNT, RefusalGroup.TEMPORARY})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that could be read: its content, or the refusal that it is."""

    payload: Json
    failure: Failure | None
    group: RefusalGroup | None
    exchange: Exchange


def verdict_on_add(
    answer: Answer, parse_order_id: Callable[[Json], str | NoOrderId], group_of: GroupOf
) -> Placed:
    """What an answer to ``add`` proves.

    Raises:
        Rejected: it refuses in known words and names no order.
        Unavailable: it says 429, which panels document as "not processed".
        Ambiguous: everything else.
    """
    exchange = answer.exchange
    if answer.status >= 500 or 300 <= answer.status < 400:
        raise Ambiguous(_http_problem(answer), exchange)
    try:
        payload = decode(answer.text)
    except Unreadable as reason:
        raise Ambiguous(f"HTTP {answer.status}: {reason}", exchange) from None
    failure = find_failure(payload)
    order_id = parse_order_id(payload)
    if failure and order_id is not ABSENT:
        raise Ambiguous(f"an order beside a refusal: {failure.text}", exchange)
    if answer.status == _RATE_LIMITED and order_id is ABSENT and isinstance(payload, dict):
        raise Unavailable(f"HTTP {_RATE_LIMITED}: slow down", exchange)
    if failure:
        group = group_of(failure)
        if group is None:
            raise Ambiguous(f"a refusal in unknown words: {failure.text}", exchange)
        raise Rejected(failure.text, group, exchange)
    if isinstance(order_id, NoOrderId) or answer.status >= 400:
        raise Ambiguous(f"HTTP {answer.status} without a usable order id", exchange)
    return Placed(order_id, exchange)


def reply_in(
    answer: Answer,
    group_of: GroupOf,
    *,
    state_expected: bool = False,
    action_optional: bool = False,
) -> Reply:
    """The answer to anything but ``add``, with a refusal of single orders left to the caller.

    ``action_optional`` says that panels without this action are nothing unusual.

    Raises:
        Rejected: it refuses in words that concern the account, or that we ask too much.
        Unavailable: it cannot be read.
    """
    if answer.status >= 500 or 300 <= answer.status < 400 or answer.status == _RATE_LIMITED:
        raise Unavailable(_http_problem(answer), answer.exchange)
    try:
        payload = decode(answer.text)
    except Unreadable as reason:
        raise Unavailable(f"HTTP {answer.status}: {reason}", answer.exchange) from None
    failure = find_failure(payload, state_expected=state_expected)
    group = group_of(failure) if failure else None
    if answer.status >= 400 and group is None:
        text = failure.text if failure else "no refusal that could be read"
        raise Unavailable(f"HTTP {answer.status}: {text}", answer.exchange)
    reply = Reply(payload, failure, group, answer.exchange)
    missing_action = failure is not None and any(map(is_unknown_action, failure.texts))
    if group in _OF_THE_ACCOUNT and not (missing_action and action_optional):
        raise refusal(reply)
    return reply


def refusal(reply: Reply) -> Rejected | Unavailable:
    """The error that a reply with a refusal is, for a read that cannot go on without it."""
    text = reply.failure.text if reply.failure else "nothing usable"
    if reply.group is None:
        return Unavailable(f"a refusal in unknown words: {text}", reply.exchange)
    return Rejected(text, reply.group, reply.exchange)


def content_of(reply: Reply, parse: Callable[[Json], Item]) -> Item:
    """What ``parse`` finds in a reply.

    Raises:
        Rejected, Unavailable: it is a refusal, or holds nothing of the kind.
    """
    if reply.failure:
        raise refusal(reply)
    try:
        return parse(reply.payload)
    except Unreadable as reason:
        raise Unavailable(str(reason), reply.exchange) from None


def _http_problem(answer: Answer) -> str:
    if answer.location:
        return f"HTTP {answer.status}: a redirect to {answer.location}, which is not followed"
    return f"HTTP {answer.status}"
