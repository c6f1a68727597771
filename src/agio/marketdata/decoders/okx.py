"""OKX's WebSocket 5: books, trades, tickers, and both proofs of a book.

Sources: OKX API guide, "WS / Order book channel", "Checksum", "Sequence ID". Until 2026 each book message
carried a CRC32 of the best 25 levels; since then `checksum` is 0 and the chain of `prevSeqId` and `seqId`
proves the book. Whatever a message carries is checked. A trade's side is the taker's.
"""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Final
from zlib import crc32

import msgspec

from agio.marketdata.books.continuity import Doubted, VenueBook, VenueBooks
from agio.marketdata.decoders.decoder import BadFrame, Decoder, Market, is_symbol
from agio.marketdata.decoders.numbers import milliseconds_to_ns
from agio.marketdata.normalised import (
    Aggressor,
    BookChange,
    BookSnapshot,
    BookUpdate,
    Channel,
    Heartbeat,
    Instrument,
    Message,
    Quote,
    Side,
    Status,
    Subscription,
    Trade,
    TradingState,
    Unread,
    Verdict,
)

CHECKSUM_DEPTH: Final = 25

_CHANNELS: Final[dict[str, Channel]] = {
    "books": "book",
    "books-l2-tbt": "book",
    "books50-l2-tbt": "book",
    "trades": "trades",
    "trades-all": "trades",
    "tickers": "quotes",
}
_AGGRESSORS: Final[dict[str, Aggressor]] = {"buy": "buy", "sell": "sell"}
_STATES: Final[dict[str, TradingState]] = {"live": "open", "suspend": "halted", "preopen": "closed"}


class _Argument(msgspec.Struct):
    channel: str = ""
    instrument: str | None = msgspec.field(name="instId", default=None)


class _Frame(msgspec.Struct):
    arg: _Argument | None = None
    action: str | None = None
    event: str | None = None
    code: str = ""
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")


class _Book(msgspec.Struct, gc=False):
    """Rows are [price, size, liquidation orders, orders]; the last two came and went over the years."""

    asks: list[list[str]]
    bids: list[list[str]]
    ts: str
    checksum: int = 0
    sequence: int | None = msgspec.field(name="seqId", default=None)
    previous: int | None = msgspec.field(name="prevSeqId", default=None)


class _Trade(msgspec.Struct, gc=False):
    trade_id: str = msgspec.field(name="tradeId")
    price: str = msgspec.field(name="px")
    size: str = msgspec.field(name="sz")
    side: str
    ts: str


class _Ticker(msgspec.Struct, gc=False):
    ts: str
    ask: str = msgspec.field(name="askPx")
    ask_size: str = msgspec.field(name="askSz")
    bid: str = msgspec.field(name="bidPx")
    bid_size: str = msgspec.field(name="bidSz")


class _Instrument(msgspec.Struct):
    instrument: str = msgspec.field(name="instId")
    tick: str = msgspec.field(name="tickSz", default="")
    lot: str = msgspec.field(name="lotSz", default="")
    state: str = "live"


class _Instruments(msgspec.Struct):
    data: list[_Instrument]


_read_frame: Final = msgspec.json.Decoder(_Frame).decode
_read_books: Final = msgspec.json.Decoder(list[_Book]).decode
_read_trades: Final = msgspec.json.Decoder(list[_Trade]).decode
_read_tickers: Final = msgspec.json.Decoder(list[_Ticker]).decode


def read_instruments(body: str | bytes) -> list[Instrument]:
    """Instruments of REST `/api/v5/public/instruments`. Raises msgspec.DecodeError."""
    return list(_instruments(msgspec.json.decode(body, type=_Instruments).data))


def _instruments(found: list[_Instrument]) -> Iterator[Instrument]:
    for one in found:
        try:
            tick, lot = Decimal(one.tick), Decimal(one.lot)
        except InvalidOperation:  # pre-open listings have empty steps
            continue
        if is_symbol(one.instrument) and tick > 0 and lot > 0:
            yield Instrument(
                "OKX", one.instrument, one.instrument, tick, lot, _STATES.get(one.state, "unknown")
            )


class OkxDecoder(Decoder):
    """Frames of `wss://ws.okx.com:8443/ws/v5/public`: books, trades, tickers, and the events around them."""

    venue = "OKX"

    def _read(self, frame: str | bytes, received_ns: int) -> list[Message]:
        if frame in ("pong", b"pong"):
            return [Heartbeat(received_ns)]
        message = _read_frame(frame)
        if message.event is not None:
            return [self._read_event(message, received_ns)]
        if message.arg is None:
            raise BadFrame("shape", "neither an event nor data")
        return self._read_data(message, message.arg, frame, received_ns)

    def _read_data(
        self, message: _Frame, arg: _Argument, frame: str | bytes, received_ns: int
    ) -> list[Message]:
        channel = _CHANNELS.get(arg.channel)
        symbol = self._symbol(arg.instrument)
        try:
            if channel == "book":
                return [*_books(self._market(arg.instrument or ""), message, received_ns)]
            if channel == "trades":
                market = self._market(arg.instrument or "")
                return [_trade(market, one, received_ns) for one in _read_trades(message.data)]
            if channel == "quotes":
                market = self._market(arg.instrument or "")
                return [_quote(market, one, received_ns) for one in _read_tickers(message.data)]
        except Exception as fault:
            return [self._malformed(fault, frame, received_ns, symbol=symbol, channel=channel or "unknown")]
        return [Unread(received_ns, None, arg.channel)]

    def _read_event(self, message: _Frame, received_ns: int) -> Message:
        arg = message.arg or _Argument()
        words = f"{message.code} {message.msg}".strip()
        match message.event:
            case "subscribe" | "unsubscribe" | "error":
                return Subscription(
                    self._symbol(arg.instrument),
                    received_ns,
                    None,
                    _CHANNELS.get(arg.channel, "unknown"),
                    message.event == "subscribe",
                    words if message.event == "error" else None,
                )
            case "notice":
                return Status(None, None, received_ns, None, "unknown", words)
            case name:
                return Unread(received_ns, None, name or "")


