"""The engine's real path from a venue's socket to tables and streams, with recorded sessions."""

import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from tests.integration.marketdata.feeds.replay_server import Fault
from tests.integration.marketdata.feeds.world import CONNECTORS, eventually
from tests.integration.marketdata.live.world import LiveWorld, engine_of, following
from tests.integration.marketdata.world import ApiNode, Engine

from agio.marketdata.errors import BookDoubtful, MarketDataUnavailable
from agio.marketdata.events import SIDE_NAMES
from agio.marketdata.live.metrics import FeedCollector
from agio.marketdata.live.settings import LiveSettings
from agio.marketdata.normalised import Trade
from agio.marketdata.publisher import Book
from agio.marketdata.service import MarketDataService
from agio.platform.bus import Bus
from agio.platform.db import Database

every_venue = pytest.mark.parametrize("venue", list(CONNECTORS))


@pytest.fixture
def databases(engine_database: Database, app_database: Database) -> tuple[Database, Database]:
    return engine_database, app_database


def told_trades(world: LiveWorld) -> dict[str, list[Trade]]:
    """What the recording tells after its first book, by our symbol."""
    found: dict[str, list[Trade]] = {symbol: [] for symbol in world.symbols.values()}
    decoder = world.duty.sources[0].feed._connector.decoder  # type: ignore[union-attr]
    for frame in world.server.side.frames:
        if frame.channel == "trades":
            for message in decoder.decode(frame.text, 0):
                if isinstance(message, Trade):
                    found[world.symbols[frame.symbol]].append(message)
    return found


@every_venue
async def test_a_session_becomes_trades_books_quotes_and_bars(
    real_data: Path, databases: tuple[Database, Database], bus: Bus, venue: str
) -> None:
    async with following(real_data, databases, bus, venue) as world:
        await world.caught_up()
        expected = told_trades(world)
        total = sum(map(len, expected.values()))
        for symbol, told in expected.items():
            stored = await world.stored(symbol, len(told))
            one = world.duty.sources[0].instruments[symbol]
            assert [
                (row[0], row[1], row[2], row[3], SIDE_NAMES[row[4]] or "unknown", row[5]) for row in stored
            ] == [
                (
                    seq,
                    trade.venue_ns,
                    trade.price * one.price_units,
                    trade.size * one.size_units,
                    trade.aggressor,
                    trade.trade_id,
                )
                for seq, trade in enumerate(told, 1)
            ]
            instrument = await world.node.directory.instrument(symbol)
            assert (instrument.status, instrument.venue) == ("data_only", venue)
            quote = await world.service.quote(symbol)
            book = await world.service.book(symbol, 10)
            assert (quote.bid, quote.bid_size) == book.bids[0]
            assert (quote.ask, quote.ask_size) == book.asks[0]
        source = await world.source(
            lambda one: one.state == "live" and sum(each.trades for each in one.symbols) == total
        )
        assert (source.source, source.phase) == (venue, "live")
        assert (source.gaps, source.bad_checksums, source.reconnects, source.resyncs) == (0, 0, 0, 0)
        assert source.skew_ms is not None
        await eventually(lambda: world.node.view.source_states()[venue] == "live")
        assert all(not one.doubts and one.wholes == 1 for one in world.subscribers.values())


async def test_a_wrong_checksum_withdraws_the_book_until_a_new_snapshot(
    real_data: Path, databases: tuple[Database, Database], bus: Bus
) -> None:
    async with following(real_data, databases, bus, "KRAKEN", Fault(20, "corrupt"), limit=120) as world:
        await world.caught_up()

        doubts = {symbol: one.doubts for symbol, one in world.subscribers.items() if one.doubts}
        ((symbol, (doubt,)),) = doubts.items()
        assert doubt.startswith("bad_checksum: ")
        assert world.subscribers[symbol].wholes == 3, "the first snapshot, the withdrawal, the new snapshot"
        source = await world.source(lambda one: all(symbol.book == "ok" for symbol in one.symbols))
        (hurt,) = [one for one in source.symbols if one.symbol == symbol]
        assert (hurt.bad_checksums, hurt.resyncs, hurt.gaps, hurt.state) == (1, 1, 0, "live")
        assert (source.bad_checksums, source.resyncs, source.reconnects) == (1, 1, 0)
        registry = CollectorRegistry()
        registry.register(FeedCollector(world.node.view.feeds))
        text = generate_latest(registry).decode()
        assert f'agio_feed_bad_checksums_total{{symbol="{symbol}",venue="KRAKEN"}} 1.0' in text
        assert 'agio_feed_live{venue="KRAKEN"} 1.0' in text


