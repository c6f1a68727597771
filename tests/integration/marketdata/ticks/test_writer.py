"""The writer: everything once, whatever happens to it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import psycopg
import pytest
from tests.conftest import CHECKOUT
from tests.integration.marketdata.ticks.tick_world import LIMITS, SYMBOL, TickWorld, some_ticks

from agio.marketdata.errors import StaleWriter, TickStoreUnavailable
from agio.marketdata.ticks.batches import QuoteTicks
from agio.marketdata.ticks.lake import ID_FILE, open_for_writing
from agio.marketdata.ticks.settings import TickStoreAddress
from agio.marketdata.ticks.writer import Acknowledged, Commit, TickGap, TickWriter

ALL = "select seq, venue_ns, received_us, price, size, side from lake.trade_ticks order by seq"


def expected(count: int) -> list[tuple[int, ...]]:
    ticks = some_ticks(1, count)
    columns = (
        ticks.sequences,
        ticks.venue_ns,
        ticks.received_us,
        ticks.price,
        ticks.size,
        ticks.side.astype(np.int64),
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))


class TestAppend:
    async def test_exact_duplicates_are_kept_and_another_reads_while_we_write(self, ticks: TickWorld) -> None:
        writer = await ticks.writer()

        for first in range(1, 4000, 1000):
            writer.append([some_ticks(first, 1000)])
            assert len(ticks.rows(ALL)) == first + 999

        assert ticks.rows(ALL) == expected(4000)
        assert len({row[1:] for row in expected(4000)}) < 4000

    async def test_what_is_offered_again_is_left_out(self, ticks: TickWorld) -> None:
        writer = await ticks.writer()
        writer.append([some_ticks(1, 700)])

        answers = writer.append([some_ticks(1, 700), some_ticks(501, 500), some_ticks(1001, 10)])

        assert answers == [
            Acknowledged(SYMBOL, 700, 0),
            Acknowledged(SYMBOL, 1000, 300),
            Acknowledged(SYMBOL, 1010, 10),
        ]
        assert ticks.rows(ALL) == expected(1010)

    async def test_missing_trades_are_refused_and_nothing_of_the_batch_is_written(
        self, ticks: TickWorld
    ) -> None:
        writer = await ticks.writer()
        writer.append([some_ticks(1, 10)])

        with pytest.raises(TickGap):
            writer.append([some_ticks(11, 5), some_ticks(17, 5)])

        assert ticks.rows(ALL) == expected(10)
        assert writer.append([some_ticks(17, 5)], after_gap=True)[0].written == 5

    async def test_symbols_and_epochs_have_positions_of_their_own(self, ticks: TickWorld) -> None:
        writer = await ticks.writer()

        writer.append([some_ticks(1, 5), some_ticks(1, 7, "ETH-USD"), some_ticks(1, 3, epoch="e2")])

        assert ticks.rows(
            "select symbol, epoch, count(*) from lake.trade_ticks group by all order by all"
        ) == [("BTC-USD", "e1", 5), ("BTC-USD", "e2", 3), ("ETH-USD", "e1", 7)]

    async def test_quotes_may_leave_sequences_out_and_are_written_once(self, ticks: TickWorld) -> None:
        writer = await ticks.writer()
        seq = np.array([5, 9, 100], dtype=np.int64)
        quotes = QuoteTicks(SYMBOL, "", seq, 2, 8, seq * 10, seq, seq + 1, seq, seq + 2, seq)

        assert writer.append([quotes])[0].written == 3
        assert writer.append([quotes])[0].written == 0
        assert ticks.rows("select seq, bid, ask from lake.quote_ticks order by seq") == [
            (5, 6, 7),
            (9, 10, 11),
            (100, 101, 102),
        ]

    async def test_lateness_is_known_across_batches(self, ticks: TickWorld) -> None:
        writer = await ticks.writer()
        writer.append([some_ticks(1, 30)])
        late = some_ticks(31, 2)
        late.venue_ns[:] = some_ticks(1, 30).venue_ns[-1] - np.array([5, 0])

        writer.append([late])

        assert ticks.rows("select seq, late_ns from lake.trade_ticks where late_ns > 0") == [(31, 5)]


class TestOneWriter:
    async def test_the_database_refuses_whoever_lost_the_lease(self, ticks: TickWorld) -> None:
        stale = await ticks.writer()
        stale.append([some_ticks(1, 10)])
        successor = await ticks.writer()

        with pytest.raises(StaleWriter):
            stale.append([some_ticks(11, 10)])

        successor.append([some_ticks(11, 10)])
        assert ticks.rows(ALL) == expected(20)

    async def test_a_node_with_another_folder_does_not_write_beside_the_store(self, ticks: TickWorld) -> None:
        (await ticks.writer()).append([some_ticks(1, 10)])
        elsewhere = TickStoreAddress(url=ticks.writer_address.url, folder=ticks.folder.parent / "other")

        with pytest.raises(TickStoreUnavailable, match="AGIO_TICK_DIR"):
            open_for_writing(elsewhere, LIMITS, await ticks.lease())

        assert not (elsewhere.folder / ID_FILE).exists()

    @pytest.mark.parametrize(
        ("role", "statement"),
        [
            ("agio_ticks", "delete from marketdata.trade"),
            ("agio_ticks", "select * from identity.api_key"),
            ("agio_ticks", "select * from ledger.entry"),
            ("agio_ticks_reader", "select * from custody.account"),
            ("agio_ticks_reader", "delete from ticks.ducklake_snapshot"),
            ("agio_ticks_reader", "create table ticks.mine (a int)"),
        ],
    )
    async def test_its_roles_can_do_nothing_else(self, ticks: TickWorld, role: str, statement: str) -> None:
        await ticks.writer()
        url = {"agio_ticks": ticks.writer_address.url, "agio_ticks_reader": ticks.reader_address.url}[role]
        open_for_writing(ticks.writer_address, LIMITS, await ticks.lease()).close()

        with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


class TestFailures:
    @pytest.mark.parametrize("is_after_commit", [True, False])
    async def test_a_commit_whose_answer_was_lost_is_not_repeated(
        self, ticks: TickWorld, monkeypatch: pytest.MonkeyPatch, is_after_commit: bool
    ) -> None:
        writer = await ticks.writer()
        writer.append([some_ticks(1, 10)])
        commit_once = TickWriter._commit_once
        failures = iter((True, True, False))

        def lose(self: TickWriter, write: Callable[[], Commit]) -> list[Acknowledged]:
            is_failing = next(failures, False)
            if is_failing and not is_after_commit:
                raise ConnectionError("server closed the connection unexpectedly")
            answer = commit_once(self, write)
            if is_failing:
                raise ConnectionError("server closed the connection unexpectedly")
            return answer

        monkeypatch.setattr(TickWriter, "_commit_once", lose)

        writer.append([some_ticks(11, 10)])

        assert ticks.rows(ALL) == expected(20)

    async def test_kill_9_in_the_middle_of_batches_loses_nothing_and_doubles_nothing(
        self, ticks: TickWorld
    ) -> None:
        acknowledged = 0
        for round_number in range(3):
            token = await ticks.lease()
            process = subprocess.Popen(  # noqa: ASYNC220 - it is killed below, on purpose
                [
                    sys.executable,
                    "-m",
                    "tests.integration.marketdata.ticks.writing_process",
                    ticks.writer_address.url,
                    str(ticks.folder),
                    str(token),
                ],
                cwd=CHECKOUT,
                stdout=subprocess.PIPE,
                env=dict(os.environ),
            )
            assert process.stdout is not None
            for _ in range(6 + round_number):
                acknowledged = max(acknowledged, int(process.stdout.readline()))
            process.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *(int(line) for line in process.stdout.read().split())])
            process.wait()

        rows = ticks.rows(ALL)

        assert len(rows) >= acknowledged > 3000
        assert rows == expected(len(rows))
