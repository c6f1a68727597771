"""`agio up`: the whole platform on this machine, until Ctrl-C."""

import importlib
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from agio.app.cli.console import (
    AsJson,
    ConsoleReporter,
    DataDir,
    fail,
    read_settings,
    resolve_data_dir,
)
from agio.app.cli.welcome import ready_line, show_ready
from agio.app.installation import PortTaken, absolute_market
from agio.app.run_state import AlreadyRunning, RunFolder
from agio.app.signals import SignalInbox
from agio.app.supervisor import StartFailed, Stopped, Supervisor
from agio.marketdata.live.market import is_live
from agio.platform.config import InvalidSetting, Settings
from agio.platform.embedded.accounts import NoUsableAccount
from agio.platform.embedded.nats import NatsFailed
from agio.platform.embedded.placement import DataOutOfReach
from agio.platform.embedded.postgres import PostgresFailed
from agio.platform.tls import InvalidCertificate

EXPECTED_FAILURES = (
    DataOutOfReach,
    InvalidCertificate,
    InvalidSetting,
    NatsFailed,
    NoUsableAccount,
    PortTaken,
    PostgresFailed,
    StartFailed,
)


def register(program: typer.Typer) -> None:
    program.command("up")(up)


def up(
    data_dir: DataDir = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on.", envvar="AGIO_HOST", show_default="127.0.0.1"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="TLS port of API, streams and dashboard; 0 takes a free one.",
            envvar="AGIO_PORT",
            min=0,
            max=65535,
            show_default="8443",
        ),
    ] = None,
    market: Annotated[
        str | None,
        typer.Option(
            help="sim: a simulated exchange. replay:PATH: a recorded tape."
            " live:VENUE:SYMBOL,SYMBOL;VENUE:...: live venues. none.",
            envvar="AGIO_MARKET",
            show_default="sim",
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            help="Replay at this multiple of recorded time; 0 is as fast as possible.",
            envvar="AGIO_SPEED",
            min=0,
            show_default="1",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the simulated exchange.", envvar="AGIO_SEED", show_default="1"),
    ] = None,
    api_processes: Annotated[
        int | None,
        typer.Option(
            help="API processes on the one port, one a core at most; SIGUSR2 restarts them in turn.",
            envvar="AGIO_API_PROCESSES",
            min=1,
            max=64,
            show_default="1",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start everything on this machine and keep it running until Ctrl-C.

    PostgreSQL and NATS come with agio; AGIO_DATABASE_URL (of a role that may create roles) and AGIO_NATS_URL
    take servers of your own instead. AGIO_TLS_CERTIFICATE and AGIO_TLS_KEY take your own certificate. A new
    API key for the local operator is printed at every start; it is valid for seven days.
    """
    given = {
        "host": host,
        "port": port,
        "market": market,
        "speed": speed,
        "seed": seed,
        "api_processes": api_processes,
    }
    settings = msgspec.structs.replace(
        read_settings(),
        data_dir=resolve_data_dir(data_dir),
        **{name: value for name, value in given.items() if value is not None},
    )
    run_platform(settings, as_json=as_json)


def run_platform(settings: Settings, *, as_json: bool) -> None:
    """Supervise until a signal stops it."""
    reporter = ConsoleReporter()
    with SignalInbox().installed() as inbox:
        try:
            settings = msgspec.structs.replace(settings, market=absolute_market(settings.market))
            if is_live(settings.market):
                importlib.import_module("agio.marketdata.settings").live_settings(settings)
            supervisor = Supervisor(settings, reporter, inbox)
            _supervise(supervisor, reporter, as_json=as_json)
        except AlreadyRunning:
            reporter.settle()
            _tell_already_running(settings.data_dir)
        except EXPECTED_FAILURES as error:
            reporter.settle()
            fail(str(error))
        except OSError as error:
            reporter.settle()
            fail(f"{error}. Logs are in {settings.data_dir / 'logs'}")


def _supervise(supervisor: Supervisor, reporter: ConsoleReporter, *, as_json: bool) -> None:
    try:
        ready = supervisor.start()
        reporter.settle()
        if as_json:
            print(ready_line(supervisor.url, supervisor.settings.ca_file, ready), flush=True)
        else:
            show_ready(supervisor.url, supervisor.settings.ca_file, ready)
        supervisor.watch()
    except Stopped:
        reporter.done("asked to stop")
    finally:
        supervisor.stop()
        reporter.settle()
    reporter.done("stopped")


def _tell_already_running(data_dir: Path) -> None:
    state = RunFolder(data_dir).running()
    where = f" on {state.url} (process {state.pid})" if state is not None else ""
    fail(f"agio already runs on {data_dir}{where}. See it with: agio status. Stop it with: agio down", code=4)
