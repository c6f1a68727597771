"""An engine that follows a replayed venue, and a subscriber who believes only what the streams tell."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.integration.marketdata.feeds.replay_server import Fault, ReplayServer
from tests.integration.marketdata.feeds.venues import SIDES
from tests.integration.marketdata.feeds.world import CONNECTORS, EVENTUALLY_SECONDS, eventually, recorded
from tests.integration.marketdata.world import ApiNode
from tests.nodes import end

from agio.ledger.service import LedgerService
from agio.marketdata.book import apply_levels, checksum
from agio.marketdata.history import TradeTable
from agio.marketdata.instruments import InstrumentDirectory, InstrumentRegistry
from agio.marketdata.live.duty import LiveDuty
from agio.marketdata.live.market import read_market
from agio.marketdata.live.settings import LiveSettings
from agio.marketdata.publisher import Publisher
from agio.marketdata.recorder import Recorder
from agio.marketdata.schemas import SourceView
from agio.marketdata.service import MarketDataService
from agio.marketdata.settings import MarketDataSettings
from agio.marketdata.stream import channel_kinds
from agio.platform.bus import Bus
from agio.platform.channels import Push
from agio.platform.clock import SystemClock
from agio.platform.db import SYSTEM, Database


class Subscriber:
    """Keeps a book from pushes alone; fails at once when a checksum or the chain does not hold."""

    scope = SYSTEM

    def __init__(self) -> None:
        self.bids: list[tuple[int, int]] = []
        self.asks: list[tuple[int, int]] = []
        self.doubts: list[str] = []
        self.wholes = 0
        self.proofs = 0
        self._last: int | None = None
        self.doubt: str | None = "nothing heard"

    def take(self, push: Push) -> None:
        content: dict[str, Any] = json.loads(push.d)
        if push.p is None:
            self.bids, self.asks = [], []
            self.wholes += 1
        else:
            assert push.p == self._last
            assert self.doubt is None, "a withdrawn book is told whole again"
        self._last = push.q
        self.bids = apply_levels(self.bids, _numbers(content["bids"]), best_is_highest=True)
        self.asks = apply_levels(self.asks, _numbers(content["asks"]), best_is_highest=False)
        assert checksum(self.bids, self.asks) == push.crc
        self.proofs += 1
        self.doubt = content.get("doubt")
        if self.doubt is not None:
            assert not self.bids
            assert not self.asks
            self.doubts.append(self.doubt)

    def top(self, price_scale: int, size_scale: int, depth: int) -> tuple[list[Any], list[Any]]:
        return tuple(  # type: ignore[return-value]
            [
                (Decimal(price).scaleb(-price_scale), Decimal(size).scaleb(-size_scale))
                for price, size in side[:depth]
            ]
            for side in (self.bids, self.asks)
        )


def _numbers(levels: list[list[str]]) -> list[tuple[int, int]]:
    return [(int(price.replace(".", "")), int(size.replace(".", ""))) for price, size in levels]


class LiveWorld:
    def __init__(self, server: ReplayServer, node: ApiNode, duty: LiveDuty, symbols: dict[str, str]) -> None:
        self.server = server
        self.node = node
        self.duty = duty
        self.symbols = symbols
        """Ours by the venue's."""
        self.subscribers: dict[str, Subscriber] = {}
        self.service = MarketDataService(
            node.database, node.directory, node.view, node.requests, MarketDataSettings()
        )

    async def subscribe(self, bus: Bus) -> None:
        """Hear the books as soon as their instruments exist."""
        kinds = {
            kind.name: kind for kind in channel_kinds(self.node.database, self.node.directory, self.node.view)
        }
        for symbol in self.symbols.values():
            subscriber = self.subscribers[symbol] = Subscriber()

            async def hear(subject: str, payload: bytes, to: Subscriber = subscriber) -> None:
                handle = await kinds["book"].open(to, subject.removeprefix("md.book."))
                for push in handle.decode(payload):
                    to.take(push)

            await bus.subscribe(f"md.book.{symbol}", hear)
        await bus.flush()

    async def caught_up(self, depth: int = 10) -> None:
        """Until the subscribers' books are the venue's at the end of the recording."""
        await eventually(self.server.finished.is_set)
        scales = {
            symbol: (one.price_scale, one.quantity_scale)
            for symbol in self.symbols.values()
            for one in [await self.node.directory.instrument(symbol)]
        }
        await eventually(
            lambda: all(
                self.subscribers[ours].top(*scales[ours], depth)
                == self.server.side.references[theirs].top(depth)
                for theirs, ours in self.symbols.items()
            )
        )

    async def source(self, holds: Callable[[SourceView], bool] = lambda _: True) -> SourceView:
        """The status of the venue as soon as it says what is waited for."""
        async with asyncio.timeout(EVENTUALLY_SECONDS):
            while True:
                for source in (await self.service.status()).sources:
                    if holds(source):
                        return source
                await asyncio.sleep(0.05)

    async def stored(self, symbol: str, count: int) -> list[tuple[Any, ...]]:
        """The trades in the table, as soon as there are so many."""
        async with asyncio.timeout(EVENTUALLY_SECONDS):
            while len(found := await self.trades(symbol)) < count:
                await asyncio.sleep(0.02)
        return found

    async def trades(self, symbol: str) -> list[tuple[Any, ...]]:
        async with self.node.database.transaction() as tx:
            return await tx.fetch_tuples(
                "select seq, venue_time_ns, price, size, side, trade_id, received_at from marketdata.trade"
                " where symbol = %s order by seq",
                (symbol,),
            )


