"""Which orders are meant, as flags on the command line."""

import argparse
from datetime import UTC, datetime

from gateway.catalogue import upstreams
from gateway.cli.session import number
from gateway.errors import UserError
from gateway.resellers import accounts
from gateway.store.connection import Connection
from schemas.order_search import OrderFilter
from schemas.orders import OrderState


def filter_flags() -> argparse.ArgumentParser:
    """Flags that say which orders are meant; together they narrow it."""
    flags = argparse.ArgumentParser(add_help=False)
    flags.add_argument("--id", type=number, action="append", metavar="ID", help="may be repeated")
    flags.add_argument("--external-id", help="the reseller's own name for it")
    flags.add_argument("--upstream-id", help="what its upstream calls it")
    flags.add_argument("--link", help="exactly as it was given")
    flags.add_argument("--reseller")
    flags.add_argument("--provider")
    flags.add_argument("--service", type=number)
    flags.add_argument(
        "--state",
        action="append",
        choices=[state.value for state in OrderState],
        help="may be repeated",
    )
    flags.add_argument("--since", metavar="WHEN", help="2027-01-31 or 2027-01-31T14:00 (UTC)")
    flags.add_argument("--until", metavar="WHEN", help="accepted before it, written as --since")
    return flags


def filter_of(arguments: argparse.Namespace) -> OrderFilter:
    """The filter that the flags make.

    Raises:
        UserError: for a time that cannot be read.
    """
    return OrderFilter(
        order_ids=tuple(arguments.id) if arguments.id else None,
        external_id=arguments.external_id,
        upstream_id=arguments.upstream_id,
        link=arguments.link.strip() if arguments.link else None,
        reseller=arguments.reseller,
        provider=arguments.provider,
        service_id=arguments.service,
        states=tuple(map(OrderState, arguments.state)) if arguments.state else None,
        since=_moment(arguments.since, "--since"),
        until=_moment(arguments.until, "--until"),
    )


def _moment(text: str | None, flag: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{flag} {text}: write 2027-01-31 or 2027-01-31T14:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def require_names(conn: Connection, wanted: OrderFilter) -> None:
    """Raise ``UserError`` where a filter names a reseller or a provider that does not exist."""
    if wanted.reseller is not None:
        await accounts.find_reseller(conn, wanted.reseller)
    if wanted.provider is not None:
        await upstreams.find_provider(conn, wanted.provider)
