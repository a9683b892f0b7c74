"""Drip-feed: a parent holds the charge of the whole, and each run is an order of its own.

The next run is made when its time has come and no earlier one is open, so a run in doubt holds
up those after it. Times are planned from the plan, but time that was lost is not made up for: no
burst follows a stop. What to do is decided by ``next_step`` and ``stopped``; the rest reads and
writes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from gateway.catalogue.routing import Standings, first_route, is_too_dear
from gateway.metrics import RUN_LATE_SECONDS, RUNS
from gateway.orders.failover import planned
from gateway.orders.lifecycle import move, unchanged
from gateway.orders.numbering import OrderIds
from gateway.orders.parts import concluded, delivered, unused
from gateway.orders.settling import report, write_changes
from gateway.store import orders, services
from gateway.store import schedules as store
from gateway.store.connection import Connection, Pool, transaction
from schemas.catalogue import Service
from schemas.money import Micros, share_of
from schemas.orders import (
    FINAL_STATES,
    Order,
    OrderChange,
    OrderState,
    PlannedRoute,
    WireStatus,
)
from schemas.schedules import NewRun, Run, Schedule

log = structlog.get_logger()

#: While it waits for others a parent is looked at each tenth of its interval, within these limits.
#: The end of a run has its parent looked at anyway.
_SOONEST_LOOK_MS = 5_000
_LATEST_LOOK_MS = 60_000


_NOT_SENT = FINAL_STATES | {OrderState.QUEUED}


@dataclass(frozen=True, slots=True)
class Step:
    """What a look at a parent comes to.

    ``number`` and ``charge`` are those of the run to be made now, if one is; ``next_run_at`` is
    when the one after it is due.
    """

    change: OrderChange
    number: int | None = None
    charge: Micros = 0
    next_run_at: datetime | None = None


def next_step(parent: Order, plan: Schedule, runs: Sequence[Run]) -> Step:
    """What becomes of a parent whose runs stand so, at the time at which ``plan`` was read."""
    running = any(run.open for run in runs)
    due = plan.next_run_at
    if due is None and not running:
        owed = unused(parent, len(runs), plan.runs)
        return Step(concluded(parent, runs, delivered(runs), owed, "runs_ended"))
    if due is not None and not running and not plan.busy and due <= plan.now:
        number = len(runs) + 1
        after = _next_time(plan, due) if number < plan.runs else None
        charge = share_of(parent.charge, number, plan.runs)
        return Step(_progress(parent, runs, _patience(plan)), number, charge, after)
    wait = _patience(plan)
    if due is not None and due > plan.now and not running:
        wait = (due - plan.now) // timedelta(milliseconds=1) + 1
    return Step(_progress(parent, runs, wait))


def _next_time(plan: Schedule, due: datetime) -> datetime:
    assert plan.interval_minutes is not None
    interval = timedelta(minutes=plan.interval_minutes)
    planned = due + interval
    return planned if planned > plan.now else plan.now + interval


def _patience(plan: Schedule) -> int:
    tenth = (plan.interval_minutes or 0) * 6_000
    return max(_SOONEST_LOOK_MS, min(tenth, _LATEST_LOOK_MS))


def _progress(parent: Order, runs: Sequence[Run], next_in: int) -> OrderChange:
    """A parent is in progress once a run is, and what remains falls as runs end."""
    begun = any(run.wire_status is not WireStatus.PENDING for run in runs)
    return replace(
        unchanged(parent, next_in),
        wire_status=WireStatus.IN_PROGRESS if begun else parent.wire_status,
        wire_remains=parent.quantity - delivered(runs),
    )


def stopped(parent: Order, plan: Schedule, runs: Sequence[Run]) -> OrderChange | None:
    """A parent that makes no further run: what those would have cost is paid back at once.

    None when there is nothing to stop: it has ended, or its last run is made and not ended.
    """
    if parent.state is not OrderState.SCHEDULED:
        return None
    owed = unused(parent, len(runs), plan.runs)
    if not any(run.open for run in runs):
        return concluded(parent, runs, delivered(runs), owed, "stopped")
    if plan.next_run_at is None:
        return None
    told = _progress(parent, runs, _patience(plan))
    change = move(parent, OrderState.SCHEDULED, "stopped", refund_target=owed)
    return replace(told, state=change.state, cause=change.cause, refund=change.refund)


@dataclass(frozen=True, slots=True)
class Stops:
    """What stopping drip-feeds did: which ``parents`` had something to stop, and all ``changes``.

    ``sent`` are the runs that go on: whether they can be canceled is for their upstreams to say.
    """

    parents: frozenset[int]
    changes: Sequence[OrderChange]
    sent: Sequence[Order]


async def stop_parents(conn: Connection, parents: Sequence[Order]) -> Stops:
    """Make no further runs of these drip-feeds, which the caller has locked.

    What those would have cost is paid back, and runs that wait are canceled. A parent ends when
    its last run has ended, which may be at once.
    """
    ids = [parent.id for parent in parents]
    plans = await store.list_schedules(conn, ids)
    made = [run.order_id for run in await store.list_runs(conn, ids) if run.open]
    locked = await orders.lock_orders(conn, made)
    waiting = [
        move(order, OrderState.CANCELED, "stopped", refund_target=order.charge)
        for order in locked
        if order.state is OrderState.QUEUED
    ]
    await write_changes(conn, waiting)
    runs = await _runs_by_parent(conn, parents)
    changes = [
        change
        for parent in parents
        if (change := stopped(parent, plans[parent.id], runs[parent.id])) is not None
    ]
    await write_changes(conn, changes)
    over = [change.order.id for change in changes]
    await store.set_next_runs(conn, over, [None] * len(over))
    return Stops(
        frozenset({*over, *(change.order.parent_id or 0 for change in waiting)}),
        [*waiting, *changes],
        [order for order in locked if order.state not in _NOT_SENT],
    )


class Schedules:
    """Makes the runs of drip-feeds; ``wake`` is told the providers that have orders waiting."""

    def __init__(
        self,
        pool: Pool,
        wake: Callable[[Iterable[int]], None],
        standings: Standings | None = None,
    ) -> None:
        self._pool = pool
        self._wake = wake
        self._standings = {} if standings is None else standings
        self._ids = OrderIds()

    async def advance(self, limit: int = 100) -> int:
        """Look at the parents that are due, and make the runs whose time has come.

        Returns how many were looked at; 0 also while another process does this.
        """
        async with self._pool.acquire() as conn, transaction(conn):
            if not await store.lock_schedules(conn):
                return 0
            parents = await orders.lock_due_parents(conn, limit)
            if not parents:
                return 0
            plans = await store.list_schedules(conn, [parent.id for parent in parents])
            runs = await _runs_by_parent(conn, parents)
            steps = _steps(parents, plans, runs)
            made = await self._write(conn, steps, plans)
        report([step.change for step in steps])
        for run in made:
            _report_run(run, plans[run.parent_id])
        if made:
            old = {parent.id: parent.provider_id for parent in parents}
            self._wake({run.provider_id or old[run.parent_id] for run in made})
        return len(parents)

    async def _write(
        self, conn: Connection, steps: Sequence[Step], plans: Mapping[int, Schedule]
    ) -> list[NewRun]:
        starts = [step for step in steps if step.number is not None]
        ids = await self._ids.take(conn, len(starts))
        sold = {
            service_id: await services.get_service(conn, service_id)
            for service_id in {step.change.order.service_id for step in starts}
        }
        made = []
        for step, id_ in zip(starts, ids, strict=True):
            assert step.number is not None
            parent = step.change.order
            pieces = parent.quantity // plans[parent.id].runs
            route = run_route(parent, sold[parent.service_id], id_, pieces, self._standings)
            made.append(NewRun(parent.id, step.number, id_, step.charge, route=route))
        if made:
            await store.insert_runs(conn, made)
            await store.set_next_runs(
                conn, [run.parent_id for run in made], [step.next_run_at for step in starts]
            )
        await write_changes(conn, [step.change for step in steps])
        return made


def run_route(
    parent: Order, service: Service | None, run_id: int, pieces: int, standings: Standings
) -> PlannedRoute | None:
    """Where a run is to be sent: chosen anew, as weeks may have passed since its parent's choice.

    None leaves it where its parent was planned for. Nothing is sent there as long as nobody
    delivers the service for what the parent pays, or it is of another type: the run waits.
    """
    if service is None or service.type != parent.service_type:
        return None
    try:
        route = first_route(service, run_id, pieces, parent.rate, standings)
    except ValueError:
        return None
    if is_too_dear(route.cost, parent.rate, below_cost=service.below_cost):
        return None
    return planned(service, route, pieces)


async def _runs_by_parent(
    conn: Connection, parents: Sequence[Order]
) -> defaultdict[int, list[Run]]:
    found: defaultdict[int, list[Run]] = defaultdict(list)
    for run in await store.list_runs(conn, [parent.id for parent in parents]):
        found[run.parent_id].append(run)
    return found


def _steps(
    parents: Sequence[Order], plans: Mapping[int, Schedule], runs: Mapping[int, Sequence[Run]]
) -> list[Step]:
    """A step for each parent; of those that share a target, one makes a run now."""
    steps: list[Step] = []
    taken: set[tuple[int, int, str]] = set()
    for parent in parents:
        plan = plans[parent.id]
        target = (parent.reseller_id, plan.service_id, plan.link)
        step = next_step(parent, replace(plan, busy=plan.busy or target in taken), runs[parent.id])
        if step.number is not None:
            taken.add(target)
        steps.append(step)
    return steps


def _report_run(run: NewRun, plan: Schedule) -> None:
    assert plan.next_run_at is not None
    late = (plan.now - plan.next_run_at).total_seconds()
    RUNS.labels("drip_feed").inc()
    RUN_LATE_SECONDS.observe(late)
    log.info(
        "run.made",
        order_id=run.order_id,
        parent_id=run.parent_id,
        run=run.number,
        late_seconds=round(late, 1),
    )
