"""Bitstamp WebSocket v2 and its REST order book: price levels, single orders and trades.

A `diff_order_book` has no sequence numbers and no checksum: its updates carry the time of the book in
microseconds, and so does the REST order book that they go on from. A hole can therefore only be seen by the
book getting crossed or by time going back; `BitstampBook` says so.
"""

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec

from agio.marketdata.books.continuity import Doubted, VenueBook, VenueBooks
from agio.marketdata.decoders.decoder import BadFrame, Decoder, Market, is_symbol
from agio.marketdata.decoders.numbers import MAX_DIGITS, Step, instant_ns
from agio.marketdata.normalised import (
    Aggressor,
    BookChange,
    BookSnapshot,
    BookUpdate,
    Channel,
    Heartbeat,
    Instrument,
    Malformed,
    Message,
    OrderEvent,
    OrderKind,
    Side,
    Status,
    Subscription,
    Trade,
    Unread,
    Verdict,
)

VENUE: Final = "BITSTAMP"

_MICROSECONDS: Final = Step(Decimal("1e-3"))
_SIDES: Final[tuple[Side, Side]] = ("bid", "ask")
_AGGRESSORS: Final[tuple[Aggressor, Aggressor]] = ("buy", "sell")
_ORDER_KINDS: Final[dict[str, OrderKind]] = {
    "order_created": "add",
    "order_changed": "modify",
    "order_deleted": "delete",
}
WAITING: Final = 10_000
"""Most differences of a pair that are kept for its snapshot."""


class _Envelope(msgspec.Struct):
    event: str
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Levels(msgspec.Struct):
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    microtimestamp: str


class _OrderLevels(msgspec.Struct):
    bids: list[tuple[str, str, str]]
    asks: list[tuple[str, str, str]]
    microtimestamp: str


class _Trade(msgspec.Struct):
    id: int
    amount_str: str
    price_str: str
    type: int
    microtimestamp: str


class _Order(msgspec.Struct):
    id_str: str
    order_type: int
    amount_str: str
    price_str: str
    microtimestamp: str


class _Fault(msgspec.Struct):
    code: int | None = None
    message: str = ""


class _Pair(msgspec.Struct):
    url_symbol: str
    name: str
    base_decimals: int
    counter_decimals: int
    trading: str = "Enabled"


_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_LEVELS: Final = msgspec.json.Decoder(_Levels)
_ORDER_LEVELS: Final = msgspec.json.Decoder(_OrderLevels)
_TRADE: Final = msgspec.json.Decoder(_Trade)
_ORDER: Final = msgspec.json.Decoder(_Order)


def read_instruments(body: str | bytes) -> list[Instrument]:
    """The pairs of `GET /api/v2/trading-pairs-info/`. Raises msgspec.DecodeError for anything else."""
    pairs = msgspec.json.decode(body, type=list[_Pair])
    return [
        Instrument(
            VENUE,
            pair.name.replace("/", "-"),
            pair.url_symbol,
            Decimal(1).scaleb(-pair.counter_decimals),
            Decimal(1).scaleb(-pair.base_decimals),
            "open" if pair.trading == "Enabled" else "halted",
        )
        for pair in pairs
        if is_symbol(pair.name.replace("/", "-"))
        and all(0 <= number <= MAX_DIGITS for number in (pair.counter_decimals, pair.base_decimals))
    ]


class BitstampDecoder(Decoder):
    """Frames of `wss://ws.bitstamp.net`. Venue symbols are `ethusd`, as in the channels' names."""

    venue = VENUE

    def decode_snapshot(
        self, venue_symbol: str, body: str | bytes, received_ns: int
    ) -> BookSnapshot | Malformed:
        """The answer of `GET /api/v2/order_book/{pair}`; never raises."""
        try:
            return _snapshot(self._market(venue_symbol), body, received_ns)
        except Exception as fault:
            symbol = self._symbol(venue_symbol)
            return self._malformed(fault, body, received_ns, symbol=symbol, channel="book")

    def _read(self, frame: str | bytes, received_ns: int) -> list[Message]:
        envelope = _ENVELOPE.decode(frame)
        if envelope.event.startswith("bts:"):
            return [self._answer(envelope, received_ns)]
        name, _, venue_symbol = envelope.channel.rpartition("_")
        if name not in _READERS:
            return [Unread(received_ns, None, envelope.channel)]
        channel, read = _READERS[name]
        try:
            return read(self._market(venue_symbol), envelope.data, envelope.event, received_ns)
        except Exception as fault:
            symbol = self._symbol(venue_symbol)
            return [self._malformed(fault, frame, received_ns, symbol=symbol, channel=channel)]

    def _answer(self, envelope: _Envelope, received_ns: int) -> Message:
        name, _, venue_symbol = envelope.channel.rpartition("_")
        symbol, channel = self._symbol(venue_symbol), _READERS[name][0] if name in _READERS else "unknown"
        match envelope.event:
            case "bts:subscription_succeeded" | "bts:unsubscription_succeeded":
                is_active = envelope.event == "bts:subscription_succeeded"
                return Subscription(symbol, received_ns, None, channel, is_active)
            case "bts:heartbeat":
                return Heartbeat(received_ns)
            case "bts:request_reconnect":
                return Status(None, None, received_ns, None, "unknown", "reconnect requested")
            case "bts:error":
                fault = msgspec.json.decode(envelope.data, type=_Fault)
                error = f"{fault.code} {fault.message}"
                return Subscription(symbol, received_ns, None, channel, is_active=False, error=error)
            case event:
                raise BadFrame("shape", f"unknown event {event[:40]}")


