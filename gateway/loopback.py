"""Whether an address is this machine itself."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, so that nothing to it crosses a network."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
