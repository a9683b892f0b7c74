"""Where requests may go: public addresses, and private networks that the operator names.

The check is made on the address of each connection, when its socket is made: a name may resolve to
one address when it is looked at and to another when it is used, and an address that is written into
the URL is never resolved at all.
"""

import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from schemas.resellers import Network

Address: TypeAlias = IPv4Address | IPv6Address

#: What counts as global and leads elsewhere: translated, tunnelled and relayed IPv4.
_DETOURS = [ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16")]
_RELAYS = ip_network("192.88.99.0/24")
_COMPATIBLE = IPv6Network("::/96")
_PORTS = frozenset({None, 443, 8443})


class ForbiddenAddress(OSError):
    """The address is none that requests may go to."""


def is_public(address: Address) -> bool:
    """Whether an address is somebody's on the internet."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _COMPATIBLE or any(address in network for network in _DETOURS):
            return False
    elif address in _RELAYS:
        return False
    return address.is_global and not address.is_multicast


def is_allowed(address: Address, private: Iterable[Network]) -> bool:
    """Whether requests may go to an address: a public one, or one of these private networks."""
    plain = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return is_public(address) or any((plain or address) in network for network in private)


def why_no_callback(url: str) -> str | None:
    """What is wrong with an address that a stranger wants to be called at; None for a good one.

    That its host is public is seen when it is called.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "it is no address"
    if parts.scheme != "https":
        return "it must begin with https://"
    if parts.username is not None or parts.password is not None:
        return "it must hold no name and password"
    if not parts.hostname:
        return "it names no host"
    if port not in _PORTS:
        return "its port must be 443 or 8443"
    return None


def guarded_sockets(private: Iterable[Network]) -> Callable[[Any], socket.socket]:
    """Makes the sockets of a client, to allowed addresses alone; the others are never connected.

    What is returned raises ``ForbiddenAddress``, which is an error of connecting.
    """
    allowed = tuple(private)

    def make(info: Any) -> socket.socket:
        family, kind, protocol, _, where = info
        address = ip_address(str(where[0]).partition("%")[0])
        if not is_allowed(address, allowed):
            raise ForbiddenAddress(
                f"{address} is not public: name its network in security.upstream_networks if "
                "requests may go there"
            )
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    return make
