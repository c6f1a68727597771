"""`agio keys rotate-master`: a new master key for the encryption at rest, while everything runs."""

from typing import Annotated

import psycopg
import typer

from agio.app.cli.console import AsJson, DataDir, fail, out, read_settings, resolve_data_dir
from agio.app.run_state import RunFolder
from agio.platform.config import InvalidSetting, Settings
from agio.platform.master_keys import DamagedKey, KeyFile, UnknownMasterKey, open_master_keys
from agio.platform.rekeying import needed_masters, rewrap


def rotate_master(
    rewrap_only: Annotated[
        bool, typer.Option("--rewrap-only", help="Make no new key: go on with one that is current already.")
    ] = False,
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help="Then delete master keys that nothing needs. Older backups need theirs: keep them.",
        ),
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a new master key and wrap every data key by it. Nothing stops; both keys open until it is done.

    Master keys in AGIO_MASTER_KEYS are yours to change: put the new one first on every node, then run this.
    """
    settings = RunFolder(resolve_data_dir(data_dir)).read_settings() or read_settings()
    if not settings.owner_database_url:
        fail("no platform runs on this data folder, and AGIO_OWNER_DATABASE_URL names no database", code=3)
    try:
        current, count, forgotten = _rotate(settings, is_new=not rewrap_only, forget=forget)
    except (InvalidSetting, UnknownMasterKey, DamagedKey, OSError, psycopg.Error) as error:
        fail(f"the master key was not changed everywhere: {error}. Run this again with --rewrap-only")
    if as_json:
        out.print_json(data={"master_id": current, "rewrapped": count, "forgotten": forgotten})
        return
    out.print(f"[green]✓[/] master key {current}: {count} data keys wrapped anew")
    if forgotten:
        out.print(f"forgotten: {', '.join(forgotten)}")


def _rotate(settings: Settings, *, is_new: bool, forget: bool) -> tuple[str, int, list[str]]:
    masters = open_master_keys(settings)
    if is_new and isinstance(masters, KeyFile):
        masters.add_key()
    count = rewrap(settings.owner_database_url, masters)
    forgotten = []
    if forget and isinstance(masters, KeyFile):
        forgotten = masters.forget_all_but(needed_masters(settings.owner_database_url))
    return masters.current_id(), count, forgotten
