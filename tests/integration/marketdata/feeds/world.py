"""A feed, the replayed venue behind it, and somebody who believes only what the feed tells."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import aiohttp
from tests.integration.marketdata.feeds.replay_server import Fault, ReplayServer
from tests.integration.marketdata.feeds.venues import SIDES, TOP
from tests.unit.marketdata.decoders.sessions import in_decimals

from agio.marketdata.books.continuity import Judgement
from agio.marketdata.books.l2 import L2Book
from agio.marketdata.decoders.recording import Recording, read_recording
from agio.marketdata.feeds.binance import BinanceConnector
from agio.marketdata.feeds.coinbase import CoinbaseConnector
from agio.marketdata.feeds.connector import Connector, Endpoints
from agio.marketdata.feeds.kraken import KrakenConnector
from agio.marketdata.feeds.okx import OkxConnector
from agio.marketdata.feeds.port import Delivery, Feed, FeedState
from agio.marketdata.feeds.requests import fetch_instruments
from agio.marketdata.feeds.settings import FeedSettings
from agio.marketdata.feeds.supervisor import SupervisedFeed
from agio.marketdata.normalised import BookSnapshot, BookUpdate, Instrument, Trade, Verdict
from agio.platform.clock import VirtualClock

CONNECTORS: dict[str, tuple[type[Connector], list[str]]] = {
    "KRAKEN": (KrakenConnector, ["XMR-USD", "ETH-CHF"]),
    "OKX": (OkxConnector, ["BTC-USDT", "UNI-USD-SWAP"]),
    "COINBASE": (CoinbaseConnector, ["ETH-USD"]),
    "BINANCE": (BinanceConnector, ["NKN-USDT", "LRC-BTC"]),
}
EVERY_SYMBOL: dict[str, list[str]] = {
    "KRAKEN": [
        *("ADA-BTC", "BTC-CHF", "ETH-CHF", "GRT-ETH", "KSM-BTC"),
        *("OCEAN-BTC", "OMG-USD", "SC-EUR", "WAVES-EUR", "XMR-USD"),
    ],
    "OKX": ["BTC-USD-220527", "BTC-USDT", "UNI-USD-SWAP"],
    "COINBASE": ["BTC-USD", "ETH-USD"],
    "BINANCE": ["BLZ-ETH", "LRC-BTC", "NKN-USDT", "RUNE-EUR"],
}
"""All that were recorded."""
EVENTUALLY_SECONDS = 120.0
SETTINGS = FeedSettings(tick_seconds=0.01)


@cache
def recorded(path: Path) -> Recording:
    return read_recording(path)


class Believer:
    """Keeps books from deliveries alone, and fails at once when it is told something wrong."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.books: dict[str, L2Book] = {}
        self.trades: list[Trade] = []
        self.judgements: list[Judgement] = []
        self.states: list[FeedState] = []

    async def __call__(self, delivery: Delivery) -> None:
        self.states.append(delivery.state)
        for judgement in delivery.judgements:
            self.judgements.append(judgement)
            if judgement.verdict is not Verdict.OK:
                self.books.pop(judgement.symbol, None)
                assert self._world.feed.good(judgement.symbol) is None
        assert delivery.state is FeedState.LIVE or not self.books, (
            "a lost connection's books are still believed"
        )
        changed = set()
        for message in delivery.messages:
            match message:
                case BookSnapshot():
                    book = self.books[message.symbol] = L2Book()
                    book.replace(message.bids, message.asks)
                    changed.add(message.symbol)
                case BookUpdate():
                    self.books[message.symbol].apply(message.changes)
                    changed.add(message.symbol)
                case Trade():
                    self.trades.append(message)
        for symbol in changed:
            self._world.check_seen(symbol, self.books[symbol])


class World:
    def __init__(self, server: ReplayServer, instruments: list[Instrument]) -> None:
        self.server = server
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self.clock = VirtualClock(datetime(2026, 11, 21, tzinfo=UTC))
        self.pauses: list[float] = []
        self.connects_at: list[float] = []
        self.believer = Believer(self)
        self.feed: Feed

    def theirs(self, instrument: Instrument) -> str:
        """The replayed venue's name of it."""
        return instrument.venue_symbol

    async def sleep(self, seconds: float) -> None:
        """The time between connections passes at once."""
        self.pauses.append(seconds)
        await asyncio.sleep(0)
        self.clock.advance(timedelta(seconds=seconds + 1e-6))

    def check_seen(self, symbol: str, book: L2Book) -> None:
        """The venue's book stood like this at some time, and what the feed serves is the same."""
        instrument = self.instruments[symbol]
        bids, asks = in_decimals(book, instrument, TOP)
        assert (tuple(bids), tuple(asks)) in self.server.side.seen[self.theirs(instrument)]
        served = self.feed.good(symbol)
        assert served is not None
        assert served.depth(TOP) == book.depth(TOP)

    def is_caught_up(self, depth: int) -> bool:
        """Whether the believer's books are the reference's."""
        for symbol, instrument in self.instruments.items():
            book = self.believer.books.get(symbol)
            reference = self.server.side.references[self.theirs(instrument)]
            if book is None or in_decimals(book, instrument, depth) != reference.top(depth):
                return False
        return True

    async def catch_up(self, depth: int) -> None:
        try:
            await eventually(lambda: self.server.finished.is_set() and self.is_caught_up(depth))
        except TimeoutError:
            raise AssertionError(
                f"not caught up: {self.server.account()}; the feed says {self.feed.status()}"
            ) from None


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(EVENTUALLY_SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def playing(
    real_data: Path,
    venue: str,
    *faults: Fault,
    symbols: list[str] | None = None,
    limit: int | None = None,
    refusals: int = 0,
    settings: FeedSettings = SETTINGS,
) -> AsyncIterator[World]:
    """A feed running against the replayed venue."""
    make_connector, few = CONNECTORS[venue]
    symbols = symbols or few
    path = real_data / "market" / "ws" / f"{venue}.jsonl.zst"
    recording = recorded(path)
    instruments = known_instruments(path, make_connector, tuple(symbols))
    side = SIDES[venue](recording, [one.venue_symbol for one in instruments], limit)
    async with ReplayServer(side, faults, refusals=refusals) as server, aiohttp.ClientSession() as http:
        endpoints = Endpoints(f"ws://{server.address}", f"http://{server.address}")
        if refusals == 0 and not faults:
            fetched = await fetch_instruments(http, make_connector, symbols, rest=endpoints.rest)
            assert fetched == instruments
        world = World(server, instruments)
        world.feed = SupervisedFeed(
            make_connector(instruments, endpoints),
            http,
            world.clock,
            settings,
            random=lambda: 0.5,
            sleep=world.sleep,
        )
        server.is_settled = lambda: not world.feed.status().doubtful
        running = asyncio.create_task(world.feed.run(world.believer))
        try:
            yield world
            assert not running.done() or running.exception() is None
        finally:
            world.feed.stop()
            async with asyncio.timeout(EVENTUALLY_SECONDS):
                await running


@cache
def known_instruments(path: Path, connector: type[Connector], symbols: tuple[str, ...]) -> list[Instrument]:
    paths = [path.partition("?")[0] for path in connector.instrument_paths]
    found = {
        one.symbol: one
        for event in recorded(path).events
        if event.kind == "http" and any(path in event.address for path in paths)
        for one in connector.read_instruments(event.data.encode())
    }
    return [found[symbol] for symbol in symbols]
