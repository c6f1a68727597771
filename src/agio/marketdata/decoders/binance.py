"""Binance's spot streams, and the documented way to a right book from a REST snapshot and the depth stream.

Source: Binance spot documentation, "How to manage a local order book correctly". Each depth event spans the
update ids U to u; the snapshot has one id. A trade whose buyer is the maker was made by a seller.
"""

from collections import deque
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from agio.marketdata.books.continuity import Doubted, VenueBook, VenueBooks
from agio.marketdata.decoders.decoder import BadFrame, Decoder, Market, is_symbol
from agio.marketdata.decoders.numbers import decimal_step, instant_ns
from agio.marketdata.normalised import (
    BookChange,
    BookSnapshot,
    BookUpdate,
    Channel,
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

MAX_WAITING: Final = 5_000
"""Depth events of a symbol kept while its snapshot is on the way: 500 s at ten a second."""

_CHANNELS: Final[dict[str, Channel]] = {
    "depth": "book",
    "aggTrade": "trades",
    "trade": "trades",
    "bookTicker": "quotes",
}
_STATES: Final[dict[str, TradingState]] = {
    "TRADING": "open",
    "HALT": "halted",
    "BREAK": "halted",
    "AUCTION_MATCH": "auction",
    "END_OF_DAY": "closed",
}


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Envelope(msgspec.Struct):
    stream: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"")
    id: int | str | None = None
    error: _Error | None = None
    event: str | None = msgspec.field(name="e", default=None)
    """Of a frame that came without an envelope."""


_Row = tuple[str, str]


class _Depth(msgspec.Struct, gc=False):
    symbol: str = msgspec.field(name="s")
    time_ms: int = msgspec.field(name="E")
    first: int = msgspec.field(name="U")
    last: int = msgspec.field(name="u")
    bids: list[_Row] = msgspec.field(name="b")
    asks: list[_Row] = msgspec.field(name="a")


class _Trade(msgspec.Struct, gc=False):
    symbol: str = msgspec.field(name="s")
    time_ms: int = msgspec.field(name="T")
    price: str = msgspec.field(name="p")
    size: str = msgspec.field(name="q")
    is_buyer_maker: bool = msgspec.field(name="m")
    aggregate_id: int | None = msgspec.field(name="a", default=None)
    trade_id: int | None = msgspec.field(name="t", default=None)


class _Ticker(msgspec.Struct, gc=False):
    symbol: str = msgspec.field(name="s")
    update: int = msgspec.field(name="u")
    bid: str = msgspec.field(name="b")
    bid_size: str = msgspec.field(name="B")
    ask: str = msgspec.field(name="a")
    ask_size: str = msgspec.field(name="A")


class _Snapshot(msgspec.Struct):
    last: int = msgspec.field(name="lastUpdateId")
    bids: list[_Row]
    asks: list[_Row]


class _Filter(msgspec.Struct):
    kind: str = msgspec.field(name="filterType")
    tick: str = msgspec.field(name="tickSize", default="")
    step: str = msgspec.field(name="stepSize", default="")


class _Symbol(msgspec.Struct):
    symbol: str
    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")
    filters: list[_Filter]
    price_decimals: int = msgspec.field(name="quotePrecision")
    size_decimals: int = msgspec.field(name="baseAssetPrecision")
    status: str = "TRADING"


class _Symbols(msgspec.Struct):
    symbols: list[_Symbol]


_read_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_read_depth: Final = msgspec.json.Decoder(_Depth).decode
_read_trade: Final = msgspec.json.Decoder(_Trade).decode
_read_ticker: Final = msgspec.json.Decoder(_Ticker).decode
_read_snapshot: Final = msgspec.json.Decoder(_Snapshot).decode


def read_instruments(body: str | bytes) -> list[Instrument]:
    """Instruments of REST `exchangeInfo`. Raises msgspec.DecodeError."""
    return list(_instruments(msgspec.json.decode(body, type=_Symbols).symbols))


def _instruments(found: list[_Symbol]) -> Iterator[Instrument]:
    """Counted in the venue's full precision: old orders rest at sizes that are no multiple of `stepSize`."""
    for one in found:
        filters = {each.kind: each for each in one.filters}
        symbol = f"{one.base}-{one.quote}"
        try:
            price_increment = Decimal(filters["PRICE_FILTER"].tick).normalize()
            size_increment = Decimal(filters["LOT_SIZE"].step).normalize()
        except (KeyError, InvalidOperation):
            continue
        if not is_symbol(symbol) or price_increment <= 0 or size_increment <= 0:
            continue
        yield Instrument(
            "BINANCE",
            symbol,
            one.symbol,
            min(decimal_step(one.price_decimals), price_increment),
            min(decimal_step(one.size_decimals), size_increment),
            _STATES.get(one.status, "unknown"),
            price_increment,
            size_increment,
        )


class BinanceDecoder(Decoder):
    """Frames of `wss://stream.binance.com:9443/stream?streams=...`: depth, aggTrade, trade, bookTicker."""

    venue = "BINANCE"

    def decode_snapshot(self, venue_symbol: str, body: str | bytes, received_ns: int) -> Message:
        """REST `/api/v3/depth`, which does not name its symbol; `Malformed` like a frame."""
        symbol = None
        try:
            market = self._market(venue_symbol)
            symbol = market.symbol
            found = _read_snapshot(body)
            bids, asks = _levels(market, "bid", found.bids), _levels(market, "ask", found.asks)
            bids, asks = (tuple(level for level in side if level.size) for side in (bids, asks))
            return BookSnapshot(symbol, None, received_ns, found.last, bids, asks)
        except Exception as fault:
            return self._malformed(fault, body, received_ns, symbol=symbol, channel="book")

    def _read(self, frame: str | bytes, received_ns: int) -> list[Message]:
        envelope = _read_envelope(frame)
        if envelope.stream is None:
            return [_answer(envelope, received_ns)]
        venue_symbol, _, stream = envelope.stream.partition("@")
        name = stream.partition("@")[0]
        channel = _CHANNELS.get(name)
        if channel is None:
            return [Unread(received_ns, None, name)]
        symbol = None
        try:
            market = self._market(venue_symbol.upper())
            symbol = market.symbol
            if channel == "book":
                return [_depth(market, envelope.data, received_ns)]
            if channel == "trades":
                return [_trade(market, envelope.data, received_ns)]
            return [_quote(market, envelope.data, received_ns)]
        except Exception as fault:
            return [self._malformed(fault, frame, received_ns, symbol=symbol, channel=channel)]