@every_venue
async def test_a_lost_connection_is_told_and_every_book_comes_back_whole(
    real_data: Path, databases: tuple[Database, Database], bus: Bus, venue: str
) -> None:
    async with following(real_data, databases, bus, venue, Fault(20, "abort"), limit=60) as world:
        await world.caught_up()

        source = await world.source(lambda one: one.reconnects == 1 and one.state == "live")
        assert source.stale_ms > 0
        assert source.gaps == len(world.symbols)
        assert all(len(one.doubts) == 1 for one in world.subscribers.values())
        assert all(one.wholes == 3 for one in world.subscribers.values())


@pytest.mark.parametrize("venue", ["OKX", "COINBASE"])
async def test_a_second_run_recognises_every_trade_of_the_first(
    real_data: Path, databases: tuple[Database, Database], bus: Bus, venue: str
) -> None:
    async with following(real_data, databases, bus, venue) as world:
        await world.caught_up()
        told = told_trades(world)
        await world.source(
            lambda one: sum(symbol.trades for symbol in one.symbols) == sum(map(len, told.values()))
        )
        before = {symbol: await world.stored(symbol, len(trades)) for symbol, trades in told.items()}
    async with following(real_data, databases, bus, venue) as world:
        await world.caught_up()
        await world.source(lambda one: one.duplicates == sum(map(len, before.values())))
        assert {symbol: await world.trades(symbol) for symbol in before} == before


async def test_a_silent_connection_is_stale_and_given_up(
    real_data: Path, databases: tuple[Database, Database], bus: Bus
) -> None:
    async with following(real_data, databases, bus, "OKX", Fault(20, "stall"), limit=60) as world:
        await eventually(world.server.stalled.is_set)
        world.duty.sources[0].feed._connection._heard_at = -1e9  # type: ignore[union-attr]

        await world.caught_up()

        assert world.subscribers["OKX-BTC-USDT"].doubts == ["gap: no data for 3600 s"]
        assert (await world.source(lambda one: one.stale_count == 1)).reconnects == 1


async def serving(app_database: Database, bus: Bus) -> tuple[ApiNode, MarketDataService]:
    """A node that hears of the market, and what its REST says of it."""
    node = ApiNode(app_database, bus)
    service = MarketDataService(app_database, node.directory, node.view, node.requests, node.settings)
    await node.view.start()
    return node, service


async def test_a_doubtful_book_is_refused_and_its_best_prices_are_gone(
    databases: tuple[Database, Database], bus: Bus
) -> None:
    engine_database, app_database = databases
    _, service = await serving(app_database, bus)
    async with Engine(engine_database, bus) as engine:
        book = Book(((100, 10**6),), ((200, 10**6),), 1)
        engine.publisher.follow_book("BTC-USD", lambda: book)
        await eventually(lambda: engine.publisher.snapshot("BTC-USD").book is not None)
        assert (await service.book("BTC-USD", 10)).bids == [("1.00", "0.01000000")]

        engine.publisher.withdraw_book("BTC-USD", "gap: lost")

        await eventually(lambda: not engine.publisher.snapshot("BTC-USD").book.bids)  # type: ignore[union-attr]
        with pytest.raises(BookDoubtful, match="gap: lost"):
            await service.book("BTC-USD", 10)
        quote = await service.quote("BTC-USD")
        assert (quote.bid, quote.ask) == (None, None)


async def test_a_quote_of_an_engine_that_is_silent_is_not_served_as_current(
    databases: tuple[Database, Database], bus: Bus
) -> None:
    engine_database, app_database = databases
    node, service = await serving(app_database, bus)
    async with Engine(engine_database, bus) as engine:
        engine.publisher.publish_quote(
            "BTC-USD", bid=100, bid_size=10**6, ask=200, ask_size=10**6, venue_time_ns=1
        )
        await eventually(lambda: node.view.quote_seen("BTC-USD") is not None)
        await eventually(lambda: not node.view.is_silent("SIM"))
        assert (await service.quote("BTC-USD")).bid == "1.00"
        node.view._venue_heard_at.clear()
        assert (await service.quote("BTC-USD")).bid == "1.00", "the engine is asked, and answers"
    node.view._venue_heard_at.clear()

    with pytest.raises(MarketDataUnavailable):
        await service.quote("BTC-USD")


async def test_a_venue_that_needs_what_is_not_installed_says_so_and_waits(
    databases: tuple[Database, Database], bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ccxt.pro", None)
    async with engine_of(databases[0], bus, "live:bitstamp:BTC/USD", LiveSettings()) as duty:
        source = duty.sources[0]
        await eventually(lambda: source.watch.report(None, {}).last_error is not None)
        report = source.watch.report(source.status(), {})
        assert "pip install 'agio[venues]'" in str(report.last_error)
        assert (report.state, report.symbols[0].book) == ("stale", "gap")
