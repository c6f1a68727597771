"""Coinbase Advanced Trade: level2, market_trades, ticker, heartbeats, and the sequence of the connection.

Source: Coinbase's "Advanced Trade WebSocket Overview" and "Channels". Every frame of a connection, whatever
its channel, has a `sequence_num` one above the one before: a jump means that any book may have missed
something. A number that was there before is late or told twice, and such a frame is ignored (two in a row
are a new count). There is no checksum: a wrong digit within a frame can't be found. The side of a trade is
the maker's, so the aggressor is the other one.
"""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from agio.marketdata.books.continuity import Judgement, VenueBook, VenueBooks
from agio.marketdata.decoders.decoder import BadFrame, Decoder, Market, is_symbol
from agio.marketdata.decoders.numbers import rfc3339_to_ns
from agio.marketdata.normalised import (
    Aggressor,
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
)

_CHANNELS: Final[dict[str, Channel]] = {
    "l2_data": "book",
    "level2": "book",
    "market_trades": "trades",
    "ticker": "quotes",
    "ticker_batch": "quotes",
    "status": "status",
}
_SIDES: Final[dict[str, Side]] = {"bid": "bid", "offer": "ask", "ask": "ask"}
_AGGRESSORS: Final[dict[str, Aggressor]] = {"BUY": "sell", "SELL": "buy"}
_STATES: Final[dict[str, TradingState]] = {"online": "open", "offline": "closed", "delisted": "closed"}


class _Frame(msgspec.Struct):
    channel: str | None = None
    timestamp: str = ""
    sequence_num: int | None = None
    events: list[msgspec.Raw] = []
    type: str | None = None
    message: str = ""


class _Change(msgspec.Struct, gc=False):
    side: str
    price_level: str
    new_quantity: str
    event_time: str


class _BookEvent(msgspec.Struct):
    type: str
    product_id: str
    updates: list[_Change]


class _Trade(msgspec.Struct, gc=False):
    product_id: str
    trade_id: str
    price: str
    size: str
    time: str
    side: str


class _TradeEvent(msgspec.Struct):
    type: str
    trades: list[_Trade]


class _Ticker(msgspec.Struct, gc=False):
    product_id: str
    best_bid: str = ""
    best_ask: str = ""
    best_bid_quantity: str = ""
    best_ask_quantity: str = ""


class _TickerEvent(msgspec.Struct):
    tickers: list[_Ticker]


class _StatusProduct(msgspec.Struct):
    id: str
    status: str = ""


class _StatusEvent(msgspec.Struct):
    products: list[_StatusProduct]


class _SubscriptionsEvent(msgspec.Struct):
    subscriptions: dict[str, list[str]]


class _HeartbeatEvent(msgspec.Struct):
    heartbeat_counter: int | str


class _Product(msgspec.Struct):
    product_id: str
    base_increment: str = ""
    quote_increment: str = ""
    price_increment: str = ""
    status: str = "online"
    trading_disabled: bool = False
    cancel_only: bool = False
    auction_mode: bool = False

    @property
    def state(self) -> TradingState:
        if self.trading_disabled or self.cancel_only:
            return "halted" if self.trading_disabled else "cancel_only"
        return "auction" if self.auction_mode else _STATES.get(self.status, "unknown")


class _Products(msgspec.Struct):
    products: list[_Product]


_read_frame: Final = msgspec.json.Decoder(_Frame).decode
_read_book: Final = msgspec.json.Decoder(_BookEvent).decode
_read_trades: Final = msgspec.json.Decoder(_TradeEvent).decode
_read_tickers: Final = msgspec.json.Decoder(_TickerEvent).decode
_read_status: Final = msgspec.json.Decoder(_StatusEvent).decode
_read_subscriptions: Final = msgspec.json.Decoder(_SubscriptionsEvent).decode
_read_heartbeat: Final = msgspec.json.Decoder(_HeartbeatEvent).decode


def read_instruments(body: str | bytes) -> list[Instrument]:
    """Instruments of REST `/api/v3/brokerage/market/products`. Raises msgspec.DecodeError."""
    return list(_instruments(msgspec.json.decode(body, type=_Products).products))


