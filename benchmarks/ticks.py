"""The tick store: trades in, bars out, a second process reading, a real tape back to the last lot."""

import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import psutil
import psycopg

from agio.marketdata.ticks.batches import TradeTicks
from agio.marketdata.ticks.candles import fold_candles
from agio.marketdata.ticks.duck import DuckLimits
from agio.marketdata.ticks.duty import WRITER_LIMITS
from agio.marketdata.ticks.intervals import read_interval
from agio.marketdata.ticks.lake import attach_store, open_for_reading, open_for_writing
from agio.marketdata.ticks.settings import TickStoreAddress
from agio.marketdata.ticks.sources import TickSpan, TradeSource
from agio.marketdata.ticks.writer import TickWriter
from agio.platform.embedded.postgres import EmbeddedPostgres
from agio.platform.migrations import migrate, role_url
from benchmarks.harness import ROOT, Report, parse_arguments, real_data, start_report

TRADES = 5_000_000
BATCH = 100_000
BATCHES_A_COMMIT = 5
TRADES_GOAL = 1_000_000
BARS_GOAL_SECONDS = 0.4
SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
SYMBOL, TAPE_SYMBOL = "BTC-USD", "ES"
TAPE = "market/es_ticks_2013-09-01_to_03_0830.csv.gz"
READER_LIMITS = DuckLimits()


def main(argv: Sequence[str]) -> None:
    options = parse_arguments(__doc__, argv)
    report = start_report("ticks", argv)
    with tempfile.TemporaryDirectory(prefix="agio-bench-") as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "data")
        server.start()
        try:
            migrate(server.url())
            bench = _Bench(report, server.url(), Path(folder) / "ticks", is_quick=options.quick)
            bench.run()
        finally:
            server.stop()
    report.print(as_json=options.json)


