import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from tests.conftest import CHECKOUT, Databases
from tests.integration.marketdata.feeds.world import EVENTUALLY_SECONDS, eventually
from tests.integration.marketdata.world import (
    HEADER,
    ApiNode,
    Engine,
    Listener,
    bars_differ_from_trades,
    stored_trades,
    told_until,
    write_tape,
)

from agio.kernel.problem import InvalidRequest
from agio.marketdata.api import NoMarketData, TapeError, TradeBatch
from agio.marketdata.errors import InstrumentMismatch
from agio.marketdata.events import PRESSURE_SUBJECT, RELIEF_SUBJECT, Pressure, Relief, encode, trades_subject
from agio.marketdata.replays import pressure
from agio.marketdata.replays.requests import ReplayRunning, read_zone
from agio.marketdata.service import MarketDataService
from agio.marketdata.tape.files import open_tape
from agio.marketdata.tape.survey import TapeLimits
from agio.marketdata.tape.trades import read_trades
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock
from agio.platform.db import Database
from agio.platform.embedded.postgres import EmbeddedPostgres
from agio.platform.migrations import migrate

ES = "market/es_ticks_2013-09-01_to_03_0830.csv.gz"
EURUSD = "market/eurusd_histdata_2020-01-30_quotes.parquet"


class TestTheRecordedTape:
    async def test_every_trade_once_in_order_with_its_duplicates(
        self, engine_database: Database, bus: Bus, real_data: Path
    ) -> None:
        listener, told = Listener(), []

        async def hear(_: str, payload: bytes) -> None:
            batch = msgspec.msgpack.decode(payload, type=TradeBatch)
            assert len(batch.trades) <= 1000
            assert len(listener.trades["ES"]) >= batch.last_seq, "the listener decides first"
            told.append((batch.first_seq, len(batch.trades)))

        await bus.subscribe(trades_subject("ES"), hear)
        async with Engine(engine_database, bus, listeners=[listener]) as engine:
            replay = await engine.requests.start(str(real_data / ES), speed=0)
            over = await engine.finished(replay)
            await eventually(lambda: sum(count for _, count in told) >= 141_996)

        assert (over.state, over.done, over.total) == ("done", 141_996, 141_996)
        stored = await stored_trades(engine_database, "ES")
        assert [seq for seq, _, _ in stored] == list(range(1, 141_997))
        assert sum(size for _, _, size in stored) == 444_453
        with open_tape(str(real_data / ES)) as tape:
            recorded = list(read_trades(tape, read_zone("UTC"), TapeLimits(), 2, 0))
        assert [(price, size) for _, price, size in stored] == [(one.price, one.size) for one in recorded]
        assert listener.trades["ES"] == recorded
        assert sum(count for _, count in told) == 141_996
        assert await bars_differ_from_trades(engine_database, "ES") == 0

    async def test_quotes_are_told_to_every_node(
        self, engine_database: Database, app_database: Database, bus: Bus, real_data: Path
    ) -> None:
        node = ApiNode(app_database, bus)
        async with Engine(engine_database, bus) as engine:
            replay = await engine.requests.start(str(real_data / EURUSD), speed=0)
            over = await engine.finished(replay)
            await eventually(lambda: told_until(engine, "EURUSD") == over.last_ns)
            service = MarketDataService(app_database, node.directory, node.view, node.requests, node.settings)
            quote = await service.quote("EURUSD")
            with pytest.raises(NoMarketData):
                await service.latest_trade("EURUSD")

        assert (over.state, over.done) == ("done", 99_308)
        assert quote.venue_time == "2020-01-31T16:59:56.198000Z"
        assert quote.bid is not None
        assert len(quote.bid.partition(".")[2]) == 5


class Holder(Listener):
    """Lets the tape go only so far."""

    may_hear = 0

    async def on_trades(self, symbol: str, batch: TradeBatch) -> None:
        await eventually(lambda: batch.first_seq <= self.may_hear)
        await super().on_trades(symbol, batch)


