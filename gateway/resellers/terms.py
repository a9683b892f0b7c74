"""The terms of keys and accounts as an operator writes them on a command line."""

import re
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Network, ip_network

from gateway.errors import UserError
from schemas.resellers import UNLIMITED, Network

_DAYS = re.compile(r"([1-9][0-9]{0,3})d", re.ASCII)
_RATE = re.compile(r"([1-9][0-9]{0,5}|1000000)/s", re.ASCII)
_MOST_NETWORKS = 100


def read_networks(text: str) -> tuple[Network, ...]:
    """Networks and addresses with commas between; ``any`` is no restriction, which is empty.

    Raises:
        UserError: for anything else.
    """
    if text == "any":
        return ()
    found = tuple(_network(part.strip()) for part in text.split(","))
    if len(found) > _MOST_NETWORKS:
        raise UserError(f"--allow takes at most {_MOST_NETWORKS} networks")
    return found


def _network(text: str) -> Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise UserError(
            f"--allow: {error}: write networks like 203.0.113.0/24,2001:db8::/32, or any"
        ) from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise UserError(f"--allow {text}: write it as the IPv4 network that it is")
    return network


def read_expiry(text: str, now: datetime) -> datetime | None:
    """When a key ends: a day (at its first moment, UTC), a number of days, or ``never``.

    Raises:
        UserError: for anything else, and for a day that has begun.
    """
    if text == "never":
        return None
    if days := _DAYS.fullmatch(text):
        return now + timedelta(days=int(days[1]))
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise UserError(f"--expires {text}: write 2027-01-31, 90d or never") from None
    if day <= now:
        raise UserError(f"--expires {text}: that day has begun already; to end a key, revoke it")
    return day


def read_limit(text: str) -> int | None:
    """Requests a second: like ``20/s``, ``none`` for no limit; None, which is ``default``.

    Raises:
        UserError: for anything else.
    """
    if text == "default":
        return None
    if text == "none":
        return UNLIMITED
    rate = _RATE.fullmatch(text)
    if rate is None:
        raise UserError(f"--limit {text}: write 20/s (1 to 1000000), none or default")
    return int(rate[1])


def limit_text(limit: int | None) -> str:
    """A limit as ``read_limit`` reads it."""
    if limit is None:
        return "default"
    return "none" if limit == UNLIMITED else f"{limit}/s"
