"""Durable transfers per second through the ledger with all its checks, and how long each takes.

Each transfer is one journal of two legs between two of 2,000 customers' accounts: ids and bodies compared
with what stands, asset equality, limits at every committed prefix, hash chain, outbox. "hot": one of the two
is always the same account. Commands are made before the clock starts. PostgreSQL is our own, with its
production settings. "machine": a fixed loop, timed before each case; where its median is far above its best,
other work had the processor, and the figures are worth that much less.
"""

import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

import uvloop

from agio.kernel.ids import JournalId, LedgerAccountId, OrganisationId
from agio.ledger.api import CUSTOMER, Leg, OpenAccount, PostJournal
from agio.ledger.service import LedgerService
from agio.platform.clock import SystemClock
from agio.platform.db import Database
from agio.platform.embedded.postgres import EmbeddedPostgres
from agio.platform.migrations import migrate
from benchmarks.harness import Report, parse_arguments, quantile, start_report
from benchmarks.ledger_http import measure_http
from benchmarks.ledger_peers import measure_one_by_one, measure_sqlite

ACCOUNTS: Final = 2_000
FUNDS: Final = 10**12
ORGANISATION: Final = OrganisationId("org_bench")
DAY: Final = date(2026, 1, 2)
CALLERS: Final = (1, 16, 256)
BATCHES: Final = (1, 100, 1_000, 8_189)
IN_FLIGHT: Final = 2
"""Clients that send batches: while one batch is written, the next is made ready."""
SPREADS: Final = ("uniform", "hot")
Item = TypeVar("Item")


def main(argv: Sequence[str]) -> None:
    options = parse_arguments(__doc__, argv)
    report = start_report("ledger", argv)
    seconds = 0.4 if options.quick else 5.0
    with tempfile.TemporaryDirectory(prefix="agio-bench-") as folder:
        Path(folder).chmod(0o711)
        measure_disk(report, Path(folder))
        server = EmbeddedPostgres(Path(folder))
        server.start()
        try:
            migrate(server.url())
            uvloop.run(_measure(report, server, seconds))
            best = uvloop.run(measure_one_by_one(report, server.url(), 256, seconds))
        finally:
            server.stop()
        measure_sqlite(report, Path(folder), seconds)
    uvloop.run(measure_http(report, seconds))
    _judge(report, best)
    report.print(as_json=options.json)


def measure_disk(report: Report, folder: Path) -> None:
    """What one durable write costs on this disk at the least."""
    latencies = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(b"\0" * 8192)
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            latencies.append(time.perf_counter() - started)
    _latencies(report, "disk", "fdatasync", latencies)


