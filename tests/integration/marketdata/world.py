"""The market data parts of an engine and of an API process, as app/wiring puts them together."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from agio.ledger.service import LedgerService
from agio.marketdata.api import Fence, Trade, TradeBatch, TradeListener
from agio.marketdata.events import snapshot_subject
from agio.marketdata.instruments import InstrumentDirectory, InstrumentRegistry
from agio.marketdata.market_view import MarketView
from agio.marketdata.publisher import Publisher
from agio.marketdata.recorder import Recorder
from agio.marketdata.replays.duty import ReplayDuty
from agio.marketdata.replays.model import Replay
from agio.marketdata.replays.players import Stage
from agio.marketdata.replays.pressure import PressureGate
from agio.marketdata.replays.requests import ReplayRequests
from agio.marketdata.settings import MarketDataSettings
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock
from agio.platform.db import Database

HEADER = "DateTime,Price,Volume\n"


class Listener:
    """Remembers the trades of each symbol in the order in which they were offered, repeats left out."""

    def __init__(self) -> None:
        self.trades: dict[str, list[Trade]] = {}

    async def on_trades(self, symbol: str, batch: TradeBatch) -> None:
        heard = self.trades.setdefault(symbol, [])
        assert batch.first_seq <= len(heard) + 1, "no trade is left out"
        heard.extend(batch.trades[len(heard) + 1 - batch.first_seq :])


class Engine:
    """Records, publishes and replays; `async with` runs it."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        *,
        listeners: Sequence[TradeListener] = (),
        fence: Fence | None = None,
        settings: MarketDataSettings | None = None,
    ) -> None:
        settings = settings or MarketDataSettings()
        clock = SystemClock()
        self.database = database
        self.bus = bus
        self.directory = InstrumentDirectory(database, clock)
        self.registry = InstrumentRegistry(database, LedgerService(database, clock), self.directory)
        self.publisher = Publisher(bus, clock, self.directory.cached)
        self.recorder = Recorder(database, bus, clock, self.publisher, fence)
        self.requests = ReplayRequests(database, bus, clock, self.directory, settings)
        gate = PressureGate(bus, clock)
        stage = Stage(database, clock, self.recorder, self.publisher, gate, tuple(listeners), settings.limits)
        self.duty = ReplayDuty(bus, stage, self.registry)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Engine":
        await self.registry.ensure_instruments()
        self._tasks = [asyncio.create_task(self.publisher.run()), asyncio.create_task(self.duty.run())]
        while await self.bus.request(snapshot_subject("ANY")) is None:
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def finished(self, replay: Replay, timeout_seconds: float = 120.0) -> Replay:
        """Wait until a replay is over."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                with suppress(Exception):
                    current = await self.requests.get(replay.replay_id)
                    if not current.is_active:
                        return current
                await asyncio.sleep(0.02)


class ApiNode:
    """What an API process knows of the market."""

    def __init__(self, database: Database, bus: Bus, settings: MarketDataSettings | None = None) -> None:
        self.settings = settings or MarketDataSettings()
        clock = SystemClock()
        self.database = database
        self.directory = InstrumentDirectory(database, clock)
        self.view = MarketView(database, bus, clock)
        self.requests = ReplayRequests(database, bus, clock, self.directory, self.settings)


def write_tape(path: Path, count: int, *, step_ms: int = 100) -> list[tuple[int, int]]:
    """A tape of `count` trades, many of them exact duplicates; returns (price, size) at scale 2 and 0."""
    rows, lines = [], [HEADER]
    for number in range(count):
        moment_ms = number // 3 * step_ms
        seconds, millis = divmod(moment_ms, 1000)
        price, size = 164_000 + number // 3 % 50 * 25, 1 + number // 3 % 9
        stamp = (
            f"2013-09-01 {17 + seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{millis:03d}"
        )
        lines.append(f"{stamp},{price // 100}.{price % 100:02d},{size}\n")
        rows.append((price, size))
    path.write_text("".join(lines), encoding="ascii")
    return rows


def told_until(engine: Engine, symbol: str) -> int | None:
    """Venue time of the quote that was told last."""
    quote = engine.publisher.snapshot(symbol).quote
    return quote.venue_time_ns if quote is not None else None


async def stored_trades(database: Database, symbol: str) -> list[tuple[int, int, int]]:
    """(seq, price, size), in order."""
    async with database.transaction() as tx:
        rows = await tx.fetch_tuples(
            "select seq, price, size from marketdata.trade where symbol = %s order by seq", (symbol,)
        )
    return [(row[0], row[1], row[2]) for row in rows]


async def bars_differ_from_trades(database: Database, symbol: str) -> int:
    """How many final bars are not the plain aggregate of the trades in the table."""
    async with database.transaction() as tx:
        count = await tx.value(
            "with width(interval, ns) as (values ('1s', 1000000000), ('1m', 60000000000)),"
            " folded as (select w.interval, t.venue_time_ns / w.ns * w.ns as start_ns,"
            "   (array_agg(price order by venue_time_ns, seq))[1] as open, max(price) as high,"
            "   min(price) as low, (array_agg(price order by venue_time_ns desc, seq desc))[1] as close,"
            "   sum(size) as volume, sum(price::numeric * size) as notional, count(*) as trades"
            "   from marketdata.trade t cross join width w where t.symbol = %s group by 1, 2)"
            " select count(*) from folded f join marketdata.bar b on b.symbol = %s"
            "   and b.interval = f.interval and b.start_ns = f.start_ns"
            " where (f.open, f.high, f.low, f.close, f.volume, f.notional, f.trades)"
            "   is distinct from (b.open, b.high, b.low, b.close, b.volume, b.notional, b.trades)",
            (symbol, symbol),
        )
    return int(count)
