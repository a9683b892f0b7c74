"""An operator's word on changes that wait: taking them over, or leaving things as they are."""

from collections.abc import Sequence

from gateway.errors import UserError
from gateway.metrics import CATALOGUE_CHANGES
from gateway.operators.acting import record
from gateway.store import changes, services
from gateway.store.connection import Connection, Pool, transaction
from schemas.catalogue import ServiceChange
from schemas.changes import Change, ChangeKind, ChangeState
from schemas.operators import Act, Subject, Warrant
from schemas.services import SERVICE_TYPES


async def decide(
    pool: Pool, change_ids: Sequence[int], state: ChangeState, warrant: Warrant
) -> list[Change]:
    """Approve or dismiss changes, all or none; returns them as they were.

    A dismissed one does not come up again; what it concerns stays as it is now. A price that was
    dismissed is still what the upstream asks, so the service stays off where ours is below it.

    Raises:
        UserError: when one of them does not wait, or cannot be approved.
    """
    async with pool.acquire() as conn, transaction(conn):
        held = await changes.lock_held_changes(conn, change_ids)
        missing = set(change_ids) - {change.id for change in held}
        if missing:
            raise UserError(
                f"change {min(missing)} does not wait for anybody: "
                "see `smm-gateway change list --state held`"
            )
        if state is ChangeState.APPROVED:
            for change in held:
                await _apply(conn, change)
        await changes.set_changes_decided(conn, change_ids, state, None)
        for change, one in zip(held, warrant.parts(len(held)), strict=True):
            await record(conn, _act(change, state, one))
    for change in held:
        CATALOGUE_CHANGES.labels(change.kind, state).inc()
    return held


def _act(change: Change, state: ChangeState, warrant: Warrant) -> Act:
    concerned = {"provider": change.provider, "kind": change.kind, "service": change.service_id}
    return warrant.act(
        f"change.{state}",
        Subject("change", str(change.id)),
        before=concerned | {"value": change.before},
        after={"value": change.after},
    )


async def _apply(conn: Connection, change: Change) -> None:
    if change.route_id is None or change.service_id is None or change.after is None:
        raise UserError(f"change {change.id} is about a route that is no more: dismiss it")
    match change.kind:
        case ChangeKind.PRICE:
            await services.set_route_basis(conn, change.route_id, None)
        case ChangeKind.RENAMED:
            await changes.set_seen_name(conn, change.route_id, change.after)
            await services.set_service(conn, change.service_id, ServiceChange(name=change.after))
        case ChangeKind.LIMITS:
            low, _, high = change.after.partition("-")
            bounds = ServiceChange(minimum=int(low), maximum=int(high))
            await services.set_service(conn, change.service_id, bounds)
        case ChangeKind.TYPE_CHANGED:
            await _change_type(conn, change, change.service_id, change.after)
        case _:
            raise UserError(f"change {change.id} cannot be approved, only dismissed")


async def _change_type(conn: Connection, change: Change, service_id: int, name: str) -> None:
    service = await services.get_service(conn, service_id)
    if name not in SERVICE_TYPES:
        raise UserError(f"change {change.id}: the type {name!r} is not known here: dismiss it")
    if service is not None and len(service.routes) > 1:
        raise UserError(
            f"change {change.id}: service {service_id} has other routes of the type "
            f"{service.type!r}: dismiss it and import the upstream's service as a new one"
        )
    await services.set_service_type(conn, service_id, name, drips=SERVICE_TYPES[name].dripfeed)
