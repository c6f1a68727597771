"""The process that makes the database fit before anything else starts: migrations, then an organisation.

It is a process of its own so that the supervisor stays small: what it imports goes when it ends. It speaks to
the supervisor in JSON lines on its standard output.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal

import msgspec

from agio.app.services import agio_command, child_environment
from agio.platform.config import Settings
from agio.platform.embedded.accounts import make_folder
from agio.platform.embedded.child import die_with_parent

_READ_BYTES = 65_536


class Ready(msgspec.Struct):
    """What a user needs to begin; printed once."""

    api_key: str
    organisation_id: str
    account_id: str
    portfolio_id: str
    symbols: list[str]


class Report(msgspec.Struct):
    """One line of the process."""

    event: Literal["applied", "migrated", "bootstrapped", "failed", "refused"]
    detail: str = ""
    count: int = 0
    ready: Ready | None = None


def print_report(report: Report) -> None:
    print(msgspec.json.encode(report).decode(), flush=True)


class Preparation:
    """A running `agio migrate --demo`, which loads its code at once and begins after `go`."""

    def __init__(self, settings: Settings) -> None:
        log = settings.data_dir / "logs" / "migrate.log"
        make_folder(log.parent, 0o700)
        descriptor = os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        try:
            self._popen = subprocess.Popen(
                agio_command("migrate", "--wait", "--demo", "--json"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=descriptor,
                env=child_environment(settings),
                cwd=settings.data_dir,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509
            )
        finally:
            os.close(descriptor)
        self._log = log
        self._partial = b""
        if self._popen.stdout is not None:
            os.set_blocking(self._popen.stdout.fileno(), False)

    def go(self) -> None:
        """Let it begin: the database server accepts connections."""
        if self._popen.stdin is not None and not self._popen.stdin.closed:
            # When it has died already, `failure` says why.
            with suppress(OSError):
                self._popen.stdin.write(b"go\n")
                self._popen.stdin.close()

    def reports(self) -> Iterator[Report]:
        """The lines that have arrived since the last call."""
        if self._popen.stdout is None:
            return
        # Popen reads through a buffer, whose read gives None when nothing is there yet.
        arrived = self._popen.stdout.read(_READ_BYTES) or b""
        *lines, self._partial = (self._partial + arrived).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                yield msgspec.json.decode(line, type=Report)

    def failure(self) -> str | None:
        """Why it failed, once it has ended with an error."""
        code = self._popen.poll()
        if not code:
            return None
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        return "the database could not be prepared:\n" + "\n".join(lines)

    def has_ended(self) -> bool:
        return self._popen.poll() is not None

    def stop(self) -> None:
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(5)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        for stream in (self._popen.stdin, self._popen.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
