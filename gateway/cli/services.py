"""``smm-gateway service``."""

import argparse
import re
from typing import Any

from gateway.catalogue.by_hand import words
from gateway.catalogue.selling import change_service, find_service
from gateway.cli import service_import
from gateway.cli.by_hand import add_service_command
from gateway.cli.service_rows import (
    EVERYBODY,
    brief,
    in_words,
    read_terms,
    show_service,
)
from gateway.cli.session import (
    acting_flags,
    number,
    printing_flags,
    rate,
    run_with_database,
    show,
    warrant_of,
)
from gateway.errors import UserError
from gateway.reports.speed import ServicePace, service_paces
from gateway.resellers import accounts
from gateway.store import services as store
from gateway.store.connection import Connection, Pool
from providers.decoding import clean
from schemas.catalogue import Service, ServiceChange
from schemas.services import SERVICE_TYPES

_DAYS = re.compile(r"[1-9]\d{0,3}", re.ASCII)
_LONGEST_DESCRIPTION = 10_000
_ONLY_IN_SHOW = frozenset({"refill", "refill_days", "cancel"})
_SWITCH = {"on": True, "off": False, None: None}


def add_commands(commands: Any) -> None:
    """Add the group to the command line."""
    flags = printing_flags()
    group = commands.add_parser("service", help="what is sold, and at which price")
    verbs = group.add_subparsers(metavar="VERB", required=True)
    service_import.add_command(verbs, flags)
    listed = verbs.add_parser("list", parents=[flags], help="all services")
    listed.add_argument("--search", help="only those with this in their name")
    listed.add_argument("--category")
    listed.add_argument("--provider", help="only those that it delivers")
    listed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _list(a, p)))
    shown = verbs.add_parser("show", parents=[flags], help="one service")
    shown.add_argument("id", type=number)
    shown.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _show(a, p)))
    _add_set(verbs, flags)
    add_service_command(verbs, flags)
    quick = verbs.add_parser("speed", parents=[flags], help="how fast services are lately")
    quick.add_argument("--hours", type=number, default=24, help="what counts as lately (24)")
    quick.add_argument("--days", type=number, default=14, help="what it is compared with (14)")
    quick.add_argument("--slower", action="store_true", help="only those slower than usual")
    quick.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _speed(a, p)))


def _add_set(verbs: Any, flags: argparse.ArgumentParser) -> None:
    changed = verbs.add_parser("set", parents=[flags, acting_flags()], help="change a service")
    changed.add_argument("id", type=number)
    changed.add_argument(
        "--rate", help="a fixed price per 1000, like 0.90, or `rule` to follow its price rule"
    )
    changed.add_argument("--name")
    changed.add_argument("--category")
    changed.add_argument("--description")
    changed.add_argument("--position", type=int, help="the lowest is listed first")
    changed.add_argument("--step", type=number, help="quantities are a multiple of it")
    changed.add_argument("--min", type=int, dest="minimum")
    changed.add_argument("--max", type=int, dest="maximum")
    changed.add_argument("--refill", choices=["on", "off"], help="whether refills are offered")
    changed.add_argument("--refill-days", help="for so long after an order's end, or none")
    changed.add_argument("--cancel", choices=["on", "off"], help="whether cancelling is offered")
    changed.add_argument("--dripfeed", choices=["on", "off"], help="whether drip-feed is offered")
    changed.add_argument("--visible-to", metavar="all|NAME,NAME", help="the resellers it is for")
    changed.add_argument("--keep-links", choices=["on", "off"], help="send links as given")
    below = changed.add_mutually_exclusive_group()
    below.add_argument(
        "--below-cost", action="store_const", const=True, help="sell it even below its cost"
    )
    below.add_argument("--not-below-cost", action="store_const", const=False, dest="below_cost")
    switch = changed.add_mutually_exclusive_group()
    switch.add_argument("--enable", action="store_const", const=True, dest="enabled")
    switch.add_argument("--disable", action="store_const", const=False, dest="enabled")
    changed.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _set(a, p)))


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


