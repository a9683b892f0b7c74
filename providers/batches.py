"""Asking an upstream for several orders: how many at once, and what a partial answer is worth."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from providers.errors import ProviderError, Unavailable
from providers.verdicts import Reply

Item = TypeVar("Item")

#: How many ids the reference allows in one request.
MOST_IDS = 100


def checked(ids: Sequence[str]) -> Sequence[str]:
    """``ids`` as they are. Raises ``ValueError`` for more than fit into one request."""
    if len(ids) > MOST_IDS:
        raise ValueError(f"{len(ids)} ids, but a panel takes at most {MOST_IDS} at once")
    return ids


def some(reply: Reply, items: dict[str, Item]) -> dict[str, Item]:
    """``items``, of which there is at least one. Raises ``Unavailable`` otherwise."""
    if not items:
        raise Unavailable("an answer that speaks of none of the ids", reply.exchange)
    return items


async def in_batches(
    ids: Sequence[str], size: int, ask: Callable[[Sequence[str]], Awaitable[dict[str, Item]]]
) -> dict[str, Item]:
    """Ask for ``size`` ids at a time until a request fails; what was learned before stays.

    Raises:
        Rejected, Unavailable: when nothing was learned.
    """
    found: dict[str, Item] = {}
    for first in range(0, len(ids), size):
        try:
            found |= await ask(ids[first : first + size])
        except ProviderError:
            if not found:
                raise
            return found
    if ids and not found:
        raise Unavailable("answers that speak of none of the ids")
    return found
