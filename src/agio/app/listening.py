"""Where API processes listen: together on one TCP port, and each alone on a socket for its supervisor."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from typing_extensions import override

PROCESS_VARIABLE = "AGIO_API_PROCESS"
"""The name of one API process of several, such as `api-2`; not set where there is only one."""
_PROBE_TIMEOUT_SECONDS = 2.0


def own_name() -> str:
    """Our name among several API processes; empty where there is only one."""
    return os.environ.get(PROCESS_VARIABLE, "")


def shared_sockets(host: str, port: int) -> list[socket.socket]:
    """Sockets of an address on which other processes of ours listen, too: the kernel spreads connections."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets = []
    for family, kind, protocol, _, address in dict.fromkeys(addresses):
        listener = socket.socket(family, kind, protocol)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        sockets.append(listener)
    return sockets


def own_socket(data_dir: Path, name: str) -> socket.socket:
    """The socket by which the supervisor asks this very process; only our account can reach it."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _near(data_dir) as folder:
        Path(_path(folder, name)).unlink(missing_ok=True)
        listener.bind(_path(folder, name))
    return listener


def probe_process(data_dir: Path, name: str) -> bool:
    """Whether `/readyz` of this very process answers 200."""
    try:
        connection = _OwnConnection(data_dir, name)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, HTTPException):
        return False


class _OwnConnection(HTTPConnection):
    """HTTP over a process' own socket."""

    def __init__(self, data_dir: Path, name: str) -> None:
        super().__init__("localhost", timeout=_PROBE_TIMEOUT_SECONDS)
        self._data_dir = data_dir
        self._name = name

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with _near(self._data_dir) as folder:
            self.sock.connect(_path(folder, self._name))


@contextmanager
def _near(data_dir: Path) -> Iterator[int]:
    """The folder `run` as a descriptor: a socket's address has only 107 bytes for its path."""
    folder = os.open(data_dir / "run", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield folder
    finally:
        os.close(folder)


def _path(folder: int, name: str) -> str:
    return f"/proc/self/fd/{folder}/{name}.sock"
