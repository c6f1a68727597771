"""`agio ledger`: verify, export and show the head of the ledger; of a running platform, or of a file."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import psycopg
import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from agio.app.cli.console import AsJson, DataDir, err, fail, out, read_settings, resolve_data_dir
from agio.app.run_state import RunFolder
from agio.kernel.problem import Problem
from agio.ledger.proof.chain import Finding, Head
from agio.ledger.proof.export import Export, ExportFormat
from agio.ledger.proof.offline import verify_lines
from agio.ledger.proof.snapshot import read_head, read_totals, snapshot
from agio.ledger.verify import verify as verify_ledger
from agio.platform.clock import SystemClock
from agio.platform.db import Database

_BROKEN = 1

File = Annotated[
    Path | None,
    typer.Option(
        "--file", help="An exported .jsonl file instead of the database.", exists=True, dir_okay=False
    ),
]
KnownHead = Annotated[
    list[str] | None,
    typer.Option(
        "--head", help="A head's hash that was noted earlier: it must be in the chain. Repeat for more."
    ),
]


def register(program: typer.Typer) -> None:
    ledger = typer.Typer(
        help="Prove the ledger: verify its chain, show its head, export it.", no_args_is_help=True
    )
    for verb in (verify, head, export):
        ledger.command(verb.__name__)(verb)
    program.add_typer(ledger, name="ledger")


class Verdict(msgspec.Struct):
    """What `agio ledger verify --json` prints."""

    intact: bool
    findings: list[Finding]
    journals: int
    links: int
    head: str | None


class HeadView(msgspec.Struct):
    """What `agio ledger head --json` prints."""

    batch_no: int
    journal_no: int
    hash: str
    at: str


def verify(
    file: File = None, known: KnownHead = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Recompute the hash chain from genesis and check every invariant. Ends with code 1 when one is broken.

    Reads one snapshot: the platform goes on working. An exported file is checked without any database.
    """
    heads = [_read_hash(text) for text in known or []]
    with _reporting_failures(), _progress(as_json=as_json) as progress:
        if file is not None:
            verdict = _verify_file(file, heads)
        else:
            verdict = asyncio.run(_verify_database(_engine_url(data_dir), heads, progress))
    if as_json:
        print(msgspec.json.encode(verdict).decode())
    else:
        _show(verdict)
    if not verdict.intact:
        raise typer.Exit(_BROKEN)


def head(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show the last link of the chain. Note it elsewhere: `verify --head` can hold the ledger to it."""

    async def read() -> Head:
        database = Database(_engine_url(data_dir), name="agio ledger")
        await database.open()
        try:
            async with snapshot(database) as tx:
                return await read_head(tx)
        finally:
            await database.close()

    with _reporting_failures():
        found = asyncio.run(read())
    view = HeadView(found.batch_no, found.journal_no, found.hash.hex(), found.at.isoformat())
    if as_json:
        print(msgspec.json.encode(view).decode())
    else:
        out.print(f"[bold]{view.hash}[/]", soft_wrap=True)
        out.print(f"link {view.batch_no:,}, journal {view.journal_no:,}, {view.at}")


def export(
    kind: Annotated[
        ExportFormat,
        typer.Option("--format", help="jsonl can be verified; the others are for other programs."),
    ] = ExportFormat.JSONL,
    target: Annotated[
        Path | None, typer.Option("--out", help="File to write; without it, standard output.", dir_okay=False)
    ] = None,
    organisation: Annotated[
        str | None,
        typer.Option(
            help="Only this one's journals; of others only fingerprints, so that the chain still holds."
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write the whole ledger as of one instant, and tell the head that it ends with."""
    if as_json and target is None:
        fail("--json needs --out: standard output is where the export goes")
    exporting = Export(kind, SystemClock(), organisation)
    with _reporting_failures(), _progress(as_json=as_json) as progress, _opened(target) as stream:
        asyncio.run(_export(_engine_url(data_dir), exporting, stream, progress))
    if exporting.head is None:
        return
    view = HeadView(
        exporting.head.batch_no,
        exporting.head.journal_no,
        exporting.head.hash.hex(),
        exporting.head.at.isoformat(),
    )
    if as_json:
        print(msgspec.json.encode(view).decode())
    else:
        err.print(f"{view.journal_no:,} journals, head [bold]{view.hash}[/]", soft_wrap=True)


def _engine_url(data_dir: Path | None) -> str:
    """The database of the platform that runs on the data folder, or that the environment names."""
    settings = RunFolder(resolve_data_dir(data_dir)).read_settings()
    url = settings.engine_database_url if settings is not None else read_settings().engine_database_url
    if not url:
        fail("no ledger is within reach: start the platform, or set AGIO_ENGINE_DATABASE_URL", code=3)
    return url


async def _verify_database(url: str, heads: list[bytes], progress: Progress) -> Verdict:
    database = Database(url, name="agio ledger")
    await database.open()
    try:
        async with snapshot(database) as tx:
            totals = await read_totals(tx)
            task = progress.add_task("verifying", total=None)

            def tell(step: str, journals: int) -> None:
                count = f": {journals:,} of {totals.journals:,} journals" if journals else ""
                progress.update(task, description=f"{step}{count}")

            findings = await verify_ledger(tx, known_heads=heads, tell=tell)
            now = await read_head(tx)
    finally:
        await database.close()
    return Verdict(not findings, findings, totals.journals, totals.links, now.hash.hex())


def _verify_file(file: Path, heads: list[bytes]) -> Verdict:
    with file.open("rb") as lines:
        report = verify_lines(lines, heads)
    return Verdict(not report.findings, report.findings, report.journals, report.links, report.head)


async def _export(url: str, exporting: Export, stream: BinaryIO, progress: Progress) -> None:
    database = Database(url, name="agio ledger")
    await database.open()
    task = progress.add_task("exporting", total=None)

    def tell(done: int, total: int) -> None:
        progress.update(task, description=f"exporting: {done:,} of {total:,} journals")

    try:
        async with snapshot(database) as tx:
            async for chunk in exporting.chunks(tx, tell):
                stream.write(chunk)
    finally:
        await database.close()


@contextmanager
def _opened(target: Path | None) -> Iterator[BinaryIO]:
    """A file that appears only when it is complete, or standard output."""
    if target is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _progress(*, as_json: bool) -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=as_json or not err.is_terminal) as progress:
        yield progress


@contextmanager
def _reporting_failures() -> Iterator[None]:
    try:
        yield
    except (psycopg.Error, Problem) as error:
        fail(f"the database cannot be read: {error}")
    except OSError as error:
        fail(str(error))


def _read_hash(text: str) -> bytes:
    try:
        known = bytes.fromhex(text)
    except ValueError:
        known = b""
    if len(known) != 32:
        fail(f"--head {text}: a head is 64 hexadecimal digits, as `agio ledger head` shows it", code=2)
    return known


def _show(verdict: Verdict) -> None:
    for finding in verdict.findings:
        out.print(f"[bold red]✗[/] invariant {finding.invariant}: ", end="", soft_wrap=True)
        out.print(finding.what, markup=False, soft_wrap=True)
    if verdict.intact:
        out.print(f"[bold green]✓[/] {verdict.journals:,} journals in {verdict.links:,} links, all sound")
    if verdict.head is not None:
        out.print(f"head {verdict.head}", soft_wrap=True)
