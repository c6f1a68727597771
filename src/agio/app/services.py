"""The processes that the supervisor looks after, all with one face."""

import os
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPException, HTTPSConnection
from typing import Protocol

from agio.app.listening import PROCESS_VARIABLE, probe_process
from agio.app.readiness import GO_LINE, READY_LINE, VARIABLE
from agio.platform.config import Settings
from agio.platform.embedded.child import Child, Identity
from agio.platform.tls import LOOPBACK_NAMES, client_context

_PROBE_TIMEOUT_SECONDS = 2.0


class Service(Protocol):
    """One process at a time, which can be started again after it ended."""

    name: str
    port: int

    @property
    def identity(self) -> Identity | None:
        """The process started last."""

    def prepare(self) -> None:
        """What must be done once before the first start."""

    def spawn(self) -> None:
        """Start without waiting."""

    def is_running(self) -> bool: ...

    def is_ready(self) -> bool:
        """Whether it does its work; must answer within a second or two."""

    def exit_reason(self) -> str | None:
        """Why it ended, as the rest of a sentence that begins with its name; None while it runs."""

    def explain(self) -> str:
        """Why it ended, and the last lines of its log."""

    def stop(self) -> None:
        """Stop it and wait until it has ended."""


class AgioProcess:
    """`agio engine` or `agio api`: a hidden verb of this program with its settings in the environment.

    It loads its code at once but begins only after `release`. It is ready when it has announced it and
    `probe`, when there is one, agrees. `variables` are added to its environment.
    """

    def __init__(
        self,
        verb: str,
        settings: Settings,
        *,
        port: int = 0,
        probe: Callable[[Settings], bool] | None = None,
        name: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name or verb
        self.port = port
        self._verb = verb
        self._variables = variables or {}
        self._probe = probe
        self._settings = settings
        self._child = Child(self.name, settings.data_dir / "logs" / f"{self.name}.log")
        self._channel: socket.socket | None = None
        self._is_released = self._is_announced = False

    @property
    def identity(self) -> Identity | None:
        return self._child.identity

    def prepare(self) -> None:
        pass

    def spawn(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            variables = {**self._variables, VARIABLE: str(theirs.fileno())}
            environment = child_environment(self._settings, variables)
            command = agio_command(self._verb)
            self._child.spawn(command, environment, cwd=self._settings.data_dir, pass_fds=(theirs.fileno(),))
        if self._channel is not None:
            self._channel.close()
        ours.setblocking(False)
        self._channel, self._is_announced = ours, False
        if self._is_released:
            self._say_go()

    def release(self) -> None:
        """Let it begin its work, now and after every later start."""
        self._is_released = True
        self._say_go()

    def is_running(self) -> bool:
        return self._child.is_running()

    def is_ready(self) -> bool:
        if not self._is_announced and self._channel is not None:
            try:
                self._is_announced = self._channel.recv(len(READY_LINE)) == READY_LINE
            except OSError:
                return False
        if not self._is_announced or not self.is_running():
            return False
        return self._probe is None or self._probe(self._settings)

    def exit_reason(self) -> str | None:
        return self._child.exit_reason()

    def explain(self) -> str:
        said = "\n".join(self._child.log_tail())
        return f"{self.name} {self.exit_reason() or 'is still starting'}; its log says:\n{said}"

    def stop(self) -> None:
        self._child.stop()

    def _say_go(self) -> None:
        if self._channel is not None:
            # A process that has just died is noticed, and started again, elsewhere.
            with suppress(OSError):
                self._channel.send(GO_LINE)


def api_processes(settings: Settings) -> list[AgioProcess]:
    """The API processes of one port: `api`, or `api-1`, `api-2` and so on."""
    if settings.api_processes == 1:
        return [AgioProcess("api", settings, port=settings.port, probe=probe_readiness)]
    names = [f"api-{number}" for number in range(1, settings.api_processes + 1)]
    return [
        AgioProcess(
            "api",
            settings,
            port=settings.port,
            probe=lambda settings, name=name: probe_process(settings.data_dir, name),  # type: ignore[misc]
            name=name,
            variables={PROCESS_VARIABLE: name},
        )
        for name in names
    ]


def agio_command(*arguments: str) -> list[str]:
    """The command line of this very program, whatever folder it is started in."""
    return [sys.executable, "-P", "-m", "agio", *arguments]


def probe_readiness(settings: Settings) -> bool:
    """Whether `/readyz` answers 200 on this machine."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::", "localhost"} else settings.host  # noqa: S104
    context = client_context(settings.ca_file)
    if settings.ca_file is None or host not in LOOPBACK_NAMES:
        # The operator's own certificate names the public host. The probe tells nothing and trusts nothing.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        connection = HTTPSConnection(host, settings.port, timeout=_PROBE_TIMEOUT_SECONDS, context=context)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, HTTPException):
        return False


def child_environment(settings: Settings, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our own environment without any AGIO_ variable, and the settings in their place."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AGIO_")}
    return {**inherited, "PYTHONUNBUFFERED": "1", **settings.to_environment(), **(extra or {})}
