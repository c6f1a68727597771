"""`agio chaos`: hurt the platform on purpose; its ledger and its streams must keep every promise."""

import asyncio
import logging
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import psycopg
import structlog
import typer

from agio.app.chaos.history import HistoryReport, run_history
from agio.app.chaos.rounds import Round, run_rounds
from agio.app.chaos.stand import StandFailed
from agio.app.chaos.streams.report import StreamReport, StreamRound
from agio.app.cli.console import AsJson, err, fail, out
from agio.platform.embedded.postgres import EmbeddedPostgres, PostgresFailed
from agio.platform.migrations import migrate

_BROKEN = 1
_TERMINATED = 143
_SHOWN_VIOLATIONS = 20


def register(program: typer.Typer) -> None:
    chaos = typer.Typer(help="Crash runs, on servers of their own.", no_args_is_help=True)
    # With one verb only, the group would vanish.
    chaos.callback()(_explain)
    chaos.command("ledger")(ledger)
    chaos.command("stream")(stream)
    program.add_typer(chaos, name="chaos")


def _explain() -> None:
    """Crash runs, on servers of their own: the platform that runs here is left alone."""


def ledger(
    rounds: Annotated[int, typer.Option(help="Rounds of traffic and faults.", min=1)] = 10,
    seed: Annotated[int, typer.Option(help="Seed of faults and traffic.")] = 1,
    history: Annotated[
        int,
        typer.Option(
            help="Instead: so many concurrent commands, replayed in commit order on the model.", min=0
        ),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Kill, stall and starve the platform under writing clients; after each round check every invariant.

    API, engine, PostgreSQL and NATS are killed with -9 or stopped, clocks step back, the disk fills up.
    Clients keep what they were told in a synced file. Ends with code 1 when a promise was broken.
    """
    # Asked to end, everything that was started and mounted must go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    is_clean = (
        _check_history(history, seed, as_json=as_json) if history else _crash(rounds, seed, as_json=as_json)
    )
    if not is_clean:
        raise typer.Exit(_BROKEN)


def stream(
    rounds: Annotated[int, typer.Option(help="Rounds of three faults.", min=1)] = 3,
    seed: Annotated[int, typer.Option(help="Seed of faults, market and orders.")] = 1,
    minutes: Annotated[
        float, typer.Option(help="Instead of rounds: go on for so long, then prove.", min=0)
    ] = 0.0,
    crowd: Annotated[int, typer.Option(help="Subscribers of each kind; there are 20 kinds.", min=1)] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the journals of a clean run, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Kill, stall, restart and restore the platform under subscribers, then prove what each of them got.

    API, engine, PostgreSQL and NATS are killed with -9 or stopped, nodes restart in turn, bus messages get
    lost, doubled and late, and a backup is restored, which begins new epochs. Every subscriber keeps a
    journal. Ends with code 1 when one of them missed, doubled or mixed up anything without being told, or
    when no reader was slow enough for its case to be proven; the journals are kept then.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    # That a bus goes away is no news here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    try:
        # The crowd needs the SDK, which lies beside the server, not in it.
        from agio.app.chaos.streams.run import run_stream_rounds  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        if missing.name != "agio_sdk":
            raise
        fail(f"the Python SDK is one of the subscribers: install agio-sdk ({missing})")
    try:
        tell = (lambda _: None) if as_json else _show_stream_round
        report = run_stream_rounds(rounds, seed, minutes, crowd, tell, keeps_journals=keep)
    except StandFailed as failure:
        fail(f"the platform could not be started: {failure}")
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        _show_stream_report(report)
    if not report.is_clean:
        raise typer.Exit(_BROKEN)


def _show_stream_round(each: StreamRound) -> None:
    reached = f"{each.reached_seconds:.1f} s" if each.reached_seconds is not None else "never"
    line = f"{each.number:>5}  all at the end of every log after {reached:>7}  {', '.join(each.faults)}"
    out.print(line, markup=False, soft_wrap=True)
    if each.late:
        err.print(f"       late: {', '.join(each.late)}", markup=False, soft_wrap=True)
    for case in each.unmet:
        err.print(f"       no reader was {case}", markup=False, soft_wrap=True)


def _show_stream_report(report: StreamReport) -> None:
    totals, bus = report.totals, report.bus
    out.print(
        f"{report.seconds:,.0f} s, {sum(len(each.faults) for each in report.rounds)} faults,"
        f" {report.subscribers} subscribers, {report.orders_placed:,} orders;"
        f" on the bus {bus['lost']:,} lost, {bus['doubled']:,} doubled, {bus['delayed']:,} late",
        soft_wrap=True,
    )
    closes = {name.removeprefix("closed_"): count for name, count in totals.items() if "closed_" in name}
    out.print(
        f"{report.durable:,} durable messages in {report.epochs} epochs; {totals['messages']:,} log messages,"
        f" {totals['books']:,} checksums ({totals['books_compared']:,} books compared whole) and"
        f" {totals['states']:,} values proven",
        soft_wrap=True,
    )
    out.print(
        f"{totals['connections']:,} connections, {totals['resumed']:,} channels resumed,"
        f" {totals['not_recovered']:,} told of a gap;"
        f" closed: {', '.join(f'{code} {count:,}' for code, count in sorted(closes.items()))}",
        soft_wrap=True,
    )
    slow = {name: f"{count:,}" for name, count in totals.items() if name.startswith("slow_")}
    out.print(
        f"slow readers: {slow['slow_closed']} closed with 4008, {slow['slow_returned']} logs resumed then;"
        f" {slow['slow_values_skipped']} told of skipped values, {slow['slow_values_renewed']} given newer;"
        f" {slow['slow_books_skipped']} told of a skipped book, {slow['slow_books_renewed']} given it whole",
        soft_wrap=True,
    )
    for violation in report.violations[:_SHOWN_VIOLATIONS]:
        out.print(f"[bold red]✗[/] {violation}", soft_wrap=True)
    if report.is_clean:
        out.print("[bold green]✓[/] every subscriber: every log exactly once and in order, every book right")
    if report.journals is not None:
        out.print(
            f"{len(report.violations)} violations; journals and logs: {report.journals}", soft_wrap=True
        )


def _crash(rounds: int, seed: int, *, as_json: bool) -> bool:
    if not as_json:
        out.print(_HEADER, markup=False, soft_wrap=True)
    try:
        report = run_rounds(rounds, seed, (lambda _: None) if as_json else _show_round)
    except StandFailed as failure:
        fail(f"the platform could not be started: {failure}")
    if as_json:
        print(msgspec.json.encode(report).decode())
        return report.is_clean
    recoveries = sorted(each.recovery_seconds for each in report.rounds if each.recovery_seconds is not None)
    total = sum(each.acknowledged for each in report.rounds)
    if recoveries:
        middle, last = recoveries[len(recoveries) // 2], recoveries[-1]
        out.print(f"{total:,} acknowledged; recovery median {middle:.1f} s, longest {last:.1f} s")
    out.print(f"disk: {report.disk}", soft_wrap=True)
    verdict = (
        "[bold green]✓[/] every promise kept" if report.is_clean else "[bold red]✗[/] promises were broken"
    )
    out.print(verdict)
    return report.is_clean


_HEADER = (
    f"{'round':>5} {'acked':>7} {'refused':>7} {'replays':>7} {'recovery':>8} {'ready':>7} {'told':>7}"
    f" {'journals':>9} {'lost':>4} {'dbl':>4} {'part':>4} {'other':>5}  faults"
)


def _show_round(each: Round) -> None:
    recovery = f"{each.recovery_seconds:.2f} s" if each.recovery_seconds is not None else "never"
    ready = f"{each.ready_seconds:.2f} s" if each.ready_seconds is not None else "never"
    told = f"{each.told_seconds:.2f} s" if each.told_seconds is not None else "never"
    line = (
        f"{each.number:>5} {each.acknowledged:>7,} {each.refused:>7,} {each.replayed:>7,}"
        f" {recovery:>8} {ready:>7} {told:>7}"
        f" {each.journals:>9,} {len(each.lost):>4} {len(each.doubled):>4} {len(each.partial):>4}"
        f" {len(each.broken):>5}  {', '.join(each.faults)}"
    )
    out.print(line, markup=False, soft_wrap=True)
    for what in (*each.lost, *each.doubled, *each.partial, *each.broken):
        err.print(f"      {what}", markup=False, soft_wrap=True)


def _check_history(operations: int, seed: int, *, as_json: bool) -> bool:
    with tempfile.TemporaryDirectory(prefix="agio-history-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        server = EmbeddedPostgres(folder / "data")
        try:
            server.start()
            migrate(server.url())
            report = asyncio.run(
                run_history(server.url("agio_engine"), server.url(), folder, operations=operations, seed=seed)
            )
        except (PostgresFailed, psycopg.Error) as error:
            fail(str(error))
        finally:
            server.stop()
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        _show_history(report)
    return report.is_clean


def _show_history(report: HistoryReport) -> None:
    rate = report.operations / report.seconds if report.seconds else 0.0
    out.print(
        f"{report.operations:,} operations in {report.batches:,} batches,"
        f" {report.seconds:.1f} s ({rate:,.0f}/s)"
    )
    for code, count in report.codes.items():
        out.print(f"  {code:20} {count:>9,}")
    for what in (*report.differences, *report.findings):
        out.print(f"[bold red]✗[/] {what}", soft_wrap=True)
    if report.is_clean:
        out.print("[bold green]✓[/] every answer, balance, hold and journal equals the model's")
