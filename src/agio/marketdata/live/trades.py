"""Trades of live venues on their way into the table: each once, in the order told, never dropped."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from agio.marketdata.errors import TickStoreUnavailable
from agio.marketdata.events import (
    BUY,
    CANCELS,
    MAX_BATCH,
    NO_CORRECTION,
    NO_SIDE,
    REPLACES,
    SELL,
    Trade,
    TradeBatch,
)
from agio.marketdata.history import TradeTable
from agio.marketdata.live.instruments import LiveInstrument
from agio.marketdata.normalised import Trade as VenueTrade
from agio.marketdata.recorder import UNSTORABLE, Recorder

REMEMBERED: Final = 5_000
"""Newest trades of a symbol among which a repeated one is recognised."""
MAX_WAITING: Final = 20_000
"""Trades in memory while the table takes no more; then the venues are not read either."""
TOGETHER_US: Final = 10_000
"""Trades that came within so short a time are written together, under the newest time."""
MAX_NUMBER: Final = 10**17
"""Highest price and size, in our units, that bars can add up."""
MAX_ID: Final = 128
"""Longest id of a trade that is kept."""
_SIDES: Final = {"buy": BUY, "sell": SELL, "unknown": NO_SIDE}

log = structlog.get_logger(__name__)


class Unusable(ValueError):
    """A trade that cannot be kept; says why."""


class _Waiting(msgspec.Struct):
    trade: Trade
    received_us: int


class SymbolTrades:
    """One symbol: what was seen of it, and what waits to be written."""

    def __init__(self, instrument: LiveInstrument) -> None:
        self.instrument = instrument
        self._seen: dict[str, tuple[int, int]] = {}
        """(price, size) by the venue's id, oldest first; also of what waits."""
        self._newest_ns = -1
        self.waiting: deque[_Waiting] = deque()
        self.taken = 0
        self.duplicates = 0

    def remember(self, trade: Trade) -> None:
        """Take note of one that is stored."""
        self._newest_ns = max(self._newest_ns, trade.venue_time_ns)
        if trade.trade_id is not None:
            self._seen.pop(trade.trade_id, None)
            self._seen[trade.trade_id] = (trade.price, trade.size)
            if len(self._seen) > REMEMBERED:
                del self._seen[next(iter(self._seen))]

    def offer(self, told: VenueTrade) -> bool:
        """Take a trade unless it was told before. Raises Unusable.

        Repeats are known by the venue's id. Without ids equal trades may both be real: then
        only those are repeats that the venue tells as history and that are not newer than what we have.
        """
        trade = self._convert(told)
        if self._is_repeated(told, trade):
            self.duplicates += 1
            return False
        self.remember(trade)
        self.waiting.append(_Waiting(trade, told.received_ns // 1000))
        self.taken += 1
        return True

    def next_batch(self) -> tuple[list[Trade], int]:
        """The oldest that may be written together, and when they came."""
        first, received_us = self.waiting[0].received_us, 0
        trades: list[Trade] = []
        for one in self.waiting:
            if len(trades) == MAX_BATCH or one.received_us - first > TOGETHER_US:
                break
            trades.append(one.trade)
            received_us = max(received_us, one.received_us)
        return trades, received_us

    def _is_repeated(self, told: VenueTrade, trade: Trade) -> bool:
        if trade.trade_id is None:
            return told.is_history and trade.venue_time_ns <= self._newest_ns
        known = self._seen.get(trade.trade_id)
        if trade.correction == NO_CORRECTION:
            return known is not None
        return trade.correction == REPLACES and known == (trade.price, trade.size)

    def _convert(self, told: VenueTrade) -> Trade:
        price, size = told.price * self.instrument.price_units, told.size * self.instrument.size_units
        correction = NO_CORRECTION
        if told.is_correction:
            correction = REPLACES if size else CANCELS
            if not size and told.trade_id in self._seen:
                price, size = self._seen[told.trade_id]
        if not (0 < size < MAX_NUMBER and -MAX_NUMBER < price < MAX_NUMBER):
            raise Unusable(f"a trade of {told.size} lots at {told.price} ticks")
        if told.trade_id is not None and not (told.trade_id.isprintable() and len(told.trade_id) <= MAX_ID):
            raise Unusable(f"a trade whose id is {told.trade_id[:MAX_ID]!a}")
        venue_ns = told.received_ns if told.venue_ns is None else told.venue_ns
        return Trade(venue_ns, price, size, _SIDES[told.aggressor], told.trade_id, correction)


class TradeIntake:
    """Writes what venues told. One task writes, so that a slow table costs no book its time."""

    def __init__(self, recorder: Recorder, history: TradeTable) -> None:
        self._recorder = recorder
        self._history = history
        self._symbols: dict[str, SymbolTrades] = {}
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._count = 0

    async def open(self, instrument: LiveInstrument) -> SymbolTrades:
        """The symbol's trades, with those in mind that are stored; the same ones when it is opened again."""
        known = self._symbols.get(instrument.symbol)
        if known is not None:
            known.instrument = instrument
            return known
        found = SymbolTrades(instrument)
        for batch in await self._stored(instrument.symbol):
            for trade in batch.trades:
                found.remember(trade)
        self._symbols[instrument.symbol] = found
        return found

    async def _stored(self, symbol: str) -> list[TradeBatch]:
        """The newest trades that were stored; without the tick store those that it has not taken yet."""
        _, last_seq = await self._history.position(symbol)
        after = max(0, last_seq - REMEMBERED)
        try:
            return await self._history.trades_after(symbol, after, REMEMBERED)
        except TickStoreUnavailable:
            log.warning("older_trades_not_remembered", symbol=symbol)
            return await self._history.new_trades_after(symbol, after, REMEMBERED)

    def offer(self, symbol: str, told: VenueTrade) -> bool:
        """Take a trade, unless it is a repeated one. Raises Unusable."""
        if not self._symbols[symbol].offer(told):
            return False
        self._count += 1
        if self._count >= MAX_WAITING:
            self._room.clear()
        self._work.set()
        return True

    def counts(self) -> dict[str, tuple[int, int]]:
        """(taken, repeated) by symbol, since the start of the duty."""
        return {symbol: (one.taken, one.duplicates) for symbol, one in self._symbols.items()}

    async def wait_for_room(self) -> None:
        """Until memory is bounded again: who waits here reads no more of its venue."""
        await self._room.wait()

    async def run(self) -> None:
        """Write until cancelled. Raises StaleWriter when somebody else writes."""
        while True:
            await self._work.wait()
            self._work.clear()
            while busy := [symbol for symbol, one in self._symbols.items() if one.waiting]:
                for symbol in busy:
                    await self._write(symbol)

    async def _write(self, symbol: str) -> None:
        waiting = self._symbols[symbol].waiting
        trades, received_us = self._symbols[symbol].next_batch()
        try:
            await self._recorder.append(symbol, trades, received_us=received_us)
        except UNSTORABLE:
            await self._write_singly(symbol, trades, received_us)
        for _ in trades:
            waiting.popleft()
        self._count -= len(trades)
        if self._count < MAX_WAITING // 2:
            self._room.set()

    async def _write_singly(self, symbol: str, trades: Sequence[Trade], received_us: int) -> None:
        """Leave out, and say so, what the table cannot hold: no venue may stop the others."""
        for trade in trades:
            try:
                await self._recorder.append(symbol, [trade], received_us=received_us)
            except UNSTORABLE as fault:
                self._symbols[symbol].taken -= 1
                log.exception("live_trade_not_stored", symbol=symbol, trade=trade, reason=str(fault))
