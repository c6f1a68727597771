"""The channels of market data: `trades:SYMBOL`, `quotes:SYMBOL`, `book:SYMBOL`, `bars:SYMBOL:INTERVAL`."""

from datetime import datetime
from typing import ClassVar

import msgspec

from agio.kernel.time import format_micros, to_micros
from agio.marketdata.errors import TickStoreUnavailable, UnknownInstrument
from agio.marketdata.events import (
    INTERVALS,
    Bars,
    BookDelta,
    Interval,
    Quote,
    TradeBatch,
    bars_subject,
    book_subject,
    quotes_subject,
    trades_subject,
)
from agio.marketdata.history import TradeTable
from agio.marketdata.instruments import InstrumentDirectory
from agio.marketdata.market_view import MarketView
from agio.marketdata.model import Instrument
from agio.marketdata.rendering import (
    BarView,
    QuoteView,
    TradePayload,
    TradeWriter,
    view_bar,
    view_levels,
    view_quote,
)
from agio.platform.channels import (
    ChannelClass,
    ChannelHandle,
    ChannelKind,
    PayloadType,
    Push,
    Subscriber,
    UnknownChannel,
)
from agio.platform.db import Database

_SCOPE = "market:read"
_json = msgspec.json.Encoder().encode


def channel_kinds(
    database: Database,
    instruments: InstrumentDirectory,
    view: MarketView,
    history: TradeTable | None = None,
) -> list[ChannelKind]:
    """Everything that this room offers to the streaming edge."""
    return [
        TradesChannel(history or TradeTable(database), instruments),
        QuotesChannel(instruments, view),
        BookChannel(instruments, view),
        BarsChannel(instruments, view),
    ]


async def _instrument(instruments: InstrumentDirectory, symbol: str) -> Instrument:
    try:
        return await instruments.instrument(symbol)
    except UnknownInstrument as error:
        raise UnknownChannel("there is no such instrument; GET /api/instruments lists them") from error


class TradesChannel:
    name: ClassVar[str] = "trades"
    channel_class: ClassVar[ChannelClass] = ChannelClass.LOG
    scope: ClassVar[str] = _SCOPE
    payload: ClassVar[PayloadType] = TradePayload

    def __init__(self, history: TradeTable, instruments: InstrumentDirectory) -> None:
        self._history = history
        self._instruments = instruments

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:  # noqa: ARG002
        return TradesHandle(self._history, await _instrument(self._instruments, key))


class TradesHandle:
    """Every trade of a symbol; `q` is the trade's sequence in the table, which `replay` reads."""

    def __init__(self, history: TradeTable, instrument: Instrument) -> None:
        self._history = history
        self._symbol = instrument.symbol
        self._writer = TradeWriter(instrument)
        self.subject = trades_subject(instrument.symbol)
        self.history_url: str | None = f"/api/market/{instrument.symbol}/trades"

    def decode(self, payload: bytes) -> list[Push]:
        return self._pushes(msgspec.msgpack.decode(payload, type=TradeBatch))

    async def position(self) -> tuple[str, int]:
        """Epoch and top sequence; an instrument has its epoch from its creation on."""
        return await self._history.position(self._symbol)

    async def replay(self, after: int, limit: int) -> list[Push]:
        """Ascending; begins later than `after` + 1 where the oldest trades have been swept away.

        Also where the tick store does not answer: its trades are gone for the moment.
        """
        try:
            batches = await self._history.trades_after(self._symbol, after, limit)
        except TickStoreUnavailable:
            batches = await self._history.new_trades_after(self._symbol, after, limit)
        return [push for batch in batches for push in self._pushes(batch)]

    async def locate(self, instant: datetime, after: int) -> int | None:
        """By venue time, as REST's `start` (see `TimedHistory`)."""
        return await self._history.first_sequence(self._symbol, to_micros(instant) * 1_000, after)

    async def snapshot(self) -> list[Push]:
        return []

    def _pushes(self, batch: TradeBatch) -> list[Push]:
        write, instant = self._writer.write, batch.received_us
        return [Push(seq, instant, write(trade)) for seq, trade in enumerate(batch.trades, batch.first_seq)]


class _StateHandle:
    """What the handles of state and books have in common: no history."""

    history_url: str | None = None

    def __init__(self, view: MarketView, instrument: Instrument, subject: str) -> None:
        self._view = view
        self._instrument = instrument
        self.subject = subject

    async def position(self) -> tuple[str, int]:
        return "", 0

    async def replay(self, after: int, limit: int) -> list[Push]:  # noqa: ARG002
        return []