def _read_diff(market: Market, data: msgspec.Raw, _event: str, received_ns: int) -> list[Message]:
    levels = _LEVELS.decode(data)
    changes = (*_changes(market, "bid", levels.bids), *_changes(market, "ask", levels.asks))
    return [BookUpdate(market.symbol, _ns(levels.microtimestamp), received_ns, None, changes)]


def _read_book(market: Market, data: msgspec.Raw, _event: str, received_ns: int) -> list[Message]:
    return [_snapshot(market, data, received_ns)]


def _read_orders(market: Market, data: msgspec.Raw, _event: str, received_ns: int) -> list[Message]:
    """The best 100 orders of each side, told again and again: each time a whole book."""
    book = _ORDER_LEVELS.decode(data)
    venue_ns = _ns(book.microtimestamp)
    left = len(book.bids) + len(book.asks)
    clear = OrderEvent(market.symbol, venue_ns, received_ns, None, "clear", "", "bid", 0, 0, True, left == 0)
    events: list[Message] = [clear]
    for side, orders in (("bid", book.bids), ("ask", book.asks)):
        for price, size, order_id in orders:
            left -= 1
            events.append(
                OrderEvent(
                    market.symbol,
                    venue_ns,
                    received_ns,
                    None,
                    "add",
                    order_id,
                    "bid" if side == "bid" else "ask",
                    market.price(price),
                    market.size(size),
                    True,
                    left == 0,
                )
            )
    return events


def _read_order(market: Market, data: msgspec.Raw, event: str, received_ns: int) -> list[Message]:
    kind = _ORDER_KINDS.get(event)
    order = _ORDER.decode(data)
    if kind is None or order.order_type not in (0, 1):
        raise BadFrame("shape", f"event {event[:40]}, order type {order.order_type}")
    return [
        OrderEvent(
            market.symbol,
            _ns(order.microtimestamp),
            received_ns,
            None,
            kind,
            order.id_str,
            _SIDES[order.order_type],
            market.price(order.price_str),
            market.size(order.amount_str),
        )
    ]


def _read_trade(market: Market, data: msgspec.Raw, event: str, received_ns: int) -> list[Message]:
    trade = _TRADE.decode(data)
    if event != "trade" or trade.type not in (0, 1):
        raise BadFrame("shape", f"event {event[:40]}, trade type {trade.type}")
    return [
        Trade(
            market.symbol,
            _ns(trade.microtimestamp),
            received_ns,
            None,
            market.price(trade.price_str),
            market.size(trade.amount_str),
            _AGGRESSORS[trade.type],
            str(trade.id),
        )
    ]


_READERS: Final[dict[str, tuple[Channel, Callable[[Market, msgspec.Raw, str, int], list[Message]]]]] = {
    "diff_order_book": ("book", _read_diff),
    "detail_order_book": ("book", _read_orders),
    "order_book": ("book", _read_book),
    "live_orders": ("book", _read_order),
    "live_trades": ("trades", _read_trade),
}


def _snapshot(market: Market, data: msgspec.Raw | str | bytes, received_ns: int) -> BookSnapshot:
    levels = _LEVELS.decode(data)
    return BookSnapshot(
        market.symbol,
        _ns(levels.microtimestamp),
        received_ns,
        None,
        _changes(market, "bid", levels.bids),
        _changes(market, "ask", levels.asks),
    )


def _changes(market: Market, side: Side, levels: list[tuple[str, str]]) -> tuple[BookChange, ...]:
    return tuple(BookChange(side, market.price(price), market.size(size)) for price, size in levels)


def _ns(microtimestamp: str) -> int:
    return instant_ns(_MICROSECONDS.read(microtimestamp))


class BitstampBook(VenueBook):
    """The book of one pair: a REST snapshot, then the differences that are newer than it.

    Differences that come before the snapshot wait for it, at most WAITING of them.
    """

    def __init__(self, symbol: str) -> None:
        super().__init__(symbol)
        self._venue_ns = 0
        self._is_live = False
        self._waiting: deque[BookUpdate] = deque(maxlen=WAITING)

    def _start(self, snapshot: BookSnapshot) -> None:
        self.levels.replace(snapshot.bids, snapshot.asks)
        self._venue_ns = snapshot.venue_ns or 0
        self._is_live = False
        waiting, self._waiting = self._waiting, deque(maxlen=WAITING)
        if len(waiting) == WAITING and (waiting[0].venue_ns or 0) > self._venue_ns:
            raise Doubted(Verdict.GAP, "the snapshot is older than the differences that were kept")
        for update in waiting:
            self._change(update)

    def _change(self, update: BookUpdate) -> None:
        venue_ns = update.venue_ns or 0
        if venue_ns > self._venue_ns or (self._is_live and venue_ns == self._venue_ns):
            self.levels.apply(update.changes)
            self._venue_ns, self._is_live = venue_ns, True
        elif self._is_live:
            raise Doubted(Verdict.GAP, f"time goes back from {self._venue_ns} to {venue_ns}")

    def _wait(self, update: BookUpdate) -> None:
        self._waiting.append(update)


class BitstampBooks(VenueBooks):
    """The books of one connection to Bitstamp."""

    def __init__(self) -> None:
        super().__init__(BitstampBook)
