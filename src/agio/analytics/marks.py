"""Remembers the prices that portfolios are valued with: the last trade of every second, durable."""

import asyncio

import structlog

from agio.analytics import store
from agio.analytics.settings import FULL_DETAIL_SECONDS
from agio.marketdata.api import Instruments, LastTrade
from agio.platform.clock import Clock
from agio.platform.db import Database

log = structlog.get_logger(__name__)

_SECOND_US = 1_000_000
_QUIET_US = 2 * _SECOND_US
_MAX_PENDING = 10_000
_THIN_EVERY_SECONDS = 600.0
_THIN_LIMIT = 5000


class MarkRecorder:
    """Turns told trades into marks. Run by the engine; recording a mark twice changes nothing."""

    def __init__(self, database: Database, instruments: Instruments, clock: Clock) -> None:
        self._database = database
        self._instruments = instruments
        self._clock = clock
        self._last: dict[str, LastTrade] = {}
        self._unwritten: set[str] = set()
        self._pending: list[LastTrade] = []

    def take(self, trade: LastTrade) -> None:
        """Hear of a symbol's newest trade; when a second is over, the one before was its last."""
        before = self._last.get(trade.symbol)
        if before is not None and before.epoch == trade.epoch and before.seq >= trade.seq:
            return
        if (
            before is not None
            and trade.symbol in self._unwritten
            and before.received_us // _SECOND_US != trade.received_us // _SECOND_US
            and len(self._pending) < _MAX_PENDING
        ):
            self._pending.append(before)
        self._last[trade.symbol] = trade
        self._unwritten.add(trade.symbol)

    async def run(self) -> None:
        """Write once a second and thin out what is old, until cancelled."""
        thinned_at = self._clock.monotonic()
        while True:
            await asyncio.sleep(1.0)
            try:
                await self.flush()
                if self._clock.monotonic() - thinned_at > _THIN_EVERY_SECONDS:
                    await self.thin()
                    thinned_at = self._clock.monotonic()
            except Exception as error:
                log.warning("marks_not_written", error=repr(error))

    async def flush(self) -> None:
        """Write the closes of seconds that are over, and a last trade that nothing followed."""
        quiet_before = self._clock.now_micros() - _QUIET_US
        quiet = [symbol for symbol in self._unwritten if self._last[symbol].received_us < quiet_before]
        trades = [*self._pending, *(self._last[symbol] for symbol in quiet)]
        if not trades:
            return
        marks = [await self._mark(trade) for trade in trades]
        async with self._database.transaction() as tx:
            await store.insert_marks(tx, marks)
        del self._pending[: len(trades) - len(quiet)]
        for trade in trades[len(trades) - len(quiet) :]:
            if self._last[trade.symbol] is trade:
                self._unwritten.discard(trade.symbol)

    async def thin(self) -> None:
        """Keep only the last mark of each minute of what is older than two days."""
        older_than_us = self._clock.now_micros() - FULL_DETAIL_SECONDS * _SECOND_US
        async with self._database.transaction() as tx:
            await store.thin_marks(tx, older_than_us, _THIN_LIMIT)

    async def _mark(self, trade: LastTrade) -> store.NewMark:
        instrument = await self._instruments.instrument(trade.symbol)
        return store.NewMark(
            symbol=trade.symbol,
            received_us=trade.received_us,
            price=trade.price,
            price_scale=instrument.price_scale,
            venue_time_ns=trade.venue_time_ns,
            epoch=trade.epoch,
            seq=trade.seq,
        )
