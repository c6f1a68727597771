"""`agio restart`: restart the API processes of a running platform, one after the other."""

import os
import time
from typing import Annotated

import typer

from agio.app.cli.console import DataDir, err, fail, out, require_running, resolve_data_dir
from agio.app.run_state import RunFolder, RunState
from agio.app.signals import ROLL_SIGNAL
from agio.platform.embedded.child import Identity

_LOOK_SECONDS = 0.1


def register(program: typer.Typer) -> None:
    program.command("restart")(restart)


def restart(
    data_dir: DataDir = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait until all of them serve again.", min=1)
    ] = 120.0,
) -> None:
    """Restart the API processes in turn: each drains its streams, which resume, before the next one stops.

    For new code of the API. With one process (see up --api-processes) nobody answers for some seconds.
    Everything else goes on running; to restart that too, use down and up.
    """
    folder = resolve_data_dir(data_dir)
    state = require_running(folder)
    if state.status != "ready":
        fail(f"agio on {folder} is {state.status}: wait until it is ready, or see ./agio status")
    before = _api_processes(state)
    os.kill(state.pid, ROLL_SIGNAL)
    deadline = time.monotonic() + timeout
    waiting = set(before)
    with err.status(f"restarting {', '.join(sorted(waiting))}"):
        while waiting:
            if time.monotonic() > deadline:
                late = ", ".join(sorted(waiting))
                fail(f"{late} did not serve again within {timeout:.0f} s; see the logs in {folder / 'logs'}")
            time.sleep(_LOOK_SECONDS)
            for name in _returned(RunFolder(folder).running(), before) & waiting:
                out.print(f"[green]✓[/] {name} serves again")
                waiting.remove(name)


def _api_processes(state: RunState) -> dict[str, Identity | None]:
    return {service.name: service.identity for service in state.services if service.is_api}


def _returned(state: RunState | None, before: dict[str, Identity | None]) -> set[str]:
    """Those that are ready as another process than before; ends with a message when nothing runs."""
    if state is None:
        fail("agio was stopped meanwhile")
    ready = {service.name for service in state.services if service.status == "ready"}
    return {name for name, identity in _api_processes(state).items() if identity != before[name]} & ready