class QuotesChannel:
    name: ClassVar[str] = "quotes"
    channel_class: ClassVar[ChannelClass] = ChannelClass.STATE
    scope: ClassVar[str] = _SCOPE
    payload: ClassVar[PayloadType] = QuoteView

    def __init__(self, instruments: InstrumentDirectory, view: MarketView) -> None:
        self._instruments = instruments
        self._view = view

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:  # noqa: ARG002
        return QuotesHandle(self._view, await _instrument(self._instruments, key), quotes_subject(key))


class QuotesHandle(_StateHandle):
    def decode(self, payload: bytes) -> list[Push]:
        return [self._push(msgspec.msgpack.decode(payload, type=Quote))]

    async def snapshot(self) -> list[Push]:
        quote = await self._view.latest_quote(self._instrument.symbol)
        return [self._push(quote)] if quote is not None else []

    def _push(self, quote: Quote) -> Push:
        return Push(quote.q, quote.told_us, _json(view_quote(quote, self._instrument)))


class BookLevels(msgspec.Struct, omit_defaults=True):
    """Levels as [price, size]; a delta's size of \"0\" deletes its level."""

    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    doubt: str | None = None
    """Why there is no book just now; then both sides are empty, and the next book comes whole."""


class BookChannel:
    name: ClassVar[str] = "book"
    channel_class: ClassVar[ChannelClass] = ChannelClass.BOOK
    scope: ClassVar[str] = _SCOPE
    payload: ClassVar[PayloadType] = BookLevels

    def __init__(self, instruments: InstrumentDirectory, view: MarketView) -> None:
        self._instruments = instruments
        self._view = view

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:  # noqa: ARG002
        return BookHandle(self._view, await _instrument(self._instruments, key), book_subject(key))


class BookHandle(_StateHandle):
    def decode(self, payload: bytes) -> list[Push]:
        return [self._push(msgspec.msgpack.decode(payload, type=BookDelta))]

    async def snapshot(self) -> list[Push]:
        """The whole book as the engine last told it; empty when it knows none."""
        snapshot = await self._view.snapshot(self._instrument.symbol)
        return [self._push(snapshot.book)] if snapshot is not None and snapshot.book is not None else []

    def _push(self, delta: BookDelta) -> Push:
        levels = BookLevels(
            view_levels(delta.bids, self._instrument), view_levels(delta.asks, self._instrument), delta.doubt
        )
        is_whole = delta.p is None
        return Push(delta.q, delta.told_us, _json(levels), p=delta.p, crc=delta.crc, snapshot=is_whole)


class BarsChannel:
    name: ClassVar[str] = "bars"
    channel_class: ClassVar[ChannelClass] = ChannelClass.STATE
    scope: ClassVar[str] = _SCOPE
    payload: ClassVar[PayloadType] = BarView

    def __init__(self, instruments: InstrumentDirectory, view: MarketView) -> None:
        self._instruments = instruments
        self._view = view

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:  # noqa: ARG002
        symbol, _, wanted = key.partition(":")
        interval = next((interval for interval in INTERVALS if interval == wanted), None)
        if interval is None:
            raise UnknownChannel(f"bars:SYMBOL:INTERVAL with an interval of {', '.join(INTERVALS)}")
        return BarsHandle(self._view, await _instrument(self._instruments, symbol), interval)


class BarsHandle(_StateHandle):
    """Candles by their start: the one in progress, and each one that ended since the last message."""

    def __init__(self, view: MarketView, instrument: Instrument, interval: Interval) -> None:
        super().__init__(view, instrument, bars_subject(instrument.symbol, interval))
        self._interval = interval

    def decode(self, payload: bytes) -> list[Push]:
        return self._pushes(msgspec.msgpack.decode(payload, type=Bars))

    async def snapshot(self) -> list[Push]:
        snapshot = await self._view.snapshot(self._instrument.symbol)
        told = snapshot.bars if snapshot is not None else []
        return [push for bars in told if bars.interval == self._interval for push in self._pushes(bars)]

    def _pushes(self, bars: Bars) -> list[Push]:
        return [
            Push(
                bars.q,
                bars.told_us,
                _json(view_bar(bar, self._instrument)),
                key=format_micros(bar.start_ns // 1000),
            )
            for bar in bars.bars
        ]
