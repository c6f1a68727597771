"""Vendors' files played through the engine: durable, in order, with sides and the venue's trade ids."""

from pathlib import Path

import pytest
from tests.integration.marketdata.world import Engine, Listener, bars_differ_from_trades, stored_trades

from agio.marketdata.events import BUY, SELL
from agio.platform.bus import Bus
from agio.platform.db import Database


@pytest.mark.parametrize(
    ("path", "symbol", "total", "sides"),
    [
        ("tardis/binance-futures_BTCUSDT_2020-02-22_trades.csv.gz", "BTCUSDT", 9999, {BUY, SELL}),
        ("lobster-aapl/AAPL_2012-06-21_34200000_57600000_message_10.csv.gz", "AAPL", 159, {BUY, SELL}),
        ("esm4_mbo_2024-05-08_2s.dbn.zst", "ESM4", 5, {BUY}),
    ],
)
async def test_a_vendors_file_plays_as_a_tape(
    engine_database: Database,
    bus: Bus,
    real_data: Path,
    path: str,
    symbol: str,
    total: int,
    sides: set[int],
) -> None:
    listener = Listener()
    async with Engine(engine_database, bus, listeners=[listener]) as engine:
        replay = await engine.requests.start(str(real_data / "market" / path), speed=0)
        over = await engine.finished(replay)

    trades = listener.trades[symbol]
    assert (over.state, over.done, len(trades)) == ("done", total, total)
    assert {trade.side for trade in trades} == sides
    stored = await stored_trades(engine_database, symbol)
    assert [(price, size) for _, price, size in stored] == [(one.price, one.size) for one in trades]
    assert await bars_differ_from_trades(engine_database, symbol) == 0


async def test_a_vendors_quotes_play_as_a_tape(engine_database: Database, bus: Bus, real_data: Path) -> None:
    path = real_data / "market" / "tardis" / "binance-futures_BTCUSDT_2020-02-22_quotes.csv.gz"
    async with Engine(engine_database, bus) as engine:
        over = await engine.finished(await engine.requests.start(str(path), speed=0))

    assert (over.state, over.kind, over.symbol, over.done) == ("done", "quotes", "BTCUSDT", 9999)