class TestResume:
    async def test_kill_9_of_the_engine_loses_and_repeats_nothing(
        self, databases: Databases, engine_database: Database, bus: Bus, nats_url: str, tmp_path: Path
    ) -> None:
        rows = write_tape(tmp_path / "kill_engine.csv", 30_000)
        requests = ApiNode(engine_database, bus).requests
        replay = await requests.start(str(tmp_path / "kill_engine.csv"), speed=25)
        environment = {
            **os.environ,
            "DATABASE_URL": databases.engine_url,
            "NATS_URL": nats_url,
            "PYTHONPATH": str(CHECKOUT),
        }
        command = [sys.executable, "-m", "tests.integration.marketdata.engine_process"]
        positions = []
        for _ in range(3):
            process = subprocess.Popen(command, env=environment, cwd=CHECKOUT)  # noqa: ASYNC220
            await progressed(requests, replay.replay_id, positions[-1] if positions else 0)
            process.kill()
            process.wait()
            positions.append((await requests.get(replay.replay_id)).done)
        async with engine_database.transaction() as tx:
            await tx.execute("update marketdata.replay set speed = 0")
        process = subprocess.Popen(command, env=environment, cwd=CHECKOUT)  # noqa: ASYNC220
        try:
            over = await Engine(engine_database, bus).finished(replay)
        finally:
            process.kill()
            process.wait()

        assert 0 < positions[0] < positions[1] < positions[2] < 30_000
        assert (over.state, over.done, over.heard) == ("done", 30_000, 30_000)
        stored = await stored_trades(engine_database, "KILL")
        assert stored == [(seq, *row) for seq, row in enumerate(rows, 1)]
        assert await bars_differ_from_trades(engine_database, "KILL") == 0

    async def test_kill_9_of_postgresql_loses_and_repeats_nothing(
        self, server_folder: Path, bus: Bus, tmp_path: Path
    ) -> None:
        server = EmbeddedPostgres(server_folder / "replay-kill")
        server.start()
        migrate(server.url())
        database = Database(server.url("agio_engine"))
        await database.open()
        rows = write_tape(tmp_path / "kill_postgres.csv", 30_000)
        listener = Holder()
        try:
            async with Engine(database, bus, listeners=[listener]) as engine:
                replay = await engine.requests.start(str(tmp_path / "kill_postgres.csv"), speed=250)
                done = 0
                for may_hear in (8_000, 16_000, 24_000):
                    listener.may_hear = may_hear
                    done = await progressed(engine.requests, replay.replay_id, done)
                    assert server.identity is not None
                    os.kill(server.identity.pid, signal.SIGKILL)
                    await asyncio.sleep(0.3)
                    server.start()
                listener.may_hear = 30_000
                over = await engine.finished(replay)
            stored = await stored_trades(database, "KILL")
            bad_bars = await bars_differ_from_trades(database, "KILL")
        finally:
            await database.close()
            server.stop()
            shutil.rmtree(server.folder, ignore_errors=True)

        assert (over.state, over.done) == ("done", 30_000)
        assert stored == [(seq, *row) for seq, row in enumerate(rows, 1)]
        assert [(trade.price, trade.size) for trade in listener.trades["KILL"]] == rows
        assert bad_bars == 0

    async def test_trades_that_were_not_heard_before_a_crash_are_offered_again(
        self, engine_database: Database, bus: Bus, tmp_path: Path
    ) -> None:
        write_tape(tmp_path / "heard.csv", 3000)
        engine = Engine(engine_database, bus)
        async with engine:
            over = await engine.finished(
                await engine.requests.start(str(tmp_path / "heard.csv"), speed=0, symbol="HEARD")
            )
        async with engine_database.transaction() as tx:
            await tx.execute(
                "update marketdata.replay set state = 'running', heard = 1200 where replay_id = %s",
                (over.replay_id,),
            )
        offered: list[TradeBatch] = []

        class Late(Listener):
            async def on_trades(self, symbol: str, batch: TradeBatch) -> None:
                offered.append(batch)

        async with Engine(engine_database, bus, listeners=[Late()]) as again:
            over = await again.finished(over)

        assert offered[0].first_seq == 1201
        assert sum(len(batch.trades) for batch in offered) == 1800
        assert (over.state, over.heard) == ("done", 3000)
        assert len(await stored_trades(engine_database, "HEARD")) == 3000


class TestStart:
    async def test_a_broken_line_is_named_and_nothing_is_played(
        self, engine_database: Database, bus: Bus, tmp_path: Path
    ) -> None:
        write_tape(tmp_path / "broken.csv", 500)
        lines = (tmp_path / "broken.csv").read_text().splitlines(keepends=True)
        lines[400] = lines[400].replace(",", ",x", 1)
        (tmp_path / "broken.csv").write_text("".join(lines))
        async with Engine(engine_database, bus) as engine:
            with pytest.raises(TapeError, match="line 401: price must be") as caught:
                await engine.requests.start(str(tmp_path / "broken.csv"), speed=0)

            assert caught.value.extra["line"] == 401
            assert await engine.requests.newest() is None
        assert await stored_trades(engine_database, "BROKEN") == []

    async def test_a_tape_changed_after_the_check_fails_with_a_reason(
        self, engine_database: Database, bus: Bus, tmp_path: Path
    ) -> None:
        path = tmp_path / "changed.csv"
        write_tape(path, 100)
        replay = await ApiNode(engine_database, bus).requests.start(str(path), speed=0)
        path.write_text(HEADER + "2013-09-01 17:00:00,1.00,1\n")
        async with Engine(engine_database, bus) as engine:
            over = await engine.finished(replay)

        assert (over.state, over.done) == ("failed", 0)
        assert over.problem is not None
        assert "changed" in over.problem

    async def test_one_replay_of_a_symbol_at_a_time(
        self, engine_database: Database, bus: Bus, tmp_path: Path
    ) -> None:
        write_tape(tmp_path / "one.csv", 1000)
        requests = ApiNode(engine_database, bus).requests
        await requests.start(str(tmp_path / "one.csv"), speed=1)

        with pytest.raises(ReplayRunning):
            await requests.start(str(tmp_path / "one.csv"), speed=1)

    async def test_a_symbol_of_another_venue_is_refused(
        self, engine_database: Database, bus: Bus, tmp_path: Path
    ) -> None:
        write_tape(tmp_path / "one.csv", 10)
        async with Engine(engine_database, bus) as engine:
            with pytest.raises(InstrumentMismatch, match="traded on SIM"):
                await engine.requests.start(str(tmp_path / "one.csv"), speed=1, symbol="BTC-USD")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"speed": float("nan")},
            {"speed": -1.0},
            {"speed": 1e12},
            {"symbol": "no way"},
            {"time_zone": "../../etc/passwd"},
            {"time_zone": "Mars/Olympus"},
        ],
    )
    async def test_wrong_parameters_are_refused(
        self, engine_database: Database, bus: Bus, tmp_path: Path, wrong: dict[str, object]
    ) -> None:
        write_tape(tmp_path / "one.csv", 10)
        requests = ApiNode(engine_database, bus).requests

        with pytest.raises(InvalidRequest):
            await requests.start(str(tmp_path / "one.csv"), **{"speed": 1.0, **wrong})  # type: ignore[arg-type]


