"""The platform under test, with servers of its own, and the processes that can be hurt."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import psutil

from agio.app.chaos.writer import WriterOrder
from agio.app.preparation import Ready
from agio.app.run_state import RunFolder
from agio.app.services import agio_command, probe_readiness
from agio.platform.config import Settings
from agio.platform.embedded.child import die_with_parent

STOP_SECONDS: Final = 40.0
WRITER: Final = "agio.app.chaos.writer"


class StandFailed(Exception):
    """The platform did not start; the message is its log's end."""


class Stand:
    """A platform of its own on a data folder, started as a user would start it."""

    def __init__(
        self,
        data_dir: Path,
        log: Path,
        *,
        market: str = "none",
        seed: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._run_folder = RunFolder(data_dir)
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                agio_command(
                    *("up", "--json", "--market", market, "--seed", str(seed)),
                    *("--port", "0", "--data-dir", str(data_dir)),
                ),
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509
            )
        line = self._process.stdout.readline() if self._process.stdout is not None else b""
        settings = self._run_folder.read_settings()
        if not line or settings is None:
            raise StandFailed(log.read_text(encoding="utf-8")[-2000:])
        self.settings: Settings = settings
        self.ready = msgspec.json.decode(line, type=Ready)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.settings.port}"

    def find(self, name: str) -> psutil.Process | None:
        """The process of a service, when it runs."""
        state = self._run_folder.read()
        for service in state.services if state is not None else []:
            if service.name == name and service.identity is not None and service.identity.is_alive():
                # It may go between two questions.
                with suppress(psutil.NoSuchProcess):
                    return psutil.Process(service.identity.pid)
        return None

    def is_ready(self) -> bool:
        return probe_readiness(self.settings)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class WriterProcess:
    """A writer that is started again, on the same log, when it was killed. It complains beside its log."""

    def __init__(self, order: WriterOrder) -> None:
        self.order = order
        self._process = self._spawn()

    def _spawn(self) -> subprocess.Popen[bytes]:
        arrange = die_with_parent(signal.SIGKILL)

        def prepare() -> None:
            arrange()
            _ignore_steering()

        with Path(self.order.log).with_suffix(".err").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", WRITER],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                preexec_fn=prepare,  # noqa: PLW1509
            )
        if process.stdin is not None:
            process.stdin.write(msgspec.json.encode(self.order))
            process.stdin.close()
        return process

    def kill_and_restart(self) -> None:
        self.kill()
        self._process = self._spawn()

    def tell(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def _ignore_steering() -> None:
    """Until the writer listens, the signals that steer it do nothing."""
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def send_to_tree(process: psutil.Process, number: signal.Signals) -> Sequence[psutil.Process]:
    """Signal a process and its children; returns those reached."""
    children: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        children = process.children(recursive=True)
    return [each for each in [process, *children] if send(each, number)]


def send(process: psutil.Process, number: signal.Signals) -> bool:
    """Signal a process; False when it is gone, as any process may be at any time here."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


def wait_until_dead(process: psutil.Process, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    # It may go between two questions.
    with suppress(psutil.NoSuchProcess):
        while (
            process.is_running() and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline
        ):
            time.sleep(0.02)
