"""What runs on a data folder: a lock that the kernel gives back in any case, and a file that describes it."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from agio.platform.config import Settings
from agio.platform.embedded.accounts import make_folder
from agio.platform.embedded.child import Identity, StopStep, end_leftover
from agio.platform.embedded.secret_files import write_private

T = TypeVar("T")


class AlreadyRunning(Exception):
    """Another `agio up` holds this data folder."""


class ServiceState(msgspec.Struct):
    """One supervised process."""

    name: str
    status: str
    pid: int | None = None
    started_at: float = 0.0
    port: int | None = None
    restarts: int = 0
    last_failure: str | None = None

    @property
    def is_api(self) -> bool:
        """Whether it is one of the API processes: `api`, or `api-1`, `api-2`, ..."""
        return self.name.partition("-")[0] == "api"

    @property
    def identity(self) -> Identity | None:
        return Identity(self.pid, self.started_at) if self.pid is not None else None


class RunState(msgspec.Struct):
    """What `agio status` knows. Holds no secrets. Times are seconds since 1970."""

    status: str
    pid: int
    started_at: float
    url: str
    data_dir: str
    ca_file: str | None
    market: str
    services: list[ServiceState]

    @property
    def supervisor(self) -> Identity:
        return Identity(self.pid, self.started_at)


class RunFolder:
    """The folder `run` of a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "run"
        self._lock: int | None = None

    def acquire(self) -> None:
        """Claim the data folder for this process, until it ends; raises AlreadyRunning."""
        make_folder(self._folder.parent)
        make_folder(self._folder, 0o700)
        descriptor = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise AlreadyRunning(str(self._folder.parent)) from error
        self._lock = descriptor

    def release(self) -> None:
        """Forget the state and let another process claim the folder."""
        if self._lock is None:
            return
        for name in ("state.json", "settings.json"):
            (self._folder / name).unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = None

    def is_claimed(self) -> bool:
        """Whether a live process holds the folder."""
        try:
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def write(self, state: RunState) -> None:
        write_private(self._folder / "state.json", msgspec.json.encode(state).decode())

    def read(self) -> RunState | None:
        """The last state written, by a process that may be gone by now; None when there is none."""
        return self._read("state.json", RunState)

    def write_settings(self, settings: Settings) -> None:
        """Keep what the supervised processes were told, for commands from another shell; holds passwords."""
        text = msgspec.json.encode(settings.to_environment()).decode()
        write_private(self._folder / "settings.json", text)

    def read_settings(self) -> Settings | None:
        environment = self._read("settings.json", dict[str, str])
        return Settings.from_environment(environment) if environment is not None else None

    def running(self) -> RunState | None:
        """The state of the process that holds the folder now; None when nothing runs."""
        return self.read() if self.is_claimed() else None

    def end_leftovers(self, steps: tuple[StopStep, ...]) -> list[str]:
        """End children of a supervisor that was killed; returns their names. The folder must be acquired."""
        state = self.read()
        ended = []
        for service in state.services if state is not None else []:
            if service.identity is not None and service.identity.is_alive():
                end_leftover(service.identity, steps)
                ended.append(service.name)
        return ended

    def _read(self, name: str, kind: type[T]) -> T | None:
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode((self._folder / name).read_bytes(), type=kind)
        return None


def own_identity() -> Identity:
    return Identity(os.getpid(), psutil.Process().create_time())


def wait_until_gone(identity: Identity, timeout_seconds: float) -> bool:
    """Whether the process ended within the time."""
    deadline = time.monotonic() + timeout_seconds
    while identity.is_alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
