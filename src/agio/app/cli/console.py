"""What verbs share: where text goes, and options that mean the same everywhere."""

import os
import sys
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.status import Status

from agio.app.run_state import RunFolder, RunState
from agio.platform.config import InvalidSetting, Settings, default_data_dir

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="AGIO_DATA_DIR",
        help="Where data, certificates, secrets and logs live.",
        show_default="/var/lib/agio for root, else ~/.local/share/agio",
        file_okay=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON on standard output instead.")]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def fail(message: str, code: int = 1) -> NoReturn:
    """End with a message on standard error."""
    err.print("[bold red]agio:[/] ", end="")
    err.print(message, markup=False, soft_wrap=True)
    raise typer.Exit(code)


def read_settings() -> Settings:
    """The settings in the environment; ends with a message that names a bad one."""
    try:
        return Settings.from_environment()
    except InvalidSetting as error:
        fail(str(error))


def resolve_data_dir(given: Path | None) -> Path:
    return (given or default_data_dir(os.environ)).expanduser().resolve()


def require_running(data_dir: Path) -> RunState:
    """The state of the platform that runs on this data folder; ends with a message when none does."""
    state = RunFolder(data_dir).running()
    if state is None:
        fail(f"agio does not run on {data_dir}. Start it with: agio up", code=3)
    return state


class ConsoleReporter:
    """Tells on standard error what the supervisor does, with a spinner when somebody is looking."""

    def __init__(self) -> None:
        self._status: Status | None = None
        self._is_watching = False

    def waiting(self, text: str) -> None:
        if not err.is_terminal:
            return
        if self._status is None:
            self._status = err.status(text)
            self._status.start()
        else:
            self._status.update(text)

    def done(self, text: str) -> None:
        self._print("[green]✓[/]", text)

    def trouble(self, text: str) -> None:
        self._print("[yellow]![/]", text)

    def settle(self) -> None:
        """Take the spinner away; from now on lines carry the time of day."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        self._is_watching = True

    def _print(self, mark: str, text: str) -> None:
        clock = time.strftime("%H:%M:%S ") if self._is_watching else ""
        err.print(f"{mark} {clock}", end="")
        err.print(text, markup=False, soft_wrap=True)
        sys.stderr.flush()