async def _list(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        found = await store.list_services(conn)
        terms = await read_terms(conn)
    wanted = [service for service in found if _is_wanted(service, arguments)]
    rows = [brief(service, terms) for service in wanted]
    if not arguments.json:
        told = map(in_words, rows, wanted)
        rows = [{k: v for k, v in row.items() if k not in _ONLY_IN_SHOW} for row in told]
    show(arguments, rows)
    return 0


def _is_wanted(service: Service, arguments: argparse.Namespace) -> bool:
    search, category, provider = arguments.search, arguments.category, arguments.provider
    return (
        (search is None or search.casefold() in service.name.casefold())
        and (category is None or category.casefold() == service.category.casefold())
        and (provider is None or any(route.provider == provider for route in service.routes))
    )


async def _show(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        service = await find_service(conn, arguments.id)
        show_service(arguments, service, await read_terms(conn))
    return 0


def _can_drip(service: Service) -> bool:
    return service.type in SERVICE_TYPES and SERVICE_TYPES[service.type].dripfeed


async def _set(arguments: argparse.Namespace, pool: Pool) -> int:
    audience = None
    if arguments.visible_to is not None:
        async with pool.acquire() as conn:
            audience = await _audience(conn, arguments.visible_to)
    changed = await change_service(
        pool,
        arguments.id,
        lambda service: _change(service, arguments),
        warrant_of(arguments),
        audience=audience,
    )
    async with pool.acquire() as conn:
        show_service(arguments, changed, await read_terms(conn))
    return 0


def _change(service: Service, arguments: argparse.Namespace) -> ServiceChange:
    low = service.minimum if arguments.minimum is None else arguments.minimum
    high = service.maximum if arguments.maximum is None else arguments.maximum
    if not 0 < low <= high < 2**31:
        raise UserError("min must be above 0 and not above max, and max below 2147483648")
    if arguments.enabled and service.type not in SERVICE_TYPES:
        raise UserError(f"service {service.id} has the type {service.type!r}, which is not known")
    if arguments.dripfeed == "on" and not _can_drip(service):
        raise UserError(f"orders of the type {service.type!r} cannot be delivered in runs")
    if not -(2**31) <= (arguments.position or 0) < 2**31:
        raise UserError("a position is a whole number of at most ten digits")
    follow = arguments.rate == "rule"
    fixed = None if arguments.rate is None or follow else rate(arguments.rate, "--rate")
    return ServiceChange(
        name=_words(arguments.name, "--name"),
        category=_words(arguments.category, "--category"),
        rate=fixed,
        minimum=arguments.minimum,
        maximum=arguments.maximum,
        dripfeed=_SWITCH[arguments.dripfeed],
        enabled=arguments.enabled,
        disabled_reason="switched off by an operator" if arguments.enabled is False else None,
        refill=_SWITCH[arguments.refill],
        cancel=_SWITCH[arguments.cancel],
        refill_days=_days(arguments.refill_days),
        description=_description(arguments.description),
        position=arguments.position,
        step=arguments.step,
        keep_links=_SWITCH[arguments.keep_links],
        below_cost=arguments.below_cost,
        follow=follow,
    )


def _words(given: str | None, flag: str) -> str | None:
    return None if given is None else words(given, flag)


def _description(given: str | None) -> str | None:
    return None if given is None else clean(given, _LONGEST_DESCRIPTION)


async def _audience(conn: Connection, text: str) -> list[int]:
    if text.strip().casefold() == EVERYBODY:
        return []
    names = [name for part in text.split(",") if (name := part.strip())]
    if not names:
        raise UserError("--visible-to: write all, or the names of resellers parted by commas")
    return [(await accounts.find_reseller(conn, name)).id for name in names]


async def _speed(arguments: argparse.Namespace, pool: Pool) -> int:
    async with pool.acquire() as conn:
        paces = await service_paces(conn, lately_hours=arguments.hours, usual_days=arguments.days)
    show(arguments, [_pace(pace) for pace in paces if pace.slower or not arguments.slower])
    return 0


def _pace(pace: ServicePace) -> dict[str, object]:
    lately, usually = pace.lately, pace.usually
    return {
        "service": pace.service_id,
        "name": pace.name,
        "orders": lately.orders if lately else 0,
        "partial": lately.partial if lately else 0,
        "start_p50": lately.start_p50 if lately else None,
        "start_p90": lately.start_p90 if lately else None,
        "finish_p50": lately.finish_p50 if lately else None,
        "finish_p90": lately.finish_p90 if lately else None,
        "usual_finish_p50": usually.finish_p50 if usually else None,
        "slower": pace.slower,
    }
