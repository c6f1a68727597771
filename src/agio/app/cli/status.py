"""`agio status`: what runs, since when, at what cost."""

import time

import msgspec
import psutil
import typer
from rich.table import Table

from agio.app.cli.console import AsJson, DataDir, fail, out, resolve_data_dir
from agio.app.run_state import RunFolder, RunState, ServiceState

_NOT_RUNNING = 3


def register(program: typer.Typer) -> None:
    program.command("status")(status)


class ProcessStatus(msgspec.Struct):
    """A process, with what it uses now."""

    name: str
    status: str
    pid: int | None
    port: int | None
    restarts: int
    last_failure: str | None
    memory_mb: float | None
    uptime_seconds: float | None


class PlatformStatus(msgspec.Struct):
    """What `agio status --json` prints."""

    status: str
    url: str | None = None
    ca_file: str | None = None
    market: str | None = None
    data_dir: str | None = None
    pid: int | None = None
    uptime_seconds: float | None = None
    processes: list[ProcessStatus] = []


def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show the processes of a platform. Ends with code 3 when none runs on the data folder."""
    folder = resolve_data_dir(data_dir)
    state = RunFolder(folder).running()
    if state is None:
        if as_json:
            print(msgspec.json.encode(PlatformStatus("stopped", data_dir=str(folder))).decode())
            raise typer.Exit(_NOT_RUNNING)
        fail(f"agio does not run on {folder}. Start it with: agio up", code=_NOT_RUNNING)
    measured = _measure(state)
    if as_json:
        print(msgspec.json.encode(measured).decode())
    else:
        _show(measured)


def _measure(state: RunState) -> PlatformStatus:
    supervisor = ServiceState("supervisor", state.status, state.pid, state.started_at)
    return PlatformStatus(
        status=state.status,
        url=state.url,
        ca_file=state.ca_file,
        market=state.market,
        data_dir=state.data_dir,
        pid=state.pid,
        uptime_seconds=round(time.time() - state.started_at, 1),
        processes=[_measure_process(service) for service in (*state.services, supervisor)],
    )


def _measure_process(service: ServiceState) -> ProcessStatus:
    measured = ProcessStatus(
        name=service.name,
        status=service.status,
        pid=service.pid,
        port=service.port,
        restarts=service.restarts,
        last_failure=service.last_failure,
        memory_mb=None,
        uptime_seconds=None,
    )
    if service.identity is not None and service.identity.is_alive():
        measured.memory_mb = _memory_megabytes(service.identity.pid, with_children=service.name == "postgres")
        measured.uptime_seconds = round(time.time() - service.started_at, 1)
    return measured


def _memory_megabytes(pid: int, *, with_children: bool) -> float | None:
    """Proportional set size: memory that processes share is divided among them."""
    try:
        root = psutil.Process(pid)
        tree = [root, *root.children(recursive=True)] if with_children else [root]
        return round(sum(process.memory_full_info().pss for process in tree) / 2**20, 1)
    except psutil.Error:
        return None


def _show(measured: PlatformStatus) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("process", "state", "pid", "port", "memory", "up", "restarts"):
        table.add_column(column, justify="left" if column in {"process", "state"} else "right")
    for process in measured.processes:
        colour = "green" if process.status == "ready" else "yellow"
        table.add_row(
            process.name,
            f"[{colour}]{process.status}[/]",
            str(process.pid or ""),
            str(process.port or ""),
            f"{process.memory_mb:.0f} MB" if process.memory_mb is not None else "",
            _duration(process.uptime_seconds),
            str(process.restarts),
        )
    out.print(f"[bold]{measured.url}[/]  market {measured.market}  data {measured.data_dir}", soft_wrap=True)
    out.print(table)
    for process in measured.processes:
        if process.last_failure is not None:
            out.print(f"[yellow]last failure:[/] {process.last_failure}", soft_wrap=True)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
