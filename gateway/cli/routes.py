"""``smm-gateway route``."""

import argparse
from typing import Any

from gateway.catalogue import upstreams
from gateway.catalogue.routes import change_route, find_offer, make_route, remove_route
from gateway.catalogue.selling import find_service
from gateway.cli.session import (
    acting_flags,
    amount,
    number,
    printing_flags,
    run_with_database,
    show,
    warrant_of,
)
from gateway.cli.upstream_accounts import speaking_to
from gateway.config import Settings
from gateway.errors import UserError
from gateway.store.connection import Pool
from providers.registry import is_worked_by_hand
from schemas.catalogue import NewRoute, Route, RouteChange
from schemas.money import format_amount


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags, acting = printing_flags(), acting_flags()
    group = commands.add_parser("route", help="which providers deliver a service")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    listed = verbs.add_parser("list", parents=[flags], help="the routes of a service")
    listed.add_argument("service", type=number)
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    added = verbs.add_parser(
        "add", parents=[flags, acting], help="let another provider deliver, too"
    )
    added.add_argument("service", type=number)
    added.add_argument("provider")
    added.add_argument("upstream_service", help="the provider's own id of the service")
    added.add_argument("--cost", help="per 1000, where the provider has no catalogue")
    _add_choice(added, priority=100, weight=1)
    added.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _add(a, s, p)))
    changed = verbs.add_parser("set", parents=[flags, acting], help="change a route")
    changed.add_argument("id", type=number)
    _add_choice(changed, priority=None, weight=None)
    switch = changed.add_mutually_exclusive_group()
    switch.add_argument("--enable", action="store_const", const=True, dest="enabled")
    switch.add_argument("--disable", action="store_const", const=False, dest="enabled")
    changed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _set(a, p)))
    removed = verbs.add_parser("remove", parents=[flags, acting], help="remove a route")
    removed.add_argument("id", type=number)
    removed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _remove(a, p)))


def _add_choice(
    parser: argparse.ArgumentParser, *, priority: int | None, weight: int | None
) -> None:
    parser.add_argument(
        "--priority", type=number, default=priority, help="the lowest is asked first"
    )
    parser.add_argument(
        "--weight", type=number, default=weight, help="its share among equal priorities"
    )


def _route(route: Route) -> dict[str, object]:
    return {
        "route": route.id,
        "service": route.service_id,
        "provider": route.provider,
        "upstream_service": route.upstream_service,
        "cost": format_amount(route.cost),
        "priority": route.priority,
        "weight": route.weight,
        "enabled": route.enabled,
        "disabled_reason": route.disabled_reason,
    }


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        service = await find_service(conn, arguments.service)
    show(arguments, [_route(route) for route in service.routes])
    return 0


async def _add(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    async with pool.acquire() as conn:
        service = await find_service(conn, arguments.service)
        record = await upstreams.find_provider(conn, arguments.provider)
    if is_worked_by_hand(record.kind):
        cost = amount(arguments.cost or "0", "--cost")
    elif arguments.cost is not None:
        raise UserError(f"--cost is for providers without a catalogue: {record.name} has one")
    else:
        exchange = upstreams.exchange_of(settings, record.name, record.currency)
        async with speaking_to(settings, record) as provider:
            catalogue = await provider.services()
        cost = find_offer(catalogue, arguments.upstream_service, service, record.name, exchange)
    new = NewRoute(
        service_id=service.id,
        provider_id=record.id,
        upstream_service=arguments.upstream_service,
        cost=cost,
        priority=arguments.priority,
        weight=arguments.weight,
    )
    show(arguments, _route(await make_route(pool, new, warrant_of(arguments))))
    return 0


async def _set(arguments: argparse.Namespace, pool: Pool) -> int:
    if arguments.priority is arguments.weight is arguments.enabled is None:
        raise UserError("nothing to change: name --priority, --weight, --enable or --disable")
    change = RouteChange(
        priority=arguments.priority,
        weight=arguments.weight,
        enabled=arguments.enabled,
        disabled_reason="switched off by an operator" if arguments.enabled is False else None,
    )
    changed = await change_route(pool, arguments.id, change, warrant_of(arguments))
    show(arguments, _route(changed))
    return 0


async def _remove(arguments: argparse.Namespace, pool: Pool) -> int:
    await remove_route(pool, arguments.id, warrant_of(arguments))
    show(arguments, {"removed": arguments.id}, text=lambda: f"route {arguments.id} is removed")
    return 0