class _Bench:
    def __init__(self, report: Report, owner_url: str, folder: Path, *, is_quick: bool) -> None:
        self.report = report
        self.is_quick = is_quick
        self.address = TickStoreAddress(url=role_url(owner_url, "agio_ticks"), folder=folder)
        self.reader_url = role_url(owner_url, "agio_ticks_reader")
        self.engine_url = role_url(owner_url, "agio_engine")
        with psycopg.connect(self.engine_url) as connection:
            row = connection.execute(
                "select platform.acquire_lease('ticks', 'bench', interval '1 hour')"
            ).fetchone()
        assert row is not None
        token = row[0]
        self.writer = TickWriter(
            lambda: open_for_writing(self.address, WRITER_LIMITS, token), self.address.data_folder
        )

    def run(self) -> None:
        self.write()
        self.fold()
        if not self.is_quick:
            self.write_beside_a_reader()
        self.return_the_tape()
        memory = psutil.Process().memory_info().rss / 2**20
        self.report.figure("process", "memory, writer and reader in one", memory, "MiB")
        self.writer.close()

    def write(self) -> None:
        """Batches of 100,000, as many to a commit as had come together; each commit is on disk when told."""
        batches = [_batch(SYMBOL, first, BATCH) for first in range(1, TRADES + 1, BATCH)]
        self.writer.positions()
        for together in (1, BATCHES_A_COMMIT):
            part = batches[: 10 * together] if together == 1 else batches[10:]
            began = time.perf_counter()
            for place in range(0, len(part), together):
                self.writer.append(part[place : place + together])
            rate = len(part) * BATCH / (time.perf_counter() - began)
            self.report.figure("write", f"{together * BATCH:,} a commit", rate, "trades/s")
        is_held = rate >= TRADES_GOAL
        self.report.bar("trades in, durable", f">= {TRADES_GOAL:,} /s", rate, is_held=is_held)
        size = sum(file.stat().st_size for file in self.address.data_folder.rglob("*.parquet"))
        self.report.figure("write", "on disk", size / TRADES, "bytes/trade")

    def fold(self) -> None:
        """All that a request for bars does but its HTTP."""
        self._mark(SYMBOL, TRADES)
        connection = self._reader()
        interval = read_interval("60s", "UTC")
        first_ns, last_ns = interval.floor(START_NS), interval.ceil(START_NS + TRADES * SECOND_NS // 50 + 1)
        best = cpu = float("inf")
        for _ in range(5 if self.is_quick else 20):
            began, began_cpu = time.perf_counter(), time.process_time()
            source = TradeSource(connection, SYMBOL, TickSpan(first_ns, last_ns))
            bars = fold_candles(connection, source, interval, first_ns, last_ns)
            best = min(best, time.perf_counter() - began)
            cpu = min(cpu, time.process_time() - began_cpu)
        assert sum(bar[7] for bar in bars) == TRADES
        connection.close()
        self.report.figure("bars", f"{len(bars):,} minutes of {TRADES:,} trades, best", best, "s")
        self.report.figure("bars", "the same in CPU", cpu, "s")
        self.report.bar(
            "1-minute OHLCV of 5 million",
            f"<= {BARS_GOAL_SECONDS} s",
            best,
            is_held=best <= BARS_GOAL_SECONDS,
        )

    def write_beside_a_reader(self) -> None:
        """A second process sums up the table again and again; it must see whole commits only."""
        symbol = "ETH-USD"
        batches = [_batch(symbol, first, BATCH) for first in range(1, 2_000_001, BATCH)]
        command = [
            sys.executable,
            "-m",
            "benchmarks.ticks",
            self.reader_url,
            str(self.address.folder),
            symbol,
        ]
        reader = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert reader.stdout is not None
        reader.stdout.readline()
        began = time.perf_counter()
        for place in range(0, len(batches), BATCHES_A_COMMIT):
            self.writer.append(batches[place : place + BATCHES_A_COMMIT])
        rate = len(batches) * BATCH / (time.perf_counter() - began)
        time.sleep(0.5)
        output, _ = reader.communicate()
        seen = [count for count, _ in json.loads(output)]
        self.report.figure("write", "while another process reads", rate, "trades/s")
        self.report.figure("read", "answers meanwhile", len(seen), "sums")
        whole = all(count % (BATCHES_A_COMMIT * BATCH) == 0 for count in seen)
        is_held = whole and seen == sorted(seen) and len(set(seen)) > 1 and seen[-1] == 2_000_000
        self.report.bar("a reader sees whole commits, in order", "2,000,000", seen[-1], is_held=is_held)

    def return_the_tape(self) -> None:
        """The recorded session with its exact duplicates, through the store, offered twice."""
        tape = real_data() / TAPE
        if not tape.exists():
            print(f"the recorded tape {TAPE} is not here: set AGIO_TEST_DATA to the folder that holds it")
            return
        read = (
            "from read_csv(?, columns={'moment': 'timestamp', 'price': 'decimal(18, 2)', 'size': 'bigint'})"
        )
        columns = duckdb.execute(
            f"select epoch_ns(moment) as moment, (price * 100)::bigint as price, size {read}", [str(tape)]
        ).fetchnumpy()
        count = len(columns["moment"])
        volume = int(columns["size"].sum())
        distinct = duckdb.execute(f"select count(*) from (select distinct * {read})", [str(tape)]).fetchone()
        nothing = np.zeros(count, np.int64)
        ticks = TradeTicks(
            TAPE_SYMBOL,
            "e1",
            1,
            2,
            0,
            np.ascontiguousarray(columns["moment"], np.int64),
            nothing,
            np.ascontiguousarray(columns["price"], np.int64),
            np.ascontiguousarray(columns["size"], np.int64),
            nothing.astype(np.uint8),
        )
        for _ in range(2):
            self.writer.append([ticks])
        self._mark(TAPE_SYMBOL, count)
        connection = self._reader()
        stored = connection.execute(
            "select count(*), sum(size)::bigint from lake.trade_ticks where symbol = ?", [TAPE_SYMBOL]
        ).fetchone()
        interval = read_interval("60s", "UTC")
        first_ns, last_ns = int(columns["moment"].min()), int(columns["moment"].max())
        span = interval.floor(first_ns), interval.ceil(last_ns + 1)
        bars = fold_candles(
            connection, TradeSource(connection, TAPE_SYMBOL, TickSpan(*span)), interval, *span
        )
        connection.close()
        assert distinct is not None
        self.report.figure("tape", "trades", count, "trades")
        self.report.figure("tape", "exact duplicates among them", count - distinct[0], "trades")
        is_held = stored == (count, volume) and sum(bar[5] for bar in bars) == volume
        self.report.bar(
            "the tape's volume comes back", f"= {volume:,}", stored[1] if stored else 0, is_held=is_held
        )

    def _reader(self) -> duckdb.DuckDBPyConnection:
        return _open_reader(self.reader_url, self.address.folder)

    def _mark(self, symbol: str, last_seq: int) -> None:
        """Tell readers that these trades are in the store, as the mover does."""
        with psycopg.connect(self.engine_url) as connection:
            connection.execute(
                "insert into marketdata.trade_stream (symbol, epoch, last_seq) values (%s, 'e1', %s)"
                " on conflict (symbol) do update set epoch = 'e1', last_seq = excluded.last_seq",
                (symbol, last_seq),
            )
            connection.execute(
                "insert into marketdata.tick_mark (kind, symbol, moved_seq) values ('trades', %s, %s)",
                (symbol, last_seq),
            )


def _open_reader(url: str, folder: Path) -> duckdb.DuckDBPyConnection:
    address = TickStoreAddress(url=url, folder=folder)
    connection = open_for_reading(address, READER_LIMITS)
    attach_store(connection, address)
    return connection


def _batch(symbol: str, first: int, count: int) -> TradeTicks:
    """Fifty trades a second that walk at random, as a busy instrument does."""
    chance = np.random.default_rng(first)
    place = np.arange(first, first + count, dtype=np.int64)
    return TradeTicks(
        symbol,
        "e1",
        first,
        2,
        8,
        START_NS + place * (SECOND_NS // 50),
        (START_NS + place * (SECOND_NS // 50)) // 1000 + 1500,
        6_400_000 + np.cumsum(chance.integers(-3, 4, count)),
        chance.integers(1, 500, count) * 100_000,
        chance.integers(1, 3, count).astype(np.uint8),
    )


def read_on(url: str, folder: str, symbol: str) -> None:
    """The second process: sums up until its input ends, then tells what it saw."""

    connection = _open_reader(url, Path(folder))
    print("ready", flush=True)
    seen = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        row = connection.execute(
            "select count(*), coalesce(sum(size), 0)::bigint from lake.trade_ticks where symbol = ?", [symbol]
        ).fetchone()
        seen.append(row)
        time.sleep(0.05)
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        read_on(*sys.argv[1:])
    else:
        main(sys.argv[1:])
