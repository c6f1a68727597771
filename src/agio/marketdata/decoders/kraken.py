"""Kraken's WebSocket 1 and its book checksum.

Sources: Kraken's guides "Spot Websockets (v1) Book Checksum" and the message descriptions of version 1.
A trade's side is that of the order that triggered it. Frames carry no sequence: what proves a book is the
CRC32 of its best ten levels in every update. A level below the tenth is proven when it comes up.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final
from zlib import crc32

import msgspec

from agio.marketdata.books.continuity import Doubted, VenueBook, VenueBooks
from agio.marketdata.decoders.decoder import BadFrame, Decoder, Market, is_symbol
from agio.marketdata.decoders.numbers import decimal_step, seconds_to_ns
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

CHECKSUM_DEPTH: Final = 10

_CHANNELS: Final[dict[str, Channel]] = {"book": "book", "trade": "trades", "ticker": "quotes"}
_AGGRESSORS: Final[dict[str, Aggressor]] = {"b": "buy", "s": "sell"}
_ORDER_TYPES: Final = {"l": "limit", "m": "market"}
_STATES: Final[dict[str, TradingState]] = {
    "online": "open",
    "cancel_only": "cancel_only",
    "post_only": "halted",
    "limit_only": "halted",
    "maintenance": "closed",
}
_ASSETS: Final = {"XBT": "BTC", "XDG": "DOGE"}


class _Event(msgspec.Struct):
    event: str
    status: str = ""
    version: str = ""
    pair: str | None = None
    channel_name: str | None = msgspec.field(name="channelName", default=None)
    error: str = msgspec.field(name="errorMessage", default="")


class _Book(msgspec.Struct, gc=False):
    """Rows are [price, volume, time] and in updates sometimes a fourth, "r": republished."""

    a: list[list[str]] | None = None
    b: list[list[str]] | None = None
    c: str | None = None
    starting_asks: list[list[str]] | None = msgspec.field(name="as", default=None)
    starting_bids: list[list[str]] | None = msgspec.field(name="bs", default=None)


_TickerSide = tuple[str, msgspec.Raw, str]


class _Ticker(msgspec.Struct, gc=False):
    a: _TickerSide
    b: _TickerSide


class _Pair(msgspec.Struct):
    pair_decimals: int
    lot_decimals: int
    wsname: str = ""
    status: str = "online"
    tick_size: str | None = None


class _Pairs(msgspec.Struct):
    result: dict[str, _Pair]


_read_parts: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_text: Final = msgspec.json.Decoder(str).decode
_read_event: Final = msgspec.json.Decoder(_Event).decode
_read_book: Final = msgspec.json.Decoder(_Book).decode
_read_ticker: Final = msgspec.json.Decoder(_Ticker).decode
_read_trades: Final = msgspec.json.Decoder(list[tuple[str, str, str, str, str, str]]).decode


def read_instruments(body: str | bytes) -> list[Instrument]:
    """Instruments of REST `AssetPairs`. Raises msgspec.DecodeError."""
    return list(_instruments(msgspec.json.decode(body, type=_Pairs)))


def _instruments(pairs: _Pairs) -> Iterator[Instrument]:
    for pair in pairs.result.values():
        symbol = "-".join(_ASSETS.get(asset, asset) for asset in pair.wsname.split("/"))
        if is_symbol(symbol):
            yield Instrument(
                "KRAKEN",
                symbol,
                pair.wsname,
                decimal_step(pair.pair_decimals),
                decimal_step(pair.lot_decimals),
                _STATES.get(pair.status, "unknown"),
                Decimal(pair.tick_size) if pair.tick_size else None,
            )


class KrakenDecoder(Decoder):
    """Frames of `wss://ws.kraken.com`: book, trade, ticker, and the events around them."""

    venue = "KRAKEN"

    def _read(self, frame: str | bytes, received_ns: int) -> list[Message]:
        if frame[:1] in ("[", b"["):
            return [*self._read_data(frame, received_ns)]
        return [self._read_event(_read_event(frame), received_ns)]

    def _read_data(self, frame: str | bytes, received_ns: int) -> list[Message]:
        """`[channel id, part, ..., channel name, pair]`; a book update has one part for each side."""
        parts = _read_parts(frame)
        if len(parts) < 4:
            raise BadFrame("shape", f"{len(parts)} parts")
        name, _, depth = _read_text(parts[-2]).partition("-")
        channel = _CHANNELS.get(name)
        if channel is None:
            return [Unread(received_ns, None, name)]
        symbol = None
        try:
            market = self._market(_read_text(parts[-1]))
            symbol = market.symbol
            if channel == "book":
                return [_book_message(market, parts[1:-2], depth, received_ns)]
            if channel == "trades":
                return [*_trades(market, parts[1], received_ns)]
            return [_quote(market, parts[1], received_ns)]
        except Exception as fault:
            return [self._malformed(fault, frame, received_ns, symbol=symbol, channel=channel)]

    def _read_event(self, event: _Event, received_ns: int) -> Message:
        match event.event:
            case "heartbeat" | "pong":
                return Heartbeat(received_ns)
            case "systemStatus":
                state = _STATES.get(event.status, "unknown")
                return Status(None, None, received_ns, None, state, event.status)
            case "subscriptionStatus" | "error":
                name = (event.channel_name or "").partition("-")[0]
                return Subscription(
                    self._symbol(event.pair),
                    received_ns,
                    None,
                    _CHANNELS.get(name, "unknown"),
                    event.status == "subscribed",
                    event.error or "error" if event.status in ("error", "") else None,
                )
            case name:
                return Unread(received_ns, None, name)


def _book_message(
    market: Market, parts: list[msgspec.Raw], depth: str, received_ns: int
) -> BookSnapshot | BookUpdate:
    first = _read_book(parts[0])
    if first.starting_asks is not None and first.starting_bids is not None and len(parts) == 1:
        return BookSnapshot(
            market.symbol,
            _newest(first.starting_bids + first.starting_asks),
            received_ns,
            None,
            tuple(level for level in _changes(market, "bid", first.starting_bids) if level.size),
            tuple(level for level in _changes(market, "ask", first.starting_asks) if level.size),
            depth=int(depth) if depth else None,
        )
    changes: list[BookChange] = []
    rows: list[list[str]] = []
    checksum = None
    for body in (first, *(_read_book(part) for part in parts[1:])):
        changes += _changes(market, "ask", body.a or [])
        changes += _changes(market, "bid", body.b or [])
        rows += (body.a or []) + (body.b or [])
        checksum = body.c or checksum
    if not changes or checksum is None:
        raise BadFrame("shape", "a book update without levels or without a checksum")
    return BookUpdate(
        market.symbol, _newest(rows), received_ns, None, tuple(changes), checksum=_checksum(checksum)
    )


def _changes(market: Market, side: Side, rows: list[list[str]]) -> Iterator[BookChange]:
    for row in rows:
        price, size = row[0], row[1]
        yield BookChange(side, market.price(price), market.size(size), _digits(price) + _digits(size))


def _digits(text: str) -> str:
    """The text without its point and without the zeros before its first other digit."""
    return text.replace(".", "").lstrip("0")


def _newest(rows: list[list[str]]) -> int | None:
    return max((seconds_to_ns(row[2]) for row in rows), default=None)


def _checksum(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise BadFrame("number", f"checksum {text[:40]!r}")
    return int(text)


def _trades(market: Market, part: msgspec.Raw, received_ns: int) -> Iterator[Trade]:
    """Rows are [price, volume, time, side, order type, miscellaneous]."""
    for price, size, time, side, order_type, words in _read_trades(part):
        kind = _ORDER_TYPES.get(order_type)
        yield Trade(
            market.symbol,
            seconds_to_ns(time),
            received_ns,
            None,
            market.price(price),
            market.size(size),
            _AGGRESSORS.get(side, "unknown"),
            None,
            ((kind,) if kind else ()) + ((words,) if words else ()),
        )


def _quote(market: Market, part: msgspec.Raw, received_ns: int) -> Quote:
    ticker = _read_ticker(part)
    bid = market.best(ticker.b[0], ticker.b[2])
    ask = market.best(ticker.a[0], ticker.a[2])
    return Quote(market.symbol, None, received_ns, None, *bid, *ask)


class KrakenBook(VenueBook):
    """A book as deep as its subscription, checked by the CRC32 of its best ten levels."""

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self._bids: dict[int, str] = {}
        self._asks: dict[int, str] = {}
        self._depth: int | None = None

    def checksum(self) -> int:
        """Asks from the lowest price, then bids from the highest: digits of price, digits of volume."""
        asks, bids = self.levels.asks.prices(CHECKSUM_DEPTH), self.levels.bids.prices(CHECKSUM_DEPTH)
        text = "".join([self._asks[price] for price in asks] + [self._bids[price] for price in bids])
        return crc32(text.encode())

    def _start(self, snapshot: BookSnapshot) -> None:
        self.levels.replace(snapshot.bids, snapshot.asks)
        self._bids = {level.price: level.digest for level in snapshot.bids}
        self._asks = {level.price: level.digest for level in snapshot.asks}
        self._depth = snapshot.depth

    def _change(self, update: BookUpdate) -> None:
        levels = self.levels
        levels.apply(update.changes)
        for change in update.changes:
            digests = self._bids if change.side == "bid" else self._asks
            if change.size:
                digests[change.price] = change.digest
            else:
                digests.pop(change.price, None)
        if self._depth is not None:
            for price in levels.bids.truncate(self._depth):
                del self._bids[price]
            for price in levels.asks.truncate(self._depth):
                del self._asks[price]
        if self.checksum() != update.checksum:
            raise Doubted(
                Verdict.BAD_CHECKSUM, f"checksum {self.checksum()}, the venue's is {update.checksum}"
            )
        self.proofs += 1


class KrakenBooks(VenueBooks):
    """The books of one connection to Kraken."""

    def __init__(self) -> None:
        super().__init__(KrakenBook)