class TestPlaying:
    async def test_a_second_replay_goes_on_with_the_sequence_and_draws_the_bars_anew(
        self, engine_database: Database, bus: Bus, tmp_path: Path
    ) -> None:
        write_tape(tmp_path / "twice.csv", 2000)
        async with Engine(engine_database, bus) as engine:
            for _ in range(2):
                over = await engine.finished(
                    await engine.requests.start(str(tmp_path / "twice.csv"), speed=0)
                )
            async with engine_database.transaction() as tx:
                trades_in_bars = await tx.value(
                    "select sum(trades) from marketdata.bar where symbol = 'TWICE' and interval = '1s'"
                )

        assert over.first_seq == 2001
        stored = await stored_trades(engine_database, "TWICE")
        assert [seq for seq, _, _ in stored] == list(range(1, 4001))
        assert 1900 < trades_in_bars < 2000

    async def test_a_replay_keeps_its_pace(self, engine_database: Database, bus: Bus, tmp_path: Path) -> None:
        write_tape(tmp_path / "pace.csv", 90, step_ms=20_000)
        async with Engine(engine_database, bus) as engine:
            started = time.monotonic()
            replay = await engine.requests.start(str(tmp_path / "pace.csv"), speed=400)
            over = await engine.finished(replay)
            took = time.monotonic() - started

        assert over.state == "done"
        assert 1.4 < took < 300, "580 s of venue time at 400 times the speed"

    async def test_a_canceled_replay_stops_and_keeps_what_it_played(
        self, engine_database: Database, bus: Bus, tmp_path: Path
    ) -> None:
        write_tape(tmp_path / "stop.csv", 3000)
        async with Engine(engine_database, bus) as engine:
            replay = await engine.requests.start(str(tmp_path / "stop.csv"), speed=5)
            await progressed(engine.requests, replay.replay_id, 0)
            await engine.requests.cancel(replay.replay_id)
            await eventually(lambda: not engine.duty._playing)
            before = await stored_trades(engine_database, "STOP")
            await asyncio.sleep(0.3)

            assert (await engine.requests.get(replay.replay_id)).state == "canceled"
        assert 0 < len(before) < 3000
        assert await stored_trades(engine_database, "STOP") == before

    async def test_the_tape_waits_while_a_gateway_presses(
        self, engine_database: Database, bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pressure, "MAX_PRESS_SECONDS", 3_600.0)
        write_tape(tmp_path / "press.csv", 20_000)
        async with Engine(engine_database, bus) as engine:
            gate = engine.duty._stage.gate
            await eventually(lambda: bool(gate._subscriptions))
            until_ms = SystemClock().now_micros() // 1000 + 3_600_000
            await bus.publish(PRESSURE_SUBJECT, encode(Pressure("node-1", until_ms)))
            await eventually(gate._is_pressed)
            replay = await engine.requests.start(str(tmp_path / "press.csv"), speed=0)
            await eventually(lambda: bool(engine.duty._playing))
            await asyncio.sleep(0.6)
            held = (await engine.requests.get(replay.replay_id)).done
            await bus.publish(RELIEF_SUBJECT, encode(Relief("node-1")))
            over = await engine.finished(replay)

        assert held == 0
        assert over.done == 20_000


async def progressed(requests: object, replay_id: str, beyond: int) -> int:
    """Wait until a replay is clearly further than before."""
    async with asyncio.timeout(EVENTUALLY_SECONDS):
        while True:
            try:
                done = (await requests.get(replay_id)).done  # type: ignore[attr-defined]
            except Exception:
                done = 0
            if done > beyond + 300:
                return int(done)
            await asyncio.sleep(0.02)
