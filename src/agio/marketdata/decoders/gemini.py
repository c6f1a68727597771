"""Gemini market data v2: `l2_updates` and trades.

The first `l2_updates` of a symbol after subscribing is its whole book, and carries its newest trades (at most
100 were seen); the later ones are changes. The book has no sequence and no checksum; trades carry the venue's
event number. Nothing tells a lost change but a crossed book.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Literal

import msgspec

from agio.marketdata.books.continuity import VenueBook, VenueBooks
from agio.marketdata.decoders.decoder import BadFrame, Decoder, Market, is_symbol
from agio.marketdata.normalised import (
    BookChange,
    BookSnapshot,
    BookUpdate,
    Heartbeat,
    Instrument,
    Message,
    Side,
    Status,
    Subscription,
    Trade,
    TradingState,
    Unread,
)

VENUE: Final = "GEMINI"

_MILLISECOND_NS: Final = 10**6
_MAX_MILLISECONDS: Final = 2**63 // _MILLISECOND_NS
_SIDES: Final[dict[str, Side]] = {"buy": "bid", "sell": "ask"}
_STATES: Final[dict[str, TradingState]] = {
    "open": "open",
    "closed": "closed",
    "cancel_only": "cancel_only",
    "post_only": "halted",
    "limit_only": "halted",
}


class _Kind(msgspec.Struct):
    type: str = ""
    symbol: str = ""
    result: str = ""
    reason: str = ""
    message: str = ""


class _Trade(msgspec.Struct):
    price: str
    quantity: str
    side: Literal["buy", "sell"]
    tid: int
    timestamp: int
    event_id: int


class _Updates(msgspec.Struct):
    changes: list[tuple[str, str, str]]
    trades: list[_Trade] | None = None


class _Beat(msgspec.Struct):
    timestamp: int


class _Details(msgspec.Struct):
    symbol: str
    base_currency: str
    quote_currency: str
    tick_size: Decimal
    """Of quantities: the venue's word for the lot."""
    quote_increment: Decimal
    """Of prices."""
    status: str = ""
    product_type: str = "spot"


_KIND: Final = msgspec.json.Decoder(_Kind)
_TRADE: Final = msgspec.json.Decoder(_Trade)
_UPDATES: Final = msgspec.json.Decoder(_Updates)
_BEAT: Final = msgspec.json.Decoder(_Beat)
_DETAILS: Final = msgspec.json.Decoder(_Details)


def read_instrument(body: str | bytes) -> Instrument | None:
    """The instrument of `GET /v1/symbols/details/{symbol}`, None for one that the platform cannot name.

    Raises msgspec.DecodeError for anything that is not such an answer.
    """
    details = _DETAILS.decode(body)
    symbol = f"{details.base_currency}-{details.quote_currency}"
    if details.product_type != "spot":
        symbol += "-PERP"
    if not is_symbol(symbol) or min(details.quote_increment, details.tick_size) <= 0:
        return None
    state = _STATES.get(details.status, "unknown")
    return Instrument(VENUE, symbol, details.symbol, details.quote_increment, details.tick_size, state)


class GeminiDecoder(Decoder):
    """Frames of `wss://api.gemini.com/v2/marketdata`. Venue symbols are `BTCUSD`."""

    venue = VENUE

    def _read(self, frame: str | bytes, received_ns: int) -> list[Message]:
        kind = _KIND.decode(frame)
        match kind.type:
            case "l2_updates":
                return self._read_about(kind.symbol, frame, received_ns, is_book=True)
            case "trade" | "block_trade":
                return self._read_about(kind.symbol, frame, received_ns, is_book=False)
            case "heartbeat":
                _ns(_BEAT.decode(frame).timestamp)
                return [Heartbeat(received_ns)]
            case "":
                if kind.result != "error":
                    raise BadFrame("shape", "a message without a type")
                error = f"{kind.reason} {kind.message}"
                return [Subscription(None, received_ns, None, "unknown", is_active=False, error=error)]
            case name if name.startswith("auction_"):
                return [Status(self._symbol(kind.symbol), None, received_ns, None, "auction", name)]
            case name:
                return [Unread(received_ns, None, name)]

    def _read_about(
        self, venue_symbol: str, frame: str | bytes, received_ns: int, *, is_book: bool
    ) -> list[Message]:
        try:
            market = self._market(venue_symbol)
            if is_book:
                return list(_updates(market, _UPDATES.decode(frame), received_ns))
            return [_trade(market, _TRADE.decode(frame), received_ns)]
        except Exception as fault:
            symbol = self._symbol(venue_symbol)
            channel: Literal["book", "trades"] = "book" if is_book else "trades"
            return [self._malformed(fault, frame, received_ns, symbol=symbol, channel=channel)]


def _updates(market: Market, updates: _Updates, received_ns: int) -> Iterator[Message]:
    if updates.trades is None:
        changes = tuple(_changes(market, updates.changes))
        yield BookUpdate(market.symbol, None, received_ns, None, changes)
        return
    levels = [level for level in _changes(market, updates.changes) if level.size]
    bids = sorted((level for level in levels if level.side == "bid"), key=_price, reverse=True)
    asks = sorted((level for level in levels if level.side == "ask"), key=_price)
    yield BookSnapshot(market.symbol, None, received_ns, None, tuple(bids), tuple(asks))
    for trade in updates.trades:
        yield _trade(market, trade, received_ns, is_history=True)


def _changes(market: Market, rows: list[tuple[str, str, str]]) -> Iterator[BookChange]:
    for word, price, size in rows:
        side = _SIDES.get(word)
        if side is None:
            raise BadFrame("shape", f"side {word[:40]}")
        yield BookChange(side, market.price(price), market.size(size))


def _trade(market: Market, trade: _Trade, received_ns: int, *, is_history: bool = False) -> Trade:
    return Trade(
        market.symbol,
        _ns(trade.timestamp),
        received_ns,
        trade.event_id,
        market.price(trade.price),
        market.size(trade.quantity),
        trade.side,
        str(trade.tid),
        is_history=is_history,
    )


def _price(level: BookChange) -> int:
    return level.price


def _ns(milliseconds: int) -> int:
    if not 0 < milliseconds < _MAX_MILLISECONDS:
        raise BadFrame("number", f"no time in milliseconds: {milliseconds}")
    return milliseconds * _MILLISECOND_NS


class GeminiBook(VenueBook):
    """A book that nothing but its own sanity proves."""

    def _start(self, snapshot: BookSnapshot) -> None:
        self.levels.replace(snapshot.bids, snapshot.asks)

    def _change(self, update: BookUpdate) -> None:
        self.levels.apply(update.changes)


class GeminiBooks(VenueBooks):
    """The books of one connection to Gemini."""

    def __init__(self) -> None:
        super().__init__(GeminiBook)
