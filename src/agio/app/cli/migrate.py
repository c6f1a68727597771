"""`agio migrate` (hidden): bring the database up to date, as the supervisor does before anything else."""

import importlib
import sys
from typing import Annotated

import psycopg
import typer

from agio.app.cli.console import AsJson, fail, out, read_settings
from agio.app.preparation import Report, print_report
from agio.app.sealing import seal_plain_text
from agio.platform.config import InvalidSetting
from agio.platform.master_keys import UnknownMasterKey
from agio.platform.migrations import Migration, MigrationChanged, migrate


def register(program: typer.Typer) -> None:
    program.command("migrate", hidden=True)(run_migrations)


def run_migrations(
    demo: Annotated[
        bool, typer.Option("--demo", help="Also make sure of the local operator's organisation.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Begin when a line arrives on standard input.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Apply missing migrations to AGIO_OWNER_DATABASE_URL, under a lock; safe to repeat."""
    settings = read_settings()
    if not settings.owner_database_url:
        fail("AGIO_OWNER_DATABASE_URL is missing: the URL of the role that owns the schemas")

    # The composition root is heavy, and only the local operator's organisation needs it here.
    bootstrap = importlib.import_module("agio.app.bootstrap") if demo else None
    if wait and not sys.stdin.readline():
        raise typer.Exit(1)

    def tell(migration: Migration) -> None:
        _tell(Report("applied", f"{migration.room}/{migration.name}"), as_json=as_json)

    try:
        count = migrate(settings.owner_database_url, tell)
        sealed = seal_plain_text(settings)
    except (MigrationChanged, InvalidSetting, UnknownMasterKey, psycopg.Error) as error:
        if not as_json:
            fail(str(error))
        print_report(Report("failed", str(error)))
        raise typer.Exit(1) from error
    _tell(Report("migrated", count=count), as_json=as_json)
    if sealed and not as_json:
        out.print(f"{sealed} values that an earlier version stored in plain text are sealed now")
    if bootstrap is not None:
        try:
            ready = bootstrap.ensure_demo(settings)
        except bootstrap.TapeRefused as refusal:
            if not as_json:
                fail(str(refusal))
            print_report(Report("refused", str(refusal)))
            raise typer.Exit(1) from refusal
        _tell(Report("bootstrapped", ready=ready), as_json=as_json)


def _tell(report: Report, *, as_json: bool) -> None:
    if as_json:
        print_report(report)
    elif report.event == "applied":
        out.print(f"applied {report.detail}")
    elif report.event == "migrated":
        out.print(f"the database is up to date, {report.count} migrations applied")
