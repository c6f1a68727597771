"""Tells the present state of markets: quotes, books, bars and last trades, conflated, with snapshots."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from agio.marketdata.book import changed_levels, checksum
from agio.marketdata.events import (
    INTERVALS,
    STATUS_SUBJECT,
    Bar,
    Bars,
    BookDelta,
    Interval,
    LastTrade,
    Level,
    MarketSnapshot,
    MarketStatus,
    Quote,
    TradeBatch,
    VenueState,
    VenueStatus,
    bars_subject,
    book_subject,
    encode,
    last_subject,
    quotes_subject,
    snapshot_subject,
)
from agio.marketdata.model import Instrument
from agio.platform.bus import Bus
from agio.platform.clock import Clock

STATE_INTERVAL_SECONDS: Final = 0.05
BARS_INTERVAL_SECONDS: Final = 0.25
STATUS_SECONDS: Final = 1.0
STALE_SECONDS: Final = 5.0
MAX_BARS_TOLD: Final = 64
"""Bars in one message; at a high replay speed older ones are left to the history."""


class Book(msgspec.Struct, frozen=True):
    """Whole top levels, best first."""

    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    venue_time_ns: int = 0


class _Symbol:
    """What is known and what has been told of one symbol."""

    __slots__ = (
        "bars",
        "book",
        "doubt",
        "last",
        "quote",
        "read_book",
        "told_bars",
        "told_book",
        "told_doubt",
        "told_last",
        "told_q",
        "told_quote",
    )

    def __init__(self) -> None:
        self.quote: Quote | None = None
        self.book = Book()
        self.read_book: Callable[[], Book | None] | None = None
        self.doubt: str | None = None
        self.last: LastTrade | None = None
        self.bars: dict[Interval, dict[int, Bar]] = {interval: {} for interval in INTERVALS}
        self.told_quote: Quote | None = None
        self.told_book = Book()
        self.told_doubt: str | None = None
        self.told_q: int | None = None
        self.told_last: LastTrade | None = None
        self.told_bars: dict[Interval, Bars] = {}


class Publisher:
    """Implements api.MarketPublisher; `run` sends what the verbs left, as long as it runs.

    One at a time, under the lease of the market: it answers for every symbol.

    The verbs keep only the newest value for each symbol and kind, so memory is bounded by the number of
    symbols; a value is told at once when the last one was told long enough ago, otherwise at its time.
    """

    def __init__(
        self, bus: Bus, clock: Clock, instrument_of: Callable[[str], Instrument | None] = lambda _: None
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._instrument_of = instrument_of
        self._symbols: dict[str, _Symbol] = {}
        self._due: dict[str, Callable[[], bytes | None]] = {}
        self._ready: dict[str, None] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._told_at: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._heard_at: dict[str, float] = {}
        self._watched: dict[str, VenueState] = {}
        self._q = clock.now_micros()
        """Starts at the wall clock, so that it also grows across restarts."""

    def publish_quote(
        self, symbol: str, *, bid: int, bid_size: int, ask: int, ask_size: int, venue_time_ns: int
    ) -> None:
        known = self._symbol(symbol)
        known.quote = Quote(symbol, 0, venue_time_ns, bid, bid_size, ask, ask_size, 0)
        self._schedule(quotes_subject(symbol), STATE_INTERVAL_SECONDS, lambda: self._encode_quote(known))

    def publish_book(
        self, symbol: str, *, bids: Sequence[Level], asks: Sequence[Level], venue_time_ns: int
    ) -> None:
        known = self._symbol(symbol)
        known.book, known.read_book, known.doubt = Book(tuple(bids), tuple(asks), venue_time_ns), None, None
        self._schedule(book_subject(symbol), STATE_INTERVAL_SECONDS, lambda: self._encode_book(symbol, known))

    def follow_book(self, symbol: str, read: Callable[[], Book | None]) -> None:
        """A book changed that is kept elsewhere: `read` is asked when its turn to be told comes.

        None means that it is not right at that moment, and nothing is told.
        """
        known = self._symbol(symbol)
        known.read_book, known.doubt = read, None
        self._schedule(book_subject(symbol), STATE_INTERVAL_SECONDS, lambda: self._encode_book(symbol, known))

    def withdraw_book(self, symbol: str, doubt: str) -> None:
        """What was told of the book and the best prices is not proven any more: everybody hears it at once.

        The next book is told whole.
        """
        known = self._symbol(symbol)
        known.doubt, known.read_book, known.book = doubt, None, Book()
        now = self._clock.now_micros()
        known.quote = Quote(symbol, 0, now * 1000, 0, 0, 0, 0, 0)
        self._tell_at_once(book_subject(symbol), lambda: self._encode_book(symbol, known))
        self._tell_at_once(quotes_subject(symbol), lambda: self._encode_quote(known))

    def publish_last(self, batch: TradeBatch) -> None:
        """Take in the newest of some recorded trades."""
        known, trade = self._symbol(batch.symbol), batch.trades[-1]
        known.last = LastTrade(
            batch.symbol,
            batch.epoch,
            batch.last_seq,
            trade.venue_time_ns,
            trade.price,
            trade.size,
            trade.side,
            trade.trade_id,
            batch.received_us,
        )
        self._schedule(last_subject(batch.symbol), STATE_INTERVAL_SECONDS, lambda: self._encode_last(known))

    def publish_bars(self, bars: Sequence[Bar]) -> None:
        """Take in the newest values of some bars of one symbol."""
        for bar in bars:
            known = self._symbol(bar.symbol)
            pending = known.bars[bar.interval]
            pending.pop(bar.start_ns, None)
            pending[bar.start_ns] = bar
            if len(pending) > MAX_BARS_TOLD:
                del pending[next(iter(pending))]
            self._schedule_bars(known, bar.symbol, bar.interval)

    def touch(self, venue: str) -> None:
        self._heard_at[venue] = self._clock.monotonic()

    def close_venue(self, venue: str) -> None:
        self._heard_at[venue] = float("-inf")

    def set_venue(self, venue: str, state: VenueState) -> None:
        """For a venue that is watched elsewhere: its state is what was said last, however long ago."""
        self._watched[venue] = state

    async def run(self) -> None:
        """Send until cancelled: state as it becomes due, the status every second, snapshots on request."""
        responder = await self._bus.respond(snapshot_subject("*"), self._answer_snapshot)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send())
                tasks.create_task(self._tell_status())
        finally:
            await responder.unsubscribe()
            for timer in self._timers.values():
                timer.cancel()

    def snapshot(self, symbol: str) -> MarketSnapshot:
        """What was last told of a symbol."""
        known = self._symbols.get(symbol) or _Symbol()
        whole = None
        if known.told_q is not None:
            book = known.told_book
            whole = BookDelta(
                symbol,
                known.told_q,
                None,
                book.venue_time_ns,
                checksum(book.bids, book.asks),
                list(book.bids),
                list(book.asks),
                self._clock.now_micros(),
                known.told_doubt,
            )
        return MarketSnapshot(
            symbol, known.told_quote, whole, known.told_last, list(known.told_bars.values())
        )

    def status(self) -> MarketStatus:
        states = {venue: self._state(heard_at) for venue, heard_at in self._heard_at.items()} | self._watched
        venues = [VenueStatus(venue, state) for venue, state in sorted(states.items())]
        return MarketStatus(venues, self._clock.now_micros())

    def _symbol(self, symbol: str) -> _Symbol:
        instrument = self._instrument_of(symbol)
        if instrument is not None:
            self.touch(instrument.venue)
        known = self._symbols.get(symbol)
        if known is None:
            known = self._symbols[symbol] = _Symbol()
        return known

    def _schedule_bars(self, known: _Symbol, symbol: str, interval: Interval) -> None:
        subject = bars_subject(symbol, interval)
        if subject not in self._due:
            self._schedule(subject, BARS_INTERVAL_SECONDS, lambda: self._encode_bars(known, symbol, interval))

    def _schedule(self, subject: str, interval_seconds: float, make: Callable[[], bytes | None]) -> None:
        if subject in self._due:
            return
        self._due[subject] = make
        loop = asyncio.get_running_loop()
        wait_seconds = self._told_at.get(subject, float("-inf")) + interval_seconds - loop.time()
        if wait_seconds <= 0:
            self._mark_ready(subject)
        else:
            self._timers[subject] = loop.call_later(wait_seconds, self._mark_ready, subject)

    def _tell_at_once(self, subject: str, make: Callable[[], bytes | None]) -> None:
        timer = self._timers.get(subject)
        if timer is not None:
            timer.cancel()
        self._due[subject] = make
        self._mark_ready(subject)

    def _mark_ready(self, subject: str) -> None:
        self._timers.pop(subject, None)
        self._ready[subject] = None
        self._wake.set()

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ready:
                subject = next(iter(self._ready))
                del self._ready[subject]
                payload = self._due.pop(subject)()
                if payload is not None:
                    self._told_at[subject] = asyncio.get_running_loop().time()
                    await self._bus.publish(subject, payload)

    async def _tell_status(self) -> None:
        while True:
            await self._bus.publish(STATUS_SUBJECT, encode(self.status()))
            await asyncio.sleep(STATUS_SECONDS)

    async def _answer_snapshot(self, subject: str, _: bytes) -> bytes:
        return encode(self.snapshot(subject.rpartition(".")[2]))

    def _next_q(self) -> int:
        self._q += 1
        return self._q

    def _state(self, heard_at: float) -> VenueState:
        if heard_at == float("-inf"):
            return "closed"
        return "live" if self._clock.monotonic() - heard_at < STALE_SECONDS else "stale"

    def _encode_quote(self, known: _Symbol) -> bytes | None:
        quote, told = known.quote, known.told_quote
        if quote is None or (told is not None and _same_quote(quote, told)):
            return None
        known.told_quote = msgspec.structs.replace(quote, q=self._next_q(), told_us=self._clock.now_micros())
        return encode(known.told_quote)

    def _encode_book(self, symbol: str, known: _Symbol) -> bytes | None:
        book = known.read_book() if known.read_book is not None else known.book
        if book is None:
            return None
        told, previous_q = known.told_book, known.told_q
        if known.doubt != known.told_doubt:
            told, previous_q = Book(), None
        bids, asks = changed_levels(told.bids, book.bids), changed_levels(told.asks, book.asks)
        if previous_q is not None and not bids and not asks:
            return None
        known.told_book, known.told_q, known.told_doubt = book, self._next_q(), known.doubt
        delta = BookDelta(
            symbol,
            known.told_q,
            previous_q,
            book.venue_time_ns,
            checksum(book.bids, book.asks),
            bids,
            asks,
            self._clock.now_micros(),
            known.doubt,
        )
        return encode(delta)

    def _encode_last(self, known: _Symbol) -> bytes | None:
        known.told_last = known.last
        return encode(known.last) if known.last is not None else None

    def _encode_bars(self, known: _Symbol, symbol: str, interval: Interval) -> bytes | None:
        bars = sorted(known.bars[interval].values(), key=lambda bar: bar.start_ns)
        known.bars[interval].clear()
        if not bars:
            return None
        told = Bars(symbol, interval, self._next_q(), self._clock.now_micros(), bars)
        known.told_bars[interval] = msgspec.structs.replace(told, bars=bars[-1:])
        return encode(told)


def _same_quote(quote: Quote, told: Quote) -> bool:
    return (quote.bid, quote.bid_size, quote.ask, quote.ask_size) == (
        told.bid,
        told.bid_size,
        told.ask,
        told.ask_size,
    )