def _instruments(products: list[_Product]) -> Iterator[Instrument]:
    for product in products:
        name = product.product_id
        try:
            tick = Decimal(product.price_increment or product.quote_increment)
            lot = Decimal(product.base_increment)
        except InvalidOperation:
            continue
        if is_symbol(name) and tick > 0 and lot > 0:
            yield Instrument("COINBASE", name, name, tick, lot, product.state)


class _Context(msgspec.Struct):
    """The frame around an event."""

    frame: str | bytes
    timestamp: str
    received_ns: int
    sequence: int


class CoinbaseDecoder(Decoder):
    """Frames of `wss://advanced-trade-ws.coinbase.com`. Each tells at least one message with its sequence."""

    venue = "COINBASE"

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        super().__init__(instruments)
        self._readers: dict[str, Callable[[msgspec.Raw, _Context], Iterable[Message]]] = {
            "l2_data": self._book,
            "level2": self._book,
            "market_trades": self._trades,
            "ticker": self._quotes,
            "ticker_batch": self._quotes,
            "status": self._status,
            "heartbeats": _heartbeat,
            "subscriptions": self._subscriptions,
        }

    def _read(self, frame: str | bytes, received_ns: int) -> list[Message]:
        message = _read_frame(frame)
        name = message.channel
        if name is None:
            return [_refusal(message, received_ns)]
        if message.sequence_num is None or message.sequence_num < 0:
            raise BadFrame("shape", "no sequence_num")
        context = _Context(frame, message.timestamp, received_ns, message.sequence_num)
        read = self._readers.get(name, _nothing)
        messages: list[Message] = []
        for event in message.events:
            try:
                messages += read(event, context)
            except Exception as fault:  # a broken event leaves its neighbours readable
                messages.append(self._broken(fault, context, _CHANNELS.get(name, "status")))
        return messages or [Unread(received_ns, context.sequence, name)]

    def _broken(
        self, fault: Exception, context: _Context, channel: Channel, symbol: str | None = None
    ) -> Message:
        return self._malformed(
            fault,
            context.frame,
            context.received_ns,
            symbol=symbol,
            channel=channel,
            sequence=context.sequence,
        )

    def _book(self, event: msgspec.Raw, context: _Context) -> list[Message]:
        found = _read_book(event)
        market = self._market(found.product_id)
        try:
            return [_book_message(market, found, context)]
        except Exception as fault:
            return [self._broken(fault, context, "book", market.symbol)]

    def _trades(self, event: msgspec.Raw, context: _Context) -> list[Message]:
        """Told oldest first; the venue writes the newest first."""
        found = _read_trades(event)
        is_history = found.type == "snapshot"
        return [self._trade(trade, context, is_history=is_history) for trade in reversed(found.trades)]

    def _trade(self, trade: _Trade, context: _Context, *, is_history: bool) -> Trade:
        market = self._market(trade.product_id)
        return Trade(
            market.symbol,
            rfc3339_to_ns(trade.time),
            context.received_ns,
            context.sequence,
            market.price(trade.price),
            market.size(trade.size),
            _AGGRESSORS.get(trade.side, "unknown"),
            trade.trade_id,
            is_history=is_history,
        )

    def _quotes(self, event: msgspec.Raw, context: _Context) -> list[Message]:
        return [self._quote(ticker, context) for ticker in _read_tickers(event).tickers]

    def _quote(self, ticker: _Ticker, context: _Context) -> Quote:
        market = self._market(ticker.product_id)
        bid = market.best(ticker.best_bid, ticker.best_bid_quantity)
        ask = market.best(ticker.best_ask, ticker.best_ask_quantity)
        venue_ns = rfc3339_to_ns(context.timestamp)
        return Quote(market.symbol, venue_ns, context.received_ns, context.sequence, *bid, *ask)

    def _status(self, event: msgspec.Raw, context: _Context) -> Iterator[Status]:
        """The venue tells of all its products; those that nobody reads are left out."""
        for product in _read_status(event).products:
            symbol = self._symbol(product.id)
            if symbol is not None:
                state = _STATES.get(product.status, "unknown")
                yield Status(symbol, None, context.received_ns, context.sequence, state, product.status)

    def _subscriptions(self, event: msgspec.Raw, context: _Context) -> Iterator[Subscription]:
        """The venue repeats all that is subscribed on the connection."""
        for name, products in _read_subscriptions(event).subscriptions.items():
            for product in products:
                yield Subscription(
                    self._symbol(product),
                    context.received_ns,
                    context.sequence,
                    _CHANNELS.get(name, "unknown"),
                    is_active=True,
                )