class RunningDuty(LiveDuty):
    """Begins when it is told to."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._begun = asyncio.Event()

    def begin(self) -> None:
        self._begun.set()

    async def run(self) -> None:
        await self._begun.wait()
        await super().run()


@asynccontextmanager
async def engine_of(
    database: Database, bus: Bus, market: str, settings: LiveSettings, *, is_running: bool = True
) -> AsyncIterator[RunningDuty]:
    """What the engine runs under the lease of the market."""
    clock = SystemClock()
    directory = InstrumentDirectory(database, clock)
    registry = InstrumentRegistry(database, LedgerService(database, clock), directory)
    await registry.ensure_instruments()
    publisher = Publisher(bus, clock, directory.cached)
    recorder = Recorder(database, bus, clock, publisher)
    venues = read_market(market)
    duty = RunningDuty(venues, bus, clock, recorder, publisher, registry, TradeTable(database), settings)
    if is_running:
        duty.begin()
    tasks = [asyncio.create_task(publisher.run()), asyncio.create_task(duty.run())]
    try:
        yield duty
        assert not any(task.done() for task in tasks)
    finally:
        await end(tasks)


@asynccontextmanager
async def following(
    real_data: Path,
    databases: tuple[Database, Database],
    bus: Bus,
    venue: str,
    *faults: Fault,
    limit: int | None = None,
) -> AsyncIterator[LiveWorld]:
    """An engine's live duty against the replayed venue, and an API process that hears it."""
    engine_database, app_database = databases
    recording = recorded(real_data / "market" / "ws" / f"{venue}.jsonl.zst")
    locals_ = CONNECTORS[venue][1]
    market = f"live:{venue.lower()}:{','.join(locals_)}"
    connector = CONNECTORS[venue][0]
    body = [event for event in recording.events if event.kind == "http"]
    instruments = {
        one.symbol: one
        for event in body
        if any(path.partition("?")[0] in event.address for path in connector.instrument_paths)
        for one in connector.read_instruments(event.data.encode())
    }
    names = {instruments[local].venue_symbol: f"{venue}-{local}" for local in locals_}
    async with (
        ReplayServer(SIDES[venue](recording, list(names), limit), faults) as server,
        engine_of(
            engine_database, bus, market, LiveSettings({venue: f"ws://{server.address}"}), is_running=False
        ) as duty,
    ):
        world = LiveWorld(server, ApiNode(app_database, bus), duty, names)
        await world.node.view.start()
        await world.subscribe(bus)
        server.is_settled = lambda: all(one.doubt is None for one in world.subscribers.values())
        # The replayed market waits for its subscribers: how long that takes is no fault of the venue.
        with patch.object(connector, "stale_seconds", 3600.0):
            duty.begin()
            yield world
