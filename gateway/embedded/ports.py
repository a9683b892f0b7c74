"""Where the engines listen: this machine only, on any free port."""

import socket

HOST = "127.0.0.1"


def free_port() -> int:
    """A port that is free now; the caller must cope with somebody else taking it first."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
