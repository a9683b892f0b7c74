"""Commands for what people deliver: `service add` and `order report`."""

import argparse
from collections.abc import Callable
from typing import Any

from gateway.catalogue import upstreams
from gateway.catalogue.by_hand import make_service
from gateway.cli.service_rows import read_terms, show_service
from gateway.cli.session import (
    acting_flags,
    amount,
    number,
    rate,
    run_with_database,
    show,
    warrant_of,
)
from gateway.config import Settings
from gateway.errors import UserError
from gateway.orders.reporting import REPORTED, report_order
from gateway.store.connection import Pool
from schemas.catalogue import NewService
from schemas.order_records import OrderRecord
from schemas.services import SERVICE_TYPES, find_service_type
from schemas.upstream import UpstreamStatus, UpstreamWord

_Row = Callable[[Any], dict[str, object]]


def add_service_command(verbs: Any, flags: argparse.ArgumentParser) -> None:
    """``service add``."""
    added = verbs.add_parser(
        "add", parents=[flags, acting_flags()], help="sell what is delivered by hand"
    )
    added.add_argument("--provider", required=True, help="one of kind manual")
    added.add_argument("--name", required=True)
    added.add_argument("--type", required=True, help=f"one of {', '.join(SERVICE_TYPES)}")
    added.add_argument("--category", required=True)
    added.add_argument("--rate", required=True, help="the price per 1000, like 0.90")
    added.add_argument("--min", required=True, type=number, dest="minimum")
    added.add_argument("--max", required=True, type=number, dest="maximum")
    added.add_argument("--upstream-service", help="what it is called there; the name")
    added.add_argument("--cost", default="0", help="what it costs us per 1000 (0)")
    added.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _add(a, p)))


async def _add(arguments: argparse.Namespace, pool: Pool) -> int:
    kind = find_service_type(arguments.type)
    if kind is None:
        raise UserError(f"--type {arguments.type}: write one of {', '.join(SERVICE_TYPES)}")
    if arguments.minimum > arguments.maximum:
        raise UserError("--min must not be above --max")
    new = NewService(
        upstream_service=arguments.upstream_service or arguments.name,
        name=arguments.name,
        type=kind.name,
        category=arguments.category,
        rate=rate(arguments.rate, "--rate"),
        minimum=arguments.minimum,
        maximum=arguments.maximum,
        dripfeed=False,
        refill=False,
        cancel=False,
        enabled=True,
        disabled_reason=None,
        cost=amount(arguments.cost, "--cost"),
    )
    async with pool.acquire() as conn:
        record = await upstreams.find_provider(conn, arguments.provider)
    made = await make_service(pool, record, new, warrant_of(arguments))
    async with pool.acquire() as conn:
        show_service(arguments, made, await read_terms(conn))
    return 0


def add_report_command(verbs: Any, flags: argparse.ArgumentParser, row: _Row) -> None:
    """``order report``; ``row`` is how an order is shown."""
    told = verbs.add_parser(
        "report", parents=[flags, acting_flags()], help="say how a manual order stands"
    )
    told.add_argument("id", type=number)
    told.add_argument("--status", required=True, choices=[word.value for word in REPORTED])
    told.add_argument("--start-count", type=_count, metavar="N", help="as found before the start")
    told.add_argument("--remains", type=_count, metavar="N", help="what is not delivered")
    told.set_defaults(run=lambda a: run_with_database(a, lambda s, p: _report(a, s, p, row)))


def _count(text: str) -> int:
    return 0 if text == "0" else number(text)


async def _report(arguments: argparse.Namespace, settings: Settings, pool: Pool, row: _Row) -> int:
    status = UpstreamStatus(
        word=UpstreamWord(arguments.status),
        start_count=arguments.start_count,
        remains=arguments.remains,
    )
    order: OrderRecord = await report_order(
        pool, arguments.id, status, settings.tracking, warrant_of(arguments)
    )
    show(arguments, row(order))
    return 0
