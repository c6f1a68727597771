"""`agio down`: stop a platform that runs in another terminal."""

import os
import signal
from contextlib import suppress
from typing import Annotated

import typer

from agio.app.cli.console import DataDir, err, fail, out, resolve_data_dir
from agio.app.run_state import RunFolder, wait_until_gone
from agio.platform.embedded.postgres import STOP_STEPS


def register(program: typer.Typer) -> None:
    program.command("down")(down)


def down(
    data_dir: DataDir = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait until everything has stopped.", min=1)
    ] = 60.0,
) -> None:
    """Stop the platform that runs on a data folder, and wait until it has stopped."""
    folder = resolve_data_dir(data_dir)
    run_folder = RunFolder(folder)
    state = run_folder.running()
    if state is None:
        _clear_leftovers(run_folder)
        out.print(f"agio does not run on {folder}")
        return
    with suppress(ProcessLookupError):
        os.kill(state.pid, signal.SIGTERM)
    with err.status(f"stopping process {state.pid}"):
        is_gone = wait_until_gone(state.supervisor, timeout)
    if not is_gone:
        fail(f"process {state.pid} still runs after {timeout:.0f} s; see the logs in {folder / 'logs'}")
    out.print(f"[green]✓[/] stopped agio on {folder}")


def _clear_leftovers(run_folder: RunFolder) -> None:
    """A supervisor that was killed leaves its state, and for a moment its children."""
    if run_folder.read() is None:
        return
    run_folder.acquire()
    for name in run_folder.end_leftovers(STOP_STEPS):
        out.print(f"[yellow]![/] ended {name}, left over from an earlier run")
    run_folder.release()