class Transfers:
    """Makes transfers that were never made before."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        self._numbers = count()

    def make(self, spread: str, amount: int) -> list[PostJournal]:
        return [self._one(spread) for _ in range(amount)]

    def _one(self, spread: str) -> PostJournal:
        number = next(self._numbers)
        first = 0 if spread == "hot" else self._random.randrange(ACCOUNTS)
        second = (first + 1 + self._random.randrange(ACCOUNTS - 1)) % ACCOUNTS
        if self._random.random() < 0.5:
            first, second = second, first
        return PostJournal(
            JournalId(f"jnl_{number:020d}"),
            ORGANISATION,
            "sandbox",
            (Leg(address(first), -1), Leg(address(second), 1)),
            DAY,
            DAY,
            "bench",
        )


def address(number: int) -> LedgerAccountId:
    return LedgerAccountId(f"acc_{number:020d}:USD")


async def _measure(report: Report, server: EmbeddedPostgres, seconds: float) -> None:
    transfers = Transfers()
    loops: list[float] = []
    async with _open_ledger(server) as (database, ledger):
        acknowledged = await _fund(database, ledger)
        for spread in SPREADS:
            for callers in CALLERS:
                loops += [_time_loop() for _ in range(5)]
                acknowledged += await _measure_callers(report, ledger, transfers, spread, callers, seconds)
            for size in BATCHES:
                loops += [_time_loop() for _ in range(5)]
                acknowledged += await _measure_batches(report, ledger, transfers, spread, size, seconds)
    report.figure("machine", "fixed loop, best", min(loops), "ms")
    report.figure("machine", "fixed loop, median", quantile(loops, 0.5), "ms")
    engine = Database(server.url("agio_engine"), max_size=1, name="bench-check")
    await engine.open()
    await _check(report, engine, acknowledged)
    await engine.close()


@asynccontextmanager
async def _open_ledger(server: EmbeddedPostgres) -> AsyncIterator[tuple[Database, LedgerService]]:
    database = Database(server.url("agio_app"), min_size=4, max_size=8, name="bench")
    await database.open()
    ledger = LedgerService(database, SystemClock())
    yield database, ledger
    await ledger.drain()
    await database.close()


async def _fund(database: Database, ledger: LedgerService) -> int:
    bank = LedgerAccountId("org_bench:bank:USD")
    accounts = [OpenAccount(bank, "org_bench", "USD", ORGANISATION, "sandbox")]
    accounts += [
        OpenAccount(address(number), address(number)[:24], "USD", ORGANISATION, "sandbox", CUSTOMER)
        for number in range(ACCOUNTS)
    ]
    funding = [
        PostJournal(
            JournalId(f"fund-{number}"),
            ORGANISATION,
            "sandbox",
            (Leg(bank, -FUNDS), Leg(address(number), FUNDS)),
            DAY,
            DAY,
            "bench",
        )
        for number in range(ACCOUNTS)
    ]
    async with database.transaction() as tx:
        await ledger.open_accounts(tx, accounts)
    async with database.transaction() as tx:
        results = await ledger.apply(tx, funding)
    return sum(result.is_applied for result in results)


async def _measure_callers(
    report: Report, ledger: LedgerService, transfers: Transfers, spread: str, callers: int, seconds: float
) -> int:
    """Callers that each send one transfer, wait for its answer, and send the next."""

    async def send(command: PostJournal) -> int:
        (await ledger.submit(command)).require()
        return 1

    stock = iter(transfers.make(spread, int(seconds * (3_000 if callers < 100 else 45_000))))
    done, elapsed, latencies = await run_clients(callers, stock, send, seconds)
    case = f"{callers} callers, {spread}"
    report.figure(case, "acknowledged", done / elapsed, "transfers/s")
    _latencies(report, case, "answer", latencies)
    return done


async def _measure_batches(
    report: Report, ledger: LedgerService, transfers: Transfers, spread: str, size: int, seconds: float
) -> int:
    """Clients that each send a batch, wait until it is durable, and send the next."""

    async def send(batch: list[PostJournal]) -> int:
        return sum(result.is_applied for result in await ledger.submit_many(batch))

    rate = {1: 3_000, 100: 30_000}.get(size, 60_000)
    wanted = max(2 * IN_FLIGHT, int(seconds * rate / size))
    stock = iter([transfers.make(spread, size) for _ in range(wanted)])
    done, elapsed, latencies = await run_clients(IN_FLIGHT, stock, send, seconds)
    case = f"batches of {size:,}, {spread}"
    report.figure(case, "acknowledged", done / elapsed, "transfers/s")
    _latencies(report, case, "batch", latencies)
    return done


async def run_clients(
    clients: int, stock: Iterator[Item], send: Callable[[Item], Awaitable[int]], seconds: float
) -> tuple[int, float, list[float]]:
    """Let clients send what is in stock until the time or the stock is over: done, seconds, latencies."""
    latencies: list[float] = []
    started = time.perf_counter()
    deadline = started + seconds

    async def client() -> int:
        done = 0
        while (begun := time.perf_counter()) < deadline:
            item = next(stock, None)
            if item is None:
                break
            done += await send(item)
            latencies.append(time.perf_counter() - begun)
        return done

    done = sum(await asyncio.gather(*(client() for _ in range(clients))))
    return done, time.perf_counter() - started, latencies


def _time_loop() -> float:
    """Milliseconds of a loop that always does the same."""
    begun = time.perf_counter()
    total = 0
    for number in range(100_000):
        total += number
    return (time.perf_counter() - begun) * 1000


def _latencies(report: Report, case: str, what: str, latencies: Sequence[float]) -> None:
    report.figure(case, f"{what} p50", quantile(latencies, 0.5) * 1000, "ms")
    report.figure(case, f"{what} p99", quantile(latencies, 0.99) * 1000, "ms")


async def _check(report: Report, engine: Database, acknowledged: int) -> None:
    """Everything acknowledged is there once, and the books balance."""
    async with engine.transaction() as tx:
        journals = await tx.value("select count(*) from ledger.journal")
        in_chain = await tx.value("select sum(journal_count) from ledger.chain")
        told = await tx.value("select sum(weight) / 2 from platform.outbox")
        off = await tx.value(
            "select abs(sum(credits_posted) - sum(debits_posted))::bigint from ledger.account"
        )
    report.figure("checked afterwards", "journals stored", journals, "journals")
    is_held = (journals, int(in_chain), int(told), off) == (acknowledged, acknowledged, acknowledged, 0)
    report.bar("all acknowledged stored, chained and told", f"= {acknowledged:,}", journals, is_held=is_held)


def _judge(report: Report, one_by_one: float) -> None:
    figures = {(str(each["case"]), str(each["metric"])): float(str(each["value"])) for each in report.results}
    uniform = figures["256 callers, uniform", "acknowledged"]
    hot = figures["256 callers, hot", "acknowledged"]
    p99 = max(figures[f"256 callers, {spread}", "answer p99"] for spread in SPREADS)
    batches = figures["batches of 1,000, uniform", "acknowledged"]
    http = figures["HTTP batches of 1,000", "acknowledged"]
    memory = figures["HTTP batches of 1,000", "API process, largest"]
    report.bar("256 callers", ">= 25,000/s", uniform, is_held=uniform >= 25_000)
    report.bar("256 callers, p99", "< 20 ms", p99, is_held=p99 < 20)
    report.bar("hot beside uniform", ">= 0.7", hot / uniform, is_held=hot >= 0.7 * uniform)
    report.bar("batches of 1,000", ">= 40,000/s", batches, is_held=batches >= 40_000)
    report.bar("beside one by one", ">= 10 x", uniform / one_by_one, is_held=uniform >= 10 * one_by_one)
    report.bar("secured HTTP batches", ">= 15,000/s", http, is_held=http >= 15_000)
    report.bar("API memory", "< 300 MB", memory, is_held=memory < 300)


if __name__ == "__main__":
    main(sys.argv[1:])
