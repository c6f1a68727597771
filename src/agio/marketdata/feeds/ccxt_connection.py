"""One life of a ccxt exchange: what it says of books and trades becomes our messages.

ccxt keeps the books itself, so of each change we see the book after it and not the message that made it. What
the venue's own rules prove is checked inside ccxt, for some venues only; we check that numbers are exact and
that the book does not cross. A loss that ccxt does not notice is not noticed here.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from agio.marketdata.books.continuity import VenueBook, VenueBooks
from agio.marketdata.books.l2 import L2Side
from agio.marketdata.decoders.numbers import instant_ns
from agio.marketdata.feeds.ccxt_library import Exchange, OffGrid, levels, whole
from agio.marketdata.feeds.connection import Tell
from agio.marketdata.feeds.port import Counters
from agio.marketdata.feeds.runner import ConnectionLost, ConnectionStale
from agio.marketdata.feeds.settings import FeedSettings
from agio.marketdata.feeds.skew import ClockSkew
from agio.marketdata.feeds.telling import apply_and_tell
from agio.marketdata.normalised import (
    Aggressor,
    BookChange,
    BookSnapshot,
    BookUpdate,
    Instrument,
    Malformed,
    Message,
    Side,
    Trade,
    Verdict,
)
from agio.platform.clock import Clock

DEPTH: Final = 100
"""Levels of each side that are followed."""
STALE_SECONDS: Final = 60.0
_AGGRESSORS: Final[dict[object, Aggressor]] = {"buy": "buy", "sell": "sell"}


class ToldBook(VenueBook):
    """A book as ccxt has it. Its `proofs` count the changes that were applied: nothing proves them."""

    def _start(self, snapshot: BookSnapshot) -> None:
        self.levels.replace(snapshot.bids, snapshot.asks)

    def _change(self, update: BookUpdate) -> None:
        self.levels.apply(update.changes)
        self.proofs += 1


class CcxtConnection:
    """Ends by ConnectionLost; another one needs another exchange."""

    def __init__(
        self,
        exchange: Exchange,
        instruments: Mapping[str, Instrument],
        clock: Clock,
        settings: FeedSettings,
        counters: Counters,
        skew: ClockSkew,
        tell: Tell,
    ) -> None:
        self._exchange = exchange
        self._instruments = instruments
        self._clock = clock
        self._settings = settings
        self._counters = counters
        self._skew = skew
        self._tell = tell
        self.books = VenueBooks(ToldBook)
        self.is_alive = False
        self._heard_at = clock.monotonic()
        self._turn = asyncio.Lock()
        self._newest: dict[str, object] = {}
        """The trade of ccxt's list that was taken last."""
        self._failures: dict[str, int] = {}

    @property
    def doubtful(self) -> dict[str, str]:
        found = {}
        for symbol in self._instruments:
            book = self.books.get(symbol)
            if book is None or not book.is_good:
                found[symbol] = "no snapshot yet" if book is None else book.reason
        return found

    @property
    def proofs(self) -> int:
        """ccxt tells us of none."""
        return 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Until `stopping`. Raises ConnectionLost, or what the sink raises."""
        try:
            async with asyncio.TaskGroup() as tasks:
                work = [
                    tasks.create_task(follow(symbol))
                    for symbol in self._instruments
                    for follow in (self._follow_book, self._follow_trades)
                ]
                work.append(tasks.create_task(self._look_after()))
                await stopping.wait()
                for task in work:
                    task.cancel()
        except ExceptionGroup as group:
            lost, others = group.split(ConnectionLost)
            if lost is None or others is not None:
                raise
            raise _first(lost) from group

    async def _follow_book(self, symbol: str) -> None:
        unified = self._instruments[symbol].venue_symbol
        while True:
            try:
                await self._exchange.watch_order_book(unified)
            except Exception as fault:
                await self._doubt(symbol, *_verdict(fault))
            else:
                self._counters.frames += 1
                await self._take_book(symbol, is_new=self.books.good(symbol) is None)
            if self.books.good(symbol) is None:
                await self._resync(symbol, self.doubtful[symbol])
            else:
                self._failures.pop(symbol, None)

    async def _take_book(self, symbol: str, *, is_new: bool) -> None:
        """Take ccxt's book as it is now, whole or as what changed since."""
        async with self._turn:
            instrument = self._instruments[symbol]
            told = self._exchange.orderbooks.get(instrument.venue_symbol)
            if told is None:
                return
            now_ns, venue_ns = self._now_ns(), _venue_ns(told.get("timestamp"))
            try:
                bids, asks = levels(told["bids"], DEPTH, instrument), levels(told["asks"], DEPTH, instrument)
            except OffGrid as fault:
                await self._apply(
                    [Malformed(symbol, now_ns, None, "book", "off_tick", str(fault))], is_life=False
                )
                return
            if is_new:
                whole_bids = tuple(BookChange("bid", *level) for level in bids)
                whole_asks = tuple(BookChange("ask", *level) for level in asks)
                await self._apply(
                    [BookSnapshot(symbol, venue_ns, now_ns, None, whole_bids, whole_asks, depth=DEPTH)]
                )
                return
            changes = self._changes(symbol, bids, asks)
            if changes:
                await self._apply([BookUpdate(symbol, venue_ns, now_ns, None, changes)])

    def _changes(
        self, symbol: str, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]
    ) -> tuple[BookChange, ...]:
        book = self.books.get(symbol)
        if book is None:
            return ()
        return (*_changed("bid", book.levels.bids, bids), *_changed("ask", book.levels.asks, asks))

    async def _follow_trades(self, symbol: str) -> None:
        unified = self._instruments[symbol].venue_symbol
        while True:
            try:
                await self._exchange.watch_trades(unified)
            except Exception as fault:
                raise ConnectionLost(_reason(fault)) from fault
            self._counters.frames += 1
            await self._take_trades(symbol)

    async def _take_trades(self, symbol: str) -> None:
        """Take what ccxt's list has behind the trade that was taken last."""
        async with self._turn:
            instrument = self._instruments[symbol]
            fresh: list[Mapping[str, Any]] = []
            for told in reversed(self._exchange.trades.get(instrument.venue_symbol) or ()):
                if told is self._newest.get(symbol):
                    break
                fresh.append(told)
            if fresh:
                self._newest[symbol] = fresh[0]
                await self._apply([self._trade(instrument, told) for told in reversed(fresh)])

    def _trade(self, instrument: Instrument, told: Mapping[str, Any]) -> Trade | Malformed:
        now_ns, trade_id = self._now_ns(), told.get("id")
        try:
            price, size = whole(told.get("price"), instrument.tick), whole(told.get("amount"), instrument.lot)
        except OffGrid as fault:
            return Malformed(
                instrument.symbol, now_ns, None, "trades", "off_tick", str(fault), str(told)[:120]
            )
        return Trade(
            instrument.symbol,
            _venue_ns(told.get("timestamp")),
            now_ns,
            None,
            price,
            size,
            _AGGRESSORS.get(told.get("side"), "unknown"),
            None if trade_id is None else str(trade_id),
        )

    async def _apply(self, messages: Sequence[Message], *, is_life: bool = True) -> None:
        told, judgements = apply_and_tell(self.books, messages)
        self._counters.messages += len(messages)
        self._counters.malformed += sum(isinstance(message, Malformed) for message in messages)
        if is_life:
            self._heard_at, self.is_alive = self._clock.monotonic(), True
        self._skew.take(messages)
        for judgement in judgements:
            match judgement.verdict:
                case Verdict.GAP:
                    self._counters.gaps += 1
                case Verdict.BAD_CHECKSUM:
                    self._counters.bad_checksums += 1
                case Verdict.CROSSED:
                    self._counters.crossed += 1
                case Verdict.OK:
                    pass
        await self._tell(told, judgements)

    async def _doubt(self, symbol: str, verdict: Verdict, reason: str) -> None:
        """ccxt itself found the book wrong."""
        async with self._turn:
            if verdict is Verdict.BAD_CHECKSUM:
                self._counters.bad_checksums += 1
            else:
                self._counters.gaps += 1
            await self._tell((), self.books.doubt(reason, symbol, verdict))

    async def _resync(self, symbol: str, reason: str) -> None:
        """Ask for the book anew on this connection, where ccxt can; else the connection is given up."""
        tries = self._failures[symbol] = self._failures.get(symbol, 0) + 1
        if tries > self._settings.resync_attempts or not self._exchange.has.get("unWatchOrderBook"):
            raise ConnectionLost(f"{symbol} has no lasting book: {reason}")
        if tries > 1:
            await asyncio.sleep(self._settings.snapshot_seconds * (1 << (tries - 2)))
        self._counters.resyncs += 1
        self._counters.resyncs_of[symbol] = self._counters.resyncs_of.get(symbol, 0) + 1
        unified = self._instruments[symbol].venue_symbol
        with suppress(Exception):  # a book that was never subscribed to can't be left
            async with asyncio.timeout(self._settings.connect_seconds):
                await self._exchange.un_watch_order_book(unified)
        self._exchange.orderbooks.pop(unified, None)

    async def _look_after(self) -> None:
        """ccxt wakes nobody for what came while we were busy: so look, and at the silence too."""
        while True:
            await asyncio.sleep(self._settings.tick_seconds)
            for symbol in self._instruments:
                await self._take_trades(symbol)
                if self.books.good(symbol) is not None:
                    await self._take_book(symbol, is_new=False)
            if self._clock.monotonic() - self._heard_at > STALE_SECONDS:
                raise ConnectionStale(f"no data for {STALE_SECONDS:g} s")

    def _now_ns(self) -> int:
        return self._clock.now_micros() * 1000


def _changed(kind: Side, side: L2Side, rows: Sequence[tuple[int, int]]) -> list[BookChange]:
    """What makes the side's levels these: what went, then what is new or has another size."""
    now = dict(rows)
    gone = [BookChange(kind, price, 0) for price in side.prices(len(side)) if price not in now]
    return gone + [BookChange(kind, price, size) for price, size in rows if side.size(price) != size]


def _venue_ns(milliseconds: object) -> int | None:
    """None where the time is missing, or is none."""
    try:
        return instant_ns(int(milliseconds) * 1_000_000) if isinstance(milliseconds, int | float) else None
    except (ValueError, OverflowError):
        return None


def _verdict(fault: Exception) -> tuple[Verdict, str]:
    """What ccxt's own check found. Raises ConnectionLost for every other fault."""
    match type(fault).__name__:
        case "ChecksumError":
            return Verdict.BAD_CHECKSUM, _reason(fault)
        case "InvalidNonce":
            return Verdict.GAP, _reason(fault)
    raise ConnectionLost(_reason(fault)) from fault


def _reason(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}"[:200]


def _first(group: BaseExceptionGroup[ConnectionLost]) -> ConnectionLost:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            return _first(one)
        return one
    raise group
