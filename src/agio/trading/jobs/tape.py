"""Orders on replayed tapes: matched with the recorded trades once those are durable, before they are told."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
import structlog

from agio.kernel.time import from_nanos, to_micros
from agio.ledger.api import Ledger
from agio.marketdata.api import (
    TAPE,
    Calendar,
    Fence,
    Instruments,
    Market,
    Trade,
    TradeBatch,
    TradeHistory,
)
from agio.platform.bus import Bus
from agio.platform.clock import Clock
from agio.platform.db import Database, Transaction
from agio.platform.leases import LeaseLost
from agio.trading import store
from agio.trading.dealing import COMMAND_LIMIT, DealingDesk
from agio.trading.jobs.waking import VenueNudge
from agio.trading.ports import Report
from agio.trading.providers.tape import TapeVenue

TAPE_DUTY: Final = "venue:TAPE"
POLL_SECONDS: Final = 0.05
RETRY_SECONDS: Final = 0.5
HISTORY_LIMIT: Final = 10_000

log = structlog.get_logger(__name__)


class _Symbol(msgspec.Struct):
    """What the runner knows of a tape."""

    epoch: str
    calendar: Calendar
    now: datetime
    written_seq: int = -1


class TapeRunner:
    """Venue `TAPE`. Implements marketdata's `TradeListener`.

    Restart: every settlement writes, in its own transaction, how far the tape was matched (`seq`). All
    open orders have met all trades up to there and none after, because an order enters between two
    batches and its entry is a settlement too. Matching is deterministic, so the trades after `seq` are
    read from storage and matched again: what was settled is not seen twice, what was not is not lost.
    """

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        instruments: Instruments,
        market: Market,
        history: TradeHistory,
        bus: Bus,
        clock: Clock,
        fence: Fence,
    ) -> None:
        self._database = database
        self._instruments = instruments
        self._market = market
        self._history = history
        self._bus = bus
        self._clock = clock
        self._lock = asyncio.Lock()
        self._venue = TapeVenue(TAPE)
        self._is_open = False
        self._symbols: dict[str, _Symbol] = {}
        self._progress: Mapping[str, store.TapeProgress] = {}
        self._nudge = VenueNudge(bus)
        self._polled_at = float("-inf")
        self._desk = DealingDesk(database, ledger, instruments, clock, fence, TAPE, self._day_end, self)

    async def run(self) -> None:
        """Hear commands also while no tape plays; raises LeaseLost."""
        async with self._nudge:
            while True:
                await self._nudge.wait(POLL_SECONDS)
                try:
                    await self.hear_commands()
                except LeaseLost:
                    raise
                except Exception as error:
                    log.warning("tape_venue_interrupted", error=repr(error))
                    await asyncio.sleep(RETRY_SECONDS)

    async def hear_commands(self) -> int:
        """Settle what clients asked for since the last look; returns how many commands that were."""
        async with self._lock:
            try:
                await self._ensure_open()
                return await self._desk.handle_commands() if self._is_poll_due() else 0
            except BaseException:
                self._is_open = False
                raise

    async def on_trades(self, symbol: str, batch: TradeBatch) -> None:
        """Commands that came before the trades first, then the fills; durable when this returns."""
        async with self._lock:
            try:
                await self._ensure_open()
                known = self._symbols.get(symbol)
                if known is not None and known.epoch != batch.epoch:
                    await self._open()
                    known = self._symbols.get(symbol)
                if known is None:
                    # A batch may be handed over again: what was shared out of it is not there twice.
                    met = self._met(symbol, batch.epoch)
                    await self._learn(symbol, batch.epoch, max(batch.first_seq - 1, met))
                await self._catch_up(symbol, batch.first_seq - 1)
                await self._match(symbol, batch, hears_commands=True)
            except BaseException:
                self._is_open = False
                raise

    # Companion of the desk.

    def has_work(self) -> bool:
        return False

    async def prepare(self, symbols: Iterable[str]) -> None:
        """An order in a tape that is new here sees the trades after those that are durable now."""
        for symbol in sorted(set(symbols) - self._symbols.keys()):
            epoch, top = await self._history.position(symbol)
            await self._learn(symbol, epoch, top)

    async def write(self, tx: Transaction, reports: list[Report]) -> list[Report]:
        progress = [
            store.TapeProgress(symbol, known.epoch, self._venue.position(symbol))
            for symbol, known in sorted(self._symbols.items())
            if known.written_seq != self._venue.position(symbol)
        ]
        if progress:
            await store.write_progress(tx, progress)
        # Should the transaction fail, all of this is read again from the table.
        for row in progress:
            self._symbols[row.symbol].written_seq = row.seq
        return reports

    def _is_poll_due(self) -> bool:
        now = self._clock.monotonic()
        if not self._nudge.is_set and now - self._polled_at < POLL_SECONDS:
            return False
        self._nudge.clear()
        self._polled_at = now
        return True

    async def _ensure_open(self) -> None:
        if not self._is_open:
            await self._open()

    async def _open(self) -> None:
        """A fresh venue from the table, brought up to the newest durable trade of every tape with orders."""
        self._venue = TapeVenue(TAPE)
        self._symbols = {}
        symbols = await self._desk.open(self._venue)
        async with self._database.transaction() as tx:
            self._progress = await store.read_progress(tx)
        for symbol in symbols:
            epoch, top = await self._history.position(symbol)
            await self._learn(symbol, epoch, self._met(symbol, epoch))
            await self._catch_up(symbol, top)
        self._is_open = True

    def _met(self, symbol: str, epoch: str) -> int:
        """How far the tape had been matched when this venue was opened; 0 when it had not."""
        progress = self._progress.get(symbol)
        return progress.seq if progress is not None and progress.epoch == epoch else 0

    async def _learn(self, symbol: str, epoch: str, seq: int) -> None:
        """Take up a tape at a sequence: trades up to there are not for the orders that are here."""
        instrument = await self._instruments.instrument(symbol)
        self._venue.list_symbol(symbol, instrument.lot_size)
        last = await self._market.latest_trade(symbol)
        now = self._clock.now() if last is None else from_nanos(last.venue_time_ns)
        calendar = await self._instruments.calendar(instrument.calendar)
        self._symbols[symbol] = _Symbol(epoch, calendar, now)
        self._venue.on_trades(symbol, seq + 1, ())

    async def _catch_up(self, symbol: str, top: int) -> None:
        """Match durable trades that were never handed over, up to `top`; commands are younger and wait."""
        while (position := self._venue.position(symbol)) < top:
            batches = await self._history.trades_after(symbol, position, min(HISTORY_LIMIT, top - position))
            if not batches:
                return
            for batch in batches:
                await self._match(symbol, batch, hears_commands=False)

    async def _match(self, symbol: str, batch: TradeBatch, *, hears_commands: bool) -> None:
        """Match a batch, cut where a session ends: day orders do not see the trades after it."""
        known = self._symbols[symbol]
        trades: Sequence[Trade] = batch.trades
        first_seq = batch.first_seq
        while trades:
            count = _before(trades, self._desk.next_expiry(symbol))
            part = trades[:count]
            if part:
                known.now = from_nanos(part[0].venue_time_ns)
                limit = COMMAND_LIMIT if hears_commands and self._is_poll_due() else 0
                await self._desk.deal(
                    lambda part=part, seq=first_seq: self._venue.on_trades(symbol, seq, part),  # type: ignore[misc]
                    commands_limit=limit,
                )
                known.now = from_nanos(part[-1].venue_time_ns)
            trades, first_seq = trades[count:], first_seq + count
            if trades:
                known.now = from_nanos(trades[0].venue_time_ns)
                await self._desk.settle(self._desk.expire_due(symbol, known.now))

    def _day_end(self, symbol: str) -> datetime:
        known = self._symbols[symbol]
        return known.calendar.day_end(known.now)


def _before(trades: Sequence[Trade], expiry: datetime | None) -> int:
    """How many of the trades come before an instant."""
    if expiry is None:
        return len(trades)
    expiry_ns = to_micros(expiry) * 1000
    if trades[-1].venue_time_ns < expiry_ns:
        return len(trades)
    return next(place for place, trade in enumerate(trades) if trade.venue_time_ns >= expiry_ns)
