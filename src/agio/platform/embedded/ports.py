"""Free TCP ports on the loopback interface."""

import random
import socket
from pathlib import Path

_LOWEST = 12_000
_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on, from below the range of outgoing connections.

    A client that keeps dialling a port inside that range while the server is down can end up connected to
    itself and so keep the server from coming back.
    """
    ceiling = _outgoing_ports_begin()
    for _ in range(200):
        port = random.randrange(_LOWEST, ceiling)  # noqa: S311
        if is_free(port, host):
            return port
    raise OSError(f"no free TCP port between {_LOWEST} and {ceiling} on {host}")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on the port now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _outgoing_ports_begin() -> int:
    try:
        begin = int(_RANGE_FILE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        begin = 32_768
    return begin if begin > _LOWEST + 1_000 else 32_768
