"""A child process that cannot outlive its parent, logs to a file, and is stopped by rising insistence."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from agio.platform.embedded.accounts import Account, make_folder

_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 16_384
KILL_PATIENCE_SECONDS = 5.0


class StopStep(NamedTuple):
    """A signal, and how long its effect is waited for."""

    signal: signal.Signals
    patience_seconds: float


class Identity(NamedTuple):
    """A process told apart from a later one with the same pid."""

    pid: int
    started_at: float

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        try:
            candidate = psutil.Process(self.pid)
            return (
                abs(candidate.create_time() - self.started_at) < 1.0
                and candidate.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False


class Child:
    """One child process at a time; it can be spawned again after it ended.

    Spawn from the main thread: Linux ties the death signal to the thread that forked, not to the process.
    """

    def __init__(
        self,
        name: str,
        log_file: Path,
        *,
        account: Account | None = None,
        death_signal: signal.Signals = signal.SIGTERM,
        stop_steps: Sequence[StopStep] = (StopStep(signal.SIGTERM, 10.0),),
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._account = account
        self._death_signal = death_signal
        self._stop_steps = stop_steps
        self._popen: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0

    @property
    def pid(self) -> int | None:
        return self._popen.pid if self._popen is not None else None

    @property
    def identity(self) -> Identity | None:
        return Identity(self._popen.pid, self._started_at) if self._popen is not None else None

    def spawn(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        cwd: Path = Path("/"),
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start the process in a session of its own, so that Ctrl-C on the terminal reaches only us."""
        make_folder(self.log_file.parent, 0o700)
        account = self._account
        descriptor = os.open(self.log_file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        try:
            self._popen = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                env=dict(environment),
                cwd=cwd,
                start_new_session=True,
                pass_fds=pass_fds,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                umask=0o077,
                preexec_fn=die_with_parent(self._death_signal),  # noqa: PLW1509
            )
        finally:
            os.close(descriptor)
        try:
            self._started_at = psutil.Process(self._popen.pid).create_time()
        except psutil.NoSuchProcess:
            self._started_at = 0.0

    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def exit_reason(self) -> str | None:
        """Why the process is not running, in words; None while it runs or before it was started."""
        if self._popen is None or self._popen.poll() is None:
            return None
        code = self._popen.returncode
        if code < 0:
            return f"was killed by signal {-code} ({_signal_name(-code)})"
        return f"ended with exit code {code}"

    def log_tail(self, lines: int = 12) -> list[str]:
        """The last lines of the log."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(0, self.log_file.stat().st_size - _TAIL_BYTES))
                return log.read().decode(errors="replace").splitlines()[-lines:]
        except OSError:
            return []

    def stop(self) -> None:
        """Ask it to end, ever more firmly, and wait until it has; does nothing when it is not running."""
        if self._popen is None:
            return
        for step in (*self._stop_steps, StopStep(signal.SIGKILL, KILL_PATIENCE_SECONDS)):
            if self._popen.poll() is not None:
                return
            self._popen.send_signal(step.signal)
            try:
                self._popen.wait(step.patience_seconds)
            except subprocess.TimeoutExpired:
                continue
            return


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """A hook for the forked child: the kernel signals it when its parent dies, however that happens."""
    parent = os.getpid()
    if not sys.platform.startswith("linux"):
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


def end_leftover(identity: Identity, steps: Sequence[StopStep]) -> None:
    """Stop a process of an earlier life that is not our child; returns when it is gone or nothing helped."""
    for step in (*steps, StopStep(signal.SIGKILL, KILL_PATIENCE_SECONDS)):
        if not identity.is_alive():
            return
        try:
            leftover = psutil.Process(identity.pid)
            leftover.send_signal(step.signal)
            leftover.wait(step.patience_seconds)
        except psutil.NoSuchProcess:
            return
        except psutil.TimeoutExpired:
            continue


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
