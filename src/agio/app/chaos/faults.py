"""What is done to the platform: each fault happens, lasts, and is over when its call returns."""

import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from agio.app.chaos import disk
from agio.app.chaos.stand import Stand, WriterProcess, send, send_to_tree, wait_until_dead

DEATH_SECONDS: Final = 5.0
RETURN_SECONDS: Final = 15.0
FULL_SECONDS: Final = 1.5
_SERVICES: Final = ("api", "engine", "postgres", "nats")


class Faults:
    """All faults over one platform. `draw` deals each kind once before any comes again."""

    def __init__(
        self, stand: Stand, writers: Sequence[WriterProcess], small_disk: Path | None, seed: int
    ) -> None:
        self._stand = stand
        self._writers = writers
        self._disk = small_disk
        self._random = random.Random(seed)  # noqa: S311
        self._deck: list[Callable[[], str]] = []

    def draw(self) -> Callable[[], str]:
        """The next fault; calling it answers what was done."""
        if not self._deck:
            self._deck = [
                *[lambda name=name: self._kill(name) for name in _SERVICES],
                *[lambda name=name: self._stall(name) for name in _SERVICES],
                self._kill_backend,
                self._kill_writer,
                self._step_clock_back,
            ]
            if self._disk is not None:
                self._deck.append(self._fill_disk)
            self._random.shuffle(self._deck)
        return self._deck.pop()

    def _kill(self, name: str) -> str:
        process = self._find(name)
        if process is None:
            return f"{name} stayed down"
        send(process, signal.SIGKILL)
        wait_until_dead(process, DEATH_SECONDS)
        return f"kill -9 {name}"

    def _kill_backend(self) -> str:
        """One of PostgreSQL's sessions: the server then resets all of them."""
        backends: list[psutil.Process] = []
        deadline = time.monotonic() + RETURN_SECONDS
        while not backends and time.monotonic() < deadline:
            postmaster = self._find("postgres")
            backends = _sessions(postmaster) if postmaster is not None else []
            time.sleep(0.05)
        if not backends:
            return "no session was there"
        send(self._random.choice(backends), signal.SIGKILL)
        return "kill -9 session"

    def _kill_writer(self) -> str:
        self._random.choice(self._writers).kill_and_restart()
        return "kill -9 client"

    def _stall(self, name: str) -> str:
        process = self._find(name)
        if process is None:
            return f"{name} stayed down"
        seconds = self._random.uniform(0.5, 3.0)
        stopped = send_to_tree(process, signal.SIGSTOP)
        time.sleep(seconds)
        for each in stopped:
            send(each, signal.SIGCONT)
        return f"SIGSTOP {name} {seconds:.1f} s"

    def _find(self, name: str) -> psutil.Process | None:
        """The service's process, once the fault before this one has been overcome."""
        deadline = time.monotonic() + RETURN_SECONDS
        while (process := self._stand.find(name)) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        return process

    def _step_clock_back(self) -> str:
        for writer in self._writers:
            writer.tell(signal.SIGHUP)
        return "clocks back"

    def _fill_disk(self) -> str:
        if self._disk is None:
            return "no disk to fill"
        try:
            disk.fill(self._disk)
            time.sleep(FULL_SECONDS)
        finally:
            disk.empty(self._disk)
        return "disk full"


def _sessions(postmaster: psutil.Process) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        for child in postmaster.children():
            with suppress(psutil.NoSuchProcess):
                title = " ".join(child.cmdline())
                if "agio_app" in title or "agio_engine" in title:
                    found.append(child)
    return found
