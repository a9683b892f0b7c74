"""Subscriptions: the upstream makes an order for every post that it serves.

The parent is sent and followed like any order and holds the whole charge. Each order that its
upstream names becomes one of ours under it, with the price of one post, followed and settled by
itself. The parent ends when the upstream says so and all of them have ended; posts that were paid
for and not served are paid back on it. What to do is decided by ``after_subscription_status``.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from gateway.metrics import RUNS
from gateway.orders.drafting import Draft
from gateway.orders.lifecycle import Polling, after_status, move
from gateway.orders.numbering import OrderIds
from gateway.orders.parts import concluded, delivered, unused
from gateway.orders.settling import report, write_changes
from gateway.store import attempts, orders, schedules
from gateway.store.connection import Pool, transaction
from schemas.money import share_of
from schemas.orders import Order, OrderChange, OrderState
from schemas.schedules import NewRun, Run, Schedule
from schemas.services import SERVICE_TYPES
from schemas.upstream import UpstreamStatus, UpstreamWord

log = structlog.get_logger()

_ENDS = frozenset({UpstreamWord.COMPLETED, UpstreamWord.PARTIAL, UpstreamWord.CANCELED})
_FOLLOWED = frozenset({OrderState.PLACED, OrderState.IN_PROGRESS})


def is_subscription(service_type: str) -> bool:
    """Whether the upstream delivers an order of this type in parts of its own making."""
    return bool(SERVICE_TYPES[service_type].times)


def posts_paid(draft: Draft) -> int | None:
    """How many posts a draft pays for; None where posts are not what it pays for."""
    kind = SERVICE_TYPES[draft.service.type]
    if not kind.times:
        return None
    values = json.loads(draft.parameters or "{}")
    return sum(int(values.get(parameter.name, "0")) for parameter in kind.times)


@dataclass(frozen=True, slots=True)
class Followed:
    """What an upstream's report makes of a subscription; ``posts`` are its new upstream orders."""

    change: OrderChange | None
    posts: tuple[str, ...] = ()


def after_subscription_status(
    parent: Order,
    plan: Schedule,
    runs: Sequence[Run],
    status: UpstreamStatus,
    taken: Collection[str],
    now: datetime,
    polling: Polling,
) -> Followed:
    """What a report makes of a subscription whose posts stand so.

    ``taken`` are those of the reported orders that are orders of ours already. One that is not
    under this parent, and a post more than was paid for, are for a person to look at.
    """
    if parent.state not in _FOLLOWED:
        return Followed(None)
    known = {run.upstream_id for run in runs}
    fresh = [id_ for id_ in status.orders if id_ not in known and id_ not in taken]
    served = max(status.posts or 0, len(runs) + len(fresh))
    posts = tuple(fresh[: plan.runs - len(runs)])
    if served > plan.runs:
        return Followed(move(parent, OrderState.REVIEW, "more_posts_than_paid"), posts)
    if not known.issuperset(taken):
        return Followed(move(parent, OrderState.REVIEW, "upstream_id_reused"), posts)
    if status.word in _ENDS and not posts and not any(run.open for run in runs):
        return Followed(_ended(parent, plan, runs, status, served))
    word = UpstreamWord.IN_PROGRESS if status.word in _ENDS else status.word
    left = parent.quantity - delivered(runs)
    heard = replace(status, word=word, remains=left)
    return Followed(after_status(parent, heard, now, polling), posts)


def _ended(
    parent: Order, plan: Schedule, runs: Sequence[Run], status: UpstreamStatus, served: int
) -> OrderChange:
    """The end of a subscription of which ``served`` posts were served, some perhaps not named."""
    assert status.word is not None
    if status.posts is None and not runs and status.word is not UpstreamWord.CANCELED:
        return move(parent, OrderState.REVIEW, "posts_not_told")
    each = parent.quantity // plan.runs
    pieces = delivered(runs) + (served - len(runs)) * each
    owed = unused(parent, served, plan.runs)
    return concluded(parent, runs, pieces, owed, f"upstream_{status.word}")


class Subscriptions:
    """Follows subscriptions, and makes orders of the posts that upstreams name."""

    def __init__(self, pool: Pool, polling: Polling) -> None:
        self._pool = pool
        self._polling = polling
        self._ids = OrderIds()

    async def follow(
        self, order_id: int, status: UpstreamStatus, now: datetime
    ) -> list[OrderChange]:
        """Apply an upstream's report of one subscription, in one transaction."""
        async with self._pool.acquire() as conn, transaction(conn):
            [parent] = await orders.lock_orders(conn, [order_id])
            plan = (await schedules.list_schedules(conn, [order_id]))[order_id]
            runs = await schedules.list_runs(conn, [order_id])
            taken = await attempts.list_placed(conn, parent.provider_id, status.orders)
            followed = after_subscription_status(
                parent, plan, runs, status, taken, now, self._polling
            )
            ids = await self._ids.take(conn, len(followed.posts))
            made = [
                NewRun(order_id, number, id_, share_of(parent.charge, number, plan.runs), post)
                for number, (id_, post) in enumerate(
                    zip(ids, followed.posts, strict=True), len(runs) + 1
                )
            ]
            if made:
                await schedules.insert_runs(conn, made)
            changes = [followed.change] if followed.change else []
            await write_changes(conn, changes)
        report(changes)
        for run in made:
            RUNS.labels("subscription").inc()
            log.info("run.made", order_id=run.order_id, parent_id=order_id, run=run.number)
        return changes
