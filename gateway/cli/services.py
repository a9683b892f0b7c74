"""``smm-gateway service``."""

import argparse
import re
from decimal import Decimal
from typing import Any

from gateway.catalogue import importing, upstreams
from gateway.cli.by_hand import add_service_command
from gateway.cli.session import number, printing_flags, run_with_database, show
from gateway.cli.upstream_accounts import speaking_to
from gateway.config import Settings
from gateway.errors import UserError
from gateway.store import services as store
from gateway.store.connection import Pool
from schemas.catalogue import Service, ServiceChange
from schemas.money import BadAmount, format_amount, parse_rate
from schemas.services import SERVICE_TYPES

_ONLY_IN_SHOW = frozenset({"refill", "refill_days", "cancel"})
_SWITCH = {"on": True, "off": False, None: None}
_DAYS = re.compile(r"[1-9]\d{0,3}", re.ASCII)
_PERCENT = re.compile(r"(\d{1,5}(?:\.\d{1,4})?)%?", re.ASCII)


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("service", help="what is sold, and at which price")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    imported = verbs.add_parser("import", parents=[flags], help="sell what a provider offers")
    imported.add_argument("provider")
    imported.add_argument("--markup", default="25%", help="on the provider's price (25%%)")
    imported.add_argument("--ids", help="only these of the provider's services, like 1,2")
    imported.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _import(a, s, p)))
    listed = verbs.add_parser("list", parents=[flags], help="all services")
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    shown = verbs.add_parser("show", parents=[flags], help="one service")
    shown.add_argument("id", type=number)
    shown.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _show(a, p)))
    _add_set(verbs, flags)
    add_service_command(verbs, flags, _service)


def _add_set(verbs: Any, flags: argparse.ArgumentParser) -> None:
    changed = verbs.add_parser("set", parents=[flags], help="change a service")
    changed.add_argument("id", type=number)
    changed.add_argument("--rate", help="the price per 1000, like 0.90")
    changed.add_argument("--name")
    changed.add_argument("--category")
    changed.add_argument("--min", type=int, dest="minimum")
    changed.add_argument("--max", type=int, dest="maximum")
    changed.add_argument("--refill", choices=["on", "off"], help="whether refills are offered")
    changed.add_argument("--refill-days", help="for so long after an order's end, or none")
    changed.add_argument("--cancel", choices=["on", "off"], help="whether cancelling is offered")
    changed.add_argument("--dripfeed", choices=["on", "off"], help="whether drip-feed is offered")
    switch = changed.add_mutually_exclusive_group()
    switch.add_argument("--enable", action="store_const", const=True, dest="enabled")
    switch.add_argument("--disable", action="store_const", const=False, dest="enabled")
    changed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _set(a, p)))


def _service(service: Service) -> dict[str, object]:
    return {
        "service": service.id,
        "name": service.name,
        "type": service.type,
        "category": service.category,
        "rate": format_amount(service.rate),
        "min": str(service.minimum),
        "max": str(service.maximum),
        "dripfeed": service.dripfeed,
        "enabled": service.enabled,
        "refill": service.refill,
        "refill_days": service.refill_days,
        "cancel": service.cancel,
        "disabled_reason": service.disabled_reason,
        "routes": [
            {
                "provider": route.provider,
                "upstream_service": route.upstream_service,
                "cost": format_amount(route.cost),
            }
            for route in service.routes
        ],
    }


def _percent(text: str) -> Decimal:
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise UserError(f"--markup {text}: write a percentage like 25%")
    return Decimal(match[1])


def _days(text: str | None) -> int | None:
    """Days as they are written in a change: 0 takes the limit away."""
    if text is None:
        return None
    if text == "none":
        return 0
    match = _DAYS.fullmatch(text)
    if match is None:
        raise UserError(f"--refill-days {text}: write a number of days from 1 to 9999, or none")
    return int(match[0])


async def _import(arguments: argparse.Namespace, settings: Settings, pool: Pool) -> int:
    markup = _percent(arguments.markup)
    only = set(re.split(r"[,\s]+", arguments.ids.strip())) if arguments.ids else None
    async with pool.acquire() as conn:
        record = await upstreams.find_provider(conn, arguments.provider)
    async with speaking_to(settings, record) as provider:
        catalogue = await provider.services()
    done = await importing.import_services(
        pool, record, catalogue, markup_percent=markup, only=only
    )
    concerned = {*done.added, *done.known}
    async with pool.acquire() as conn:
        rows = [s for s in await store.list_services(conn) if s.id in concerned]
    show(
        arguments,
        [_service(row) for row in rows],
        text=lambda: "\n".join(
            [
                f"imported {len(done.added)}, there {len(done.known)}, refused {len(done.refused)}",
                *(f"  {row.service}: {row.reason}" for row in done.refused),
            ]
        ),
    )
    return 0


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        rows = [_service(s) for s in await store.list_services(conn)]
    if not arguments.json:
        rows = [{k: v for k, v in row.items() if k not in _ONLY_IN_SHOW} for row in rows]
    show(arguments, rows)
    return 0


async def _find(pool: Pool, service_id: int) -> Service:
    async with pool.acquire() as conn:
        service = await store.get_service(conn, service_id)
    if service is None:
        raise UserError(f"there is no service {service_id}: see `smm-gateway service list`")
    return service


async def _show(arguments: argparse.Namespace, pool: Pool) -> int:
    show(arguments, _service(await _find(pool, arguments.id)))
    return 0


def _can_drip(service: Service) -> bool:
    return service.type in SERVICE_TYPES and SERVICE_TYPES[service.type].dripfeed


async def _set(arguments: argparse.Namespace, pool: Pool) -> int:
    service = await _find(pool, arguments.id)
    try:
        rate = parse_rate(arguments.rate) if arguments.rate else None
    except BadAmount as error:
        raise UserError(str(error)) from None
    low = service.minimum if arguments.minimum is None else arguments.minimum
    high = service.maximum if arguments.maximum is None else arguments.maximum
    if not 0 < low <= high < 2**31:
        raise UserError("min must be above 0 and not above max, and max below 2147483648")
    if arguments.enabled and service.type not in SERVICE_TYPES:
        raise UserError(f"service {service.id} has the type {service.type!r}, which is not known")
    if arguments.dripfeed == "on" and not _can_drip(service):
        raise UserError(f"orders of the type {service.type!r} cannot be delivered in runs")
    change = ServiceChange(
        name=arguments.name or None,
        category=arguments.category or None,
        rate=rate,
        minimum=arguments.minimum,
        maximum=arguments.maximum,
        dripfeed=_SWITCH[arguments.dripfeed],
        enabled=arguments.enabled,
        disabled_reason="switched off by an operator" if arguments.enabled is False else None,
        refill=_SWITCH[arguments.refill],
        cancel=_SWITCH[arguments.cancel],
        refill_days=_days(arguments.refill_days),
    )
    async with pool.acquire() as conn:
        await store.set_service(conn, service.id, change)
    show(arguments, _service(await _find(pool, service.id)))
    return 0
