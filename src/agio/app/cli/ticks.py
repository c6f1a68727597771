"""`agio ticks`: SQL over the recorded market."""

from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from agio.app.cli.console import DataDir, err, fail, resolve_data_dir
from agio.app.ticks import find_settings, open_ticks
from agio.kernel.problem import Problem
from agio.marketdata.settings import tick_reader_address
from agio.marketdata.ticks.duck import quoted
from agio.marketdata.ticks.research import attach_statement

_FORMATS = {".csv": "format csv, header true", ".parquet": "format parquet, compression zstd"}


def register(program: typer.Typer) -> None:
    program.command("ticks")(ticks)


def ticks(
    sql: Annotated[str, typer.Argument(help="A query over the views trades and quotes.")] = "",
    target: Annotated[
        Path | None, typer.Option("--out", help="A .csv or .parquet file to write.", dir_okay=False)
    ] = None,
    attach: Annotated[
        bool, typer.Option("--attach", help="Print the SQL by which any DuckDB opens the store.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Ask the recorded market, past and present, by SQL. The answer is CSV, or a file."""
    folder = resolve_data_dir(data_dir)
    try:
        if attach:
            _print_attach(folder)
            return
        if not sql.strip():
            fail('give a query, such as "select symbol, count(*) from trades group by all"')
        _answer(folder, sql.strip().rstrip(";"), target)
    except Problem as problem:
        fail(problem.detail, code=3)


def _answer(folder: Path, sql: str, target: Path | None) -> None:
    import duckdb  # noqa: PLC0415 - large, and not needed for --attach

    options = _FORMATS.get(target.suffix) if target is not None else _FORMATS[".csv"]
    if options is None:
        fail("--out takes the name of a .csv or .parquet file")
    file = str(target) if target is not None else "/dev/stdout"
    connection = open_ticks(folder)
    try:
        found = connection.execute(f"copy ({sql}) to '{quoted(file)}' ({options})").fetchone()
    except duckdb.Error as error:
        fail(str(error))
    finally:
        connection.close()
    if target is not None and found is not None:
        err.print(f"{found[0]:,} rows in {target}", soft_wrap=True)


def _print_attach(folder: Path) -> None:
    settings = find_settings(folder)
    parts = urlsplit(settings.ticks_reader_database_url)
    address = tick_reader_address(settings)
    print(f"-- export PGPASSWORD={unquote(parts.password or '')}")
    print("install ducklake; install postgres; load ducklake; load postgres;")
    print(attach_statement(address, parts.hostname or "", parts.port or 5432, unquote(parts.path[1:])))