def _refusal(message: _Frame, received_ns: int) -> Message:
    if message.type != "error":
        raise BadFrame("shape", "neither a channel nor an error")
    error = message.message or message.type
    return Subscription(None, received_ns, None, "unknown", is_active=False, error=error)


def _nothing(_event: msgspec.Raw, _context: _Context) -> list[Message]:
    return []


def _heartbeat(event: msgspec.Raw, context: _Context) -> list[Message]:
    counter = int(_read_heartbeat(event).heartbeat_counter)
    return [Heartbeat(context.received_ns, context.sequence, counter)]


def _book_message(market: Market, found: _BookEvent, context: _Context) -> BookSnapshot | BookUpdate:
    symbol, received_ns, sequence = market.symbol, context.received_ns, context.sequence
    changes = tuple(
        market.level(_SIDES[change.side], change.price_level, change.new_quantity) for change in found.updates
    )
    venue_ns = rfc3339_to_ns(found.updates[-1].event_time) if found.updates else None
    if found.type == "update":
        return BookUpdate(symbol, venue_ns, received_ns, sequence, changes)
    if found.type != "snapshot":
        raise BadFrame("shape", f"type {found.type[:40]!r}")
    bids = tuple(level for level in changes if level.side == "bid" and level.size)
    asks = tuple(level for level in changes if level.side == "ask" and level.size)
    return BookSnapshot(symbol, venue_ns, received_ns, sequence, bids, asks)


class CoinbaseBook(VenueBook):
    """A book that follows what it is told; the connection's sequence says whether all was told."""

    def _start(self, snapshot: BookSnapshot) -> None:
        self.levels.replace(snapshot.bids, snapshot.asks)

    def _change(self, update: BookUpdate) -> None:
        self.levels.apply(update.changes)
        self.proofs += 1


class CoinbaseBooks(VenueBooks):
    """The books of one connection to Coinbase, all under its one sequence."""

    def __init__(self) -> None:
        super().__init__(CoinbaseBook)
        self._next: int | None = None
        self._late: int | None = None
        self._newest: list[Message] = []

    def apply(self, messages: Iterable[Message]) -> list[Judgement]:
        """Apply the messages of one frame; a jump of the sequence puts every book in doubt first."""
        frame = list(messages)
        sequence = frame[0].sequence if frame else None
        if sequence is None:
            return super().apply(frame)
        expected = self._next
        if expected is not None and sequence < expected:
            return self._apply_late(frame, sequence, expected)
        judgements: list[Judgement] = []
        if expected is not None and sequence > expected:
            judgements = self.doubt(f"frames {expected} to {sequence - 1} are missing")
        return judgements + self._apply_next(frame, sequence)

    def _apply_next(self, frame: list[Message], sequence: int) -> list[Judgement]:
        self._next, self._late, self._newest = sequence + 1, None, frame
        return super().apply(frame)

    def _apply_late(self, frame: list[Message], sequence: int, expected: int) -> list[Judgement]:
        """The newest frame told twice is ignored. Another one is too, and the books are doubted."""
        if sequence == expected - 1 and _content(frame) == _content(self._newest):
            return []
        judgements = self.doubt(f"frame {sequence} came when {expected} was due")
        if self._late is not None and sequence == self._late + 1:
            return judgements + self._apply_next(frame, sequence)
        self._late = sequence
        return judgements


def _content(frame: list[Message]) -> list[object]:
    """What a frame says about books."""
    return [
        (message.symbol, message.changes if isinstance(message, BookUpdate) else message.bids + message.asks)
        for message in frame
        if isinstance(message, BookUpdate | BookSnapshot)
    ]