def _books(market: Market, message: _Frame, received_ns: int) -> Iterator[BookSnapshot | BookUpdate]:
    for book in _read_books(message.data):
        venue_ns = milliseconds_to_ns(book.ts)
        checksum = book.checksum or None
        if checksum is None and book.sequence is None:
            raise BadFrame("shape", "a book without checksum and without sequence can't be proven")
        bids, asks = _levels(market, "bid", book.bids), _levels(market, "ask", book.asks)
        if message.action == "snapshot":
            bids, asks = (tuple(level for level in side if level.size) for side in (bids, asks))
            yield BookSnapshot(market.symbol, venue_ns, received_ns, book.sequence, bids, asks, checksum)
        elif message.action == "update":
            yield BookUpdate(
                market.symbol,
                venue_ns,
                received_ns,
                book.sequence,
                bids + asks,
                last_sequence=book.sequence,
                previous_sequence=book.previous,
                checksum=checksum,
            )
        else:
            raise BadFrame("shape", f"action {message.action!r}")


def _levels(market: Market, side: Side, rows: list[list[str]]) -> tuple[BookChange, ...]:
    return tuple(
        BookChange(side, market.price(row[0]), market.size(row[1]), f"{row[0]}:{row[1]}") for row in rows
    )


def _trade(market: Market, trade: _Trade, received_ns: int) -> Trade:
    return Trade(
        market.symbol,
        milliseconds_to_ns(trade.ts),
        received_ns,
        None,
        market.price(trade.price),
        market.size(trade.size),
        _AGGRESSORS.get(trade.side, "unknown"),
        trade.trade_id,
    )


def _quote(market: Market, ticker: _Ticker, received_ns: int) -> Quote:
    bid = market.best(ticker.bid, ticker.bid_size)
    ask = market.best(ticker.ask, ticker.ask_size)
    return Quote(market.symbol, milliseconds_to_ns(ticker.ts), received_ns, None, *bid, *ask)


class OkxBook(VenueBook):
    """A book checked by the chain of sequence numbers and by the CRC32 of its best 25 levels."""

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self._bids: dict[int, str] = {}
        self._asks: dict[int, str] = {}
        self._chain: tuple[int | None, int | None] = (None, None)
        """(previous, own) sequence of the last message."""

    def checksum(self) -> int:
        """`bid:size:ask:size:bid:size...`, best first; the longer side goes on alone; a signed integer."""
        bids = [self._bids[price] for price in self.levels.bids.prices(CHECKSUM_DEPTH)]
        asks = [self._asks[price] for price in self.levels.asks.prices(CHECKSUM_DEPTH)]
        shorter = min(len(bids), len(asks))
        mixed = [text for pair in zip(bids, asks, strict=False) for text in pair]
        unsigned = crc32(":".join(mixed + bids[shorter:] + asks[shorter:]).encode())
        return unsigned - (1 << 32) if unsigned >> 31 else unsigned

    def _start(self, snapshot: BookSnapshot) -> None:
        self.levels.replace(snapshot.bids, snapshot.asks)
        self._bids = {level.price: level.digest for level in snapshot.bids}
        self._asks = {level.price: level.digest for level in snapshot.asks}
        self._chain = (None, snapshot.sequence)
        self._check(snapshot.checksum)

    def _change(self, update: BookUpdate) -> None:
        chain = (update.previous_sequence, update.last_sequence)
        if update.last_sequence is not None:
            if chain == self._chain and chain[0] != chain[1]:
                return  # told twice
            if update.previous_sequence != self._chain[1]:
                raise Doubted(Verdict.GAP, f"after {self._chain[1]}, not after {update.previous_sequence}")
            self.proofs += update.checksum is None
        elif self._chain[1] is not None:
            raise Doubted(Verdict.GAP, "the sequence ended")
        self._chain = chain
        self.levels.apply(update.changes)
        for change in update.changes:
            digests = self._bids if change.side == "bid" else self._asks
            if change.size:
                digests[change.price] = change.digest
            else:
                digests.pop(change.price, None)
        self._check(update.checksum)

    def _check(self, expected: int | None) -> None:
        if expected is None:
            return
        if self.checksum() != expected:
            raise Doubted(Verdict.BAD_CHECKSUM, f"checksum {self.checksum()}, the venue's is {expected}")
        self.proofs += 1


class OkxBooks(VenueBooks):
    """The books of one connection to OKX."""

    def __init__(self) -> None:
        super().__init__(OkxBook)
