"""Signals as something to wait for: requests to stop, and news of children."""

import os
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ROLL_SIGNAL = signal.SIGUSR2
"""Asks for a restart of the API processes, one after the other."""


class SignalInbox:
    """Notes requests to stop, and ends a wait as soon as any signal arrives."""

    def __init__(self) -> None:
        self.is_stop_requested = False
        self._is_roll_requested = False
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)

    @contextmanager
    def installed(self) -> Iterator["SignalInbox"]:
        """Take the place of the usual handlers, in the main thread, until the block ends."""
        handlers = {number: signal.signal(number, self._request_stop) for number in STOP_SIGNALS}
        handlers[ROLL_SIGNAL] = signal.signal(ROLL_SIGNAL, self._request_roll)
        handlers[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _ignore)
        descriptor = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        try:
            yield self
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def take_roll(self) -> bool:
        """Whether a rolling restart was asked for since the last call."""
        is_requested, self._is_roll_requested = self._is_roll_requested, False
        return is_requested

    def wait(self, seconds: float) -> None:
        """Sleep, at most until the next signal."""
        readable, _, _ = select.select([self._receiver], [], [], seconds)
        if readable:
            self._receiver.recv(4096)

    def _request_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.is_stop_requested = True

    def _request_roll(self, _number: int, _frame: FrameType | None) -> None:
        self._is_roll_requested = True


def reap_strangers(own: set[int]) -> None:
    """As process 1 of a container, collect ended processes that were left to us and are not in `own`."""
    if os.getpid() != 1:
        return
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in own:
            return
        os.waitpid(ended.si_pid, os.WNOHANG)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    return
