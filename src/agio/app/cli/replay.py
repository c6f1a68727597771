"""`agio replay`: a recorded market through the same sockets as a live one."""

import os
import shutil
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from agio.app.cli.console import AsJson, DataDir, err, fail, out, read_settings, resolve_data_dir
from agio.app.cli.local_api import ApiRefused, JsonObject, LocalApi, operator_api
from agio.app.cli.up import run_platform
from agio.app.run_state import RunFolder

POLL_SECONDS = 0.5
ENDED = frozenset({"done", "failed", "canceled"})


def register(program: typer.Typer) -> None:
    program.command("replay")(replay)


class ReplayProgress(msgspec.Struct):
    """What `GET /api/market/replays/{id}` says about a replay; fields beyond these are not needed here."""

    state: str
    done: int = 0
    total: int | None = None
    symbol: str = ""
    problem: str | None = None


def replay(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="A recorded tape: .csv, .csv.gz or .parquet.", exists=True, dir_okay=False
        ),
    ],
    speed: Annotated[
        float, typer.Option(help="Multiple of recorded time; 0 is as fast as possible.", min=0)
    ] = 1.0,
    symbol: Annotated[
        str | None, typer.Option(help="Symbol to publish as.", show_default="first word of the file's name")
    ] = None,
    data_dir: DataDir = None,
    port: Annotated[
        int | None, typer.Option(help="TLS port when agio is not running yet; 0 takes a free one.", min=0)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay a recorded market, keeping its own times.

    On the platform that runs on the data folder; when none does, this starts one on the tape, as
    `agio up --market replay:FILE` would.
    """
    folder = resolve_data_dir(data_dir)
    if RunFolder(folder).running() is None:
        _start_on_tape(folder, file, speed, symbol, port, as_json=as_json)
        return
    try:
        with operator_api(folder) as (api, _):
            _follow(api, _ask(api, file, folder, speed, symbol), as_json=as_json)
    except ApiRefused as refusal:
        fail(str(refusal))
    except OSError as error:
        fail(f"the API does not answer: {error}")


def _start_on_tape(
    folder: Path, file: Path, speed: float, symbol: str | None, port: int | None, *, as_json: bool
) -> None:
    if symbol:
        fail("--symbol needs a running platform: start it with `agio up --market none`, then replay")
    settings = msgspec.structs.replace(
        read_settings(), data_dir=folder, market=f"replay:{file.resolve()}", speed=speed
    )
    if port is not None:
        settings = msgspec.structs.replace(settings, port=port)
    run_platform(settings, as_json=as_json)


def _ask(api: LocalApi, file: Path, data_dir: Path, speed: float, symbol: str | None) -> JsonObject:
    placed = _place_within_reach(file, data_dir)
    body: dict[str, object] = {"path": str(placed), "speed": speed}
    if symbol:
        body["symbol"] = symbol
    try:
        return api.call("POST", "/api/market/replays", body)
    except ApiRefused as refusal:
        if refusal.problem.get("code") == "invalid_tape" and placed != file.resolve():
            placed.unlink()
        raise


def _place_within_reach(file: Path, data_dir: Path) -> Path:
    """The API reads tapes from a few folders only: put the tape into ours, without a copy where possible."""
    source = file.resolve()
    settings = RunFolder(data_dir).read_settings()
    if settings is not None and any(source.is_relative_to(folder) for folder in settings.replay_dirs):
        return source
    target = data_dir / "replays" / source.name
    if target.exists() and target.samefile(source):
        return target
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


def _follow(api: LocalApi, started: JsonObject, *, as_json: bool) -> None:
    replay_id = str(started["replay_id"])
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("trades"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=as_json or not err.is_terminal) as progress:
        task = progress.add_task("replay", total=None)
        try:
            while True:
                answer = api.call("GET", f"/api/market/replays/{replay_id}")
                now = msgspec.convert(answer, ReplayProgress)
                progress.update(task, completed=now.done, total=now.total, description=now.symbol or "replay")
                if now.state in ENDED:
                    break
                time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            err.print(f"The replay {replay_id} goes on; see it at /api/market/replays/{replay_id}")
            raise typer.Exit(130) from None
    if as_json:
        print(msgspec.json.encode(answer).decode())
    if now.state == "failed":
        fail(f"the replay failed: {now.problem or 'see the log of engine'}")
    if now.state == "canceled":
        fail(f"somebody canceled the replay after {now.done:,} trades")
    if not as_json:
        out.print(f"[green]✓[/] {now.symbol}: {now.done:,} trades replayed")