def _answer(envelope: _Envelope, received_ns: int) -> Message:
    """A frame that belongs to no stream: the answer to a request, or a word of the server itself."""
    if envelope.error is not None:
        words = f"{envelope.error.code} {envelope.error.msg}"
        return Subscription(None, received_ns, None, "unknown", is_active=False, error=words)
    if envelope.event == "serverShutdown":
        return Status(None, None, received_ns, None, "closed", envelope.event)
    if envelope.event is not None:
        return Unread(received_ns, None, envelope.event)
    if envelope.id is not None:
        return Subscription(None, received_ns, None, "unknown", is_active=True)
    raise BadFrame("shape", "neither a stream's message nor an answer")


def _depth(market: Market, body: msgspec.Raw, received_ns: int) -> BookUpdate:
    depth = _read_depth(body)
    _check_symbol(market, depth.symbol)
    if not 0 <= depth.first <= depth.last:
        raise BadFrame("shape", f"updates {depth.first} to {depth.last}")
    return BookUpdate(
        market.symbol,
        instant_ns(depth.time_ms * 1_000_000),
        received_ns,
        depth.last,
        _levels(market, "bid", depth.bids) + _levels(market, "ask", depth.asks),
        first_sequence=depth.first,
        last_sequence=depth.last,
    )


def _levels(market: Market, side: Side, rows: list[_Row]) -> tuple[BookChange, ...]:
    return tuple(market.level(side, price, size) for price, size in rows)


def _trade(market: Market, body: msgspec.Raw, received_ns: int) -> Trade:
    trade = _read_trade(body)
    _check_symbol(market, trade.symbol)
    number = trade.trade_id if trade.trade_id is not None else trade.aggregate_id
    return Trade(
        market.symbol,
        instant_ns(trade.time_ms * 1_000_000),
        received_ns,
        number,
        market.price(trade.price),
        market.size(trade.size),
        "sell" if trade.is_buyer_maker else "buy",
        None if number is None else str(number),
    )


def _quote(market: Market, body: msgspec.Raw, received_ns: int) -> Quote:
    ticker = _read_ticker(body)
    _check_symbol(market, ticker.symbol)
    bid = market.best(ticker.bid, ticker.bid_size)
    ask = market.best(ticker.ask, ticker.ask_size)
    return Quote(market.symbol, None, received_ns, ticker.update, *bid, *ask)


def _check_symbol(market: Market, symbol: str) -> None:
    if symbol != market.instrument.venue_symbol:
        raise BadFrame("shape", f"{symbol[:40]!r} in the stream of {market.symbol}")


class BinanceBook(VenueBook):
    """A book joined from a REST snapshot and the depth events around it.

    Events that come before the snapshot wait. A snapshot that leaves a hole before the first of them can't be
    joined: the book stays doubtful and needs a newer one. One that ends right before it has no hole, and is
    joined although the documentation would ask for another: its event may have overtaken the answer.
    """

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self._last = -1
        self._joined: BookUpdate | None = None
        """The newest event that was applied since the snapshot."""
        self._waiting: deque[BookUpdate] = deque(maxlen=MAX_WAITING)

    def _wait(self, update: BookUpdate) -> None:
        self._waiting.append(update)

    def _start(self, snapshot: BookSnapshot) -> None:
        if snapshot.sequence is None:
            raise Doubted(Verdict.GAP, "a snapshot without an update id")
        if self.is_good and snapshot.sequence < self._last:
            return  # the book is newer
        first = self._waiting[0].first_sequence if self._waiting else None
        if first is not None and snapshot.sequence + 1 < first:
            raise Doubted(Verdict.GAP, f"snapshot {snapshot.sequence} ends before the first event {first}")
        self.levels.replace(snapshot.bids, snapshot.asks)
        self._last, self._joined = snapshot.sequence, None
        waiting = list(self._waiting)
        self._waiting.clear()
        for place, update in enumerate(waiting):
            try:
                self._change(update)
            except Doubted:
                self._waiting.extend(waiting[place + 1 :])
                raise

    def _change(self, update: BookUpdate) -> None:
        first, last = update.first_sequence, update.last_sequence
        if first is None or last is None:
            raise Doubted(Verdict.GAP, "an update without update ids")
        if last <= self._last:
            self._check_known(update)
            return
        if first > self._last + 1:
            self._waiting.append(update)
            raise Doubted(Verdict.GAP, f"after {self._last} came {first}")
        self.levels.apply(update.changes)
        self._last, self._joined = last, update
        self.proofs += 1

    def _check_known(self, update: BookUpdate) -> None:
        """Older than the snapshot, or the last one told twice: both are usual. Else the ids went back."""
        known = self._joined
        if known is not None and update.changes != known.changes:
            self._waiting.append(update)
            raise Doubted(Verdict.GAP, f"update ids went back from {self._last} to {update.last_sequence}")


class BinanceBooks(VenueBooks):
    """The books of one connection to Binance."""

    def __init__(self) -> None:
        super().__init__(BinanceBook)
