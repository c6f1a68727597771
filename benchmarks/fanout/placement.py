"""Which core does what, and what a process has used of it."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

import psutil

_FIRST: Final = -20
"""Niceness."""


class Placement:
    """The measured server alone on one core; load generator, market, bus and database on the others."""

    def __init__(self, *, first: bool = False) -> None:
        """With `first` everything here goes before other work of the machine; that needs root."""
        self._is_first = first
        if first:
            self._prefer(os.getpid())
        cores = sorted(os.sched_getaffinity(0))
        self.is_split = len(cores) > 1
        self.server = {cores[0]}
        self.rest = set(cores[1:]) or self.server
        self._before = set(cores)

    def __str__(self) -> str:
        if not self.is_split:
            return "one core for everything: nothing is pinned, and the latencies mean little"
        before = "; before other work" if self._is_first else ""
        return (
            f"measured server on core {min(self.server)}; subscribers, market, NATS and PostgreSQL"
            f" on core {', '.join(map(str, sorted(self.rest)))}{before}"
        )

    def stay_off_the_server(self) -> None:
        """Move this process, and what it starts from now on, off the server's core."""
        os.sched_setaffinity(0, self.rest)

    def move_off_the_server(self, pid: int) -> None:
        """The same for a process that runs; what it starts later follows."""
        self._move(pid, self.rest)
        if self._is_first:
            self._prefer(pid)

    def leave(self) -> None:
        os.sched_setaffinity(0, self._before)
        if self._is_first:
            self._prefer(os.getpid(), niceness=0)

    @staticmethod
    def _prefer(pid: int, niceness: int = _FIRST) -> None:
        """Niceness counts within a session only, where the kernel groups processes by session."""
        try:
            os.setpriority(os.PRIO_PROCESS, pid, niceness)
        except PermissionError:
            raise SystemExit("to go before the machine's other work needs root") from None
        group = Path(f"/proc/{pid}/autogroup")
        with suppress(OSError):
            if group.read_text().strip():
                group.write_text(str(niceness))

    def move_to_the_server(self, pid: int) -> None:
        """Give the server's core to a process that has started somewhere else."""
        self._move(pid, self.server)

    def start_server(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: IO[bytes],
        folder: Path,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a server anywhere, so that two can start at once."""
        return subprocess.Popen(
            command,
            env=dict(environment),
            stdin=stdin,
            stdout=log,
            stderr=log,
            cwd=folder,
            preexec_fn=lambda: os.sched_setaffinity(0, self._before),  # noqa: PLW1509 - no threads here
        )

    @staticmethod
    def _move(pid: int, cores: set[int]) -> None:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), cores)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, user and system, all its threads; in nanoseconds where Linux tells."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((one / "schedstat").read_text().split()[0]) for one in threads) / 1e9
    except (OSError, ValueError, IndexError):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)


def rss_bytes(pid: int) -> int:
    return int(psutil.Process(pid).memory_info().rss)


def stop(process: subprocess.Popen[bytes], seconds: float = 10.0) -> None:
    """End a process that we started, by its id, and wait for it."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
