"""Where a call comes from: the peer, or what trusted proxies say of the one before them."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from schemas.resellers import Network

Address: TypeAlias = IPv4Address | IPv6Address

_NEIGHBOURS = 64


def read_address(text: str) -> Address | None:
    """An address as sockets and proxies write it, with or without a port; None for anything else.

    IPv4 inside IPv6 (``::ffff:192.0.2.1``) is IPv4.
    """
    text = text.strip(' \t"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        # A zone (fe80::1%eth0) names an interface, not another address.
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def client_address(
    peer: str | None, forwarded: Iterable[str], trusted: Sequence[Network]
) -> Address | None:
    """The address that a call comes from; None when it is not known.

    ``forwarded`` are the values of X-Forwarded-For, to each of which every proxy has added its
    peer at the end. It is read from there, and only as far as trusted proxies wrote it: the
    client is the first entry that is no trusted proxy, and all before it may be invented.
    """
    address = read_address(peer or "")
    if not trusted:
        return address
    entries = [entry for value in forwarded for entry in value.split(",") if entry.strip()]
    while address is not None and entries and within(address, trusted):
        address = read_address(entries.pop())
    return address


def within(address: Address | None, networks: Iterable[Network]) -> bool:
    """Whether an address lies in one of the networks; one that is not known lies in none."""
    return address is not None and any(address in network for network in networks)


def neighbourhood(address: Address | None) -> Network | Address | None:
    """What attempts are counted by: an IPv4 address, or the /64 that one IPv6 client has."""
    if isinstance(address, IPv6Address):
        return IPv6Network((address, _NEIGHBOURS), strict=False)
    return address
