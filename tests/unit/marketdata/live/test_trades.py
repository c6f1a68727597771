"""Which trades of a live venue are new."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import cast

import msgspec
import pytest

from agio.marketdata.bars import TooMuchVolume
from agio.marketdata.events import CANCELS, REPLACES
from agio.marketdata.events import Trade as StoredTrade
from agio.marketdata.history import TradeTable
from agio.marketdata.live.instruments import live_instrument, wanted_instrument
from agio.marketdata.live.trades import REMEMBERED, SymbolTrades, TradeIntake, Unusable
from agio.marketdata.normalised import Instrument, Trade
from agio.marketdata.recorder import Recorder

VENUE = Instrument("OKX", "X-USD", "X-USD", Decimal("0.5"), Decimal("0.01"))
TRADE = Trade("X-USD", 1_000, 2_000_000, None, 7, 3, "sell", "17")


@pytest.fixture
def trades() -> SymbolTrades:
    return SymbolTrades(live_instrument(wanted_instrument("OKX-X-USD", VENUE), VENUE))


def test_ticks_and_lots_become_our_units(trades: SymbolTrades) -> None:
    assert trades.offer(TRADE)
    assert trades.next_batch() == ([StoredTrade(1_000, 35, 3, 2, "17")], 2_000)


def test_an_id_that_was_seen_or_stored_is_a_repeat(trades: SymbolTrades) -> None:
    trades.remember(StoredTrade(1, 35, 3, 2, "16"))
    assert trades.offer(TRADE)
    assert not trades.offer(msgspec.structs.replace(TRADE, received_ns=9_000_000, is_history=True))
    assert not trades.offer(msgspec.structs.replace(TRADE, trade_id="16"))
    assert (trades.taken, trades.duplicates) == (1, 2)


def test_equal_trades_without_ids_are_both_real(trades: SymbolTrades) -> None:
    anonymous = msgspec.structs.replace(TRADE, trade_id=None)
    assert trades.offer(anonymous)
    assert trades.offer(anonymous)


def test_history_without_ids_counts_from_the_newest_known_time(trades: SymbolTrades) -> None:
    history = msgspec.structs.replace(TRADE, trade_id=None, is_history=True)
    trades.remember(StoredTrade(1_000, 35, 3))
    assert not trades.offer(history)
    assert trades.offer(msgspec.structs.replace(history, venue_ns=1_001))


def test_corrections_of_a_known_trade_are_kept_once(trades: SymbolTrades) -> None:
    trades.offer(TRADE)
    replaced = msgspec.structs.replace(TRADE, price=8, is_correction=True)
    cancelled = msgspec.structs.replace(TRADE, price=0, size=0, is_correction=True)
    assert [trades.offer(one) for one in (replaced, replaced, cancelled)] == [True, False, True]
    stored = [(one.price, one.size, one.correction) for one in trades.next_batch()[0]]
    assert stored == [(35, 3, 0), (40, 3, REPLACES), (40, 3, CANCELS)]


def test_the_oldest_ids_are_forgotten(trades: SymbolTrades) -> None:
    for number in range(REMEMBERED + 1):
        trades.offer(msgspec.structs.replace(TRADE, trade_id=str(number)))
    assert trades.offer(msgspec.structs.replace(TRADE, trade_id="0"))
    assert not trades.offer(msgspec.structs.replace(TRADE, trade_id=str(REMEMBERED)))


def test_trades_are_written_together_only_when_they_came_together(trades: SymbolTrades) -> None:
    for received_us in (0, 10_000, 10_001):
        trades.offer(
            msgspec.structs.replace(TRADE, trade_id=str(received_us), received_ns=received_us * 1000)
        )
    batch, received_us = trades.next_batch()
    assert (len(batch), received_us) == (2, 10_000)


@pytest.mark.parametrize("trade_id", ["17\x00", "17\n", "\x1b[2J", "9" * 129])
def test_ids_that_no_table_or_terminal_should_see_are_refused(trades: SymbolTrades, trade_id: str) -> None:
    with pytest.raises(Unusable):
        trades.offer(msgspec.structs.replace(TRADE, trade_id=trade_id))


class RefusingRecorder:
    """Stores trades unless one of them is of the refused size."""

    REFUSED = 5

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def append(self, _symbol: str, trades: Sequence[StoredTrade], *, received_us: int) -> None:
        if any(trade.size == self.REFUSED for trade in trades):
            raise TooMuchVolume("too much")
        self.sizes += [trade.size for trade in trades]


async def test_a_trade_that_the_table_refuses_is_left_out_alone(trades: SymbolTrades) -> None:
    recorder = RefusingRecorder()
    intake = TradeIntake(cast("Recorder", recorder), cast("TradeTable", None))
    intake._symbols["OKX-X-USD"] = trades
    for size in (3, 5, 4):
        intake.offer("OKX-X-USD", msgspec.structs.replace(TRADE, trade_id=str(size), size=size))
    writing = asyncio.create_task(intake.run())
    async with asyncio.timeout(20):
        while trades.waiting:
            await asyncio.sleep(0.001)
    writing.cancel()

    assert recorder.sizes == [3, 4]
    assert intake.counts() == {"OKX-X-USD": (2, 0)}


@pytest.mark.parametrize("size", [0, -1, 10**17])
def test_sizes_that_bars_cannot_add_up_are_refused(trades: SymbolTrades, size: int) -> None:
    with pytest.raises(Unusable):
        trades.offer(msgspec.structs.replace(TRADE, size=size))
