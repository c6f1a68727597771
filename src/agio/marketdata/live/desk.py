"""Where one venue's deliveries become our market: trades, the proven book, quotes, states."""

from collections.abc import Mapping

import structlog

from agio.marketdata.books.l2 import L2Book
from agio.marketdata.feeds.port import Delivery, Feed, FeedState
from agio.marketdata.live.instruments import LiveInstrument
from agio.marketdata.live.trades import TradeIntake, Unusable
from agio.marketdata.live.watch import SourceWatch
from agio.marketdata.normalised import (
    BookSnapshot,
    BookUpdate,
    Malformed,
    Message,
    Status,
    Trade,
    Verdict,
)
from agio.marketdata.publisher import Book, Publisher

DEPTH = 100
"""Levels of each side that are told."""
MAX_NUMBER = 2**63 - 1
"""Highest price and size, in our units, that tables and messages hold."""
_BEYOND = "numbers of more than 64 bits"

log = structlog.get_logger(__name__)


class VenueDesk:
    """The sink of one feed: books that it calls good are told, and withdrawn when they stop being it."""

    def __init__(
        self,
        feed: Feed,
        instruments: Mapping[str, LiveInstrument],
        watch: SourceWatch,
        intake: TradeIntake,
        publisher: Publisher,
    ) -> None:
        """`instruments` by the symbol in the feed's messages."""
        self._feed = feed
        self._instruments = instruments
        self._watch = watch
        self._intake = intake
        self._publisher = publisher
        self._book_ns: dict[str, int] = {}
        self._beyond: set[str] = set()
        """Whose book has numbers among its best levels that cannot be told."""

    async def take(self, delivery: Delivery) -> None:
        """A `Sink`."""
        self._watch.set_phase(delivery.state)
        self._publisher.set_venue(delivery.venue, self._watch.state)
        for judgement in delivery.judgements:
            if judgement.symbol in self._instruments:
                self._watch.judge(judgement.symbol, judgement.verdict, judgement.reason)
                if judgement.verdict is not Verdict.OK:
                    self._beyond.discard(judgement.symbol)
                    self.withdraw(judgement.symbol, f"{judgement.verdict.value}: {judgement.reason}")
        if delivery.messages and delivery.state is FeedState.LIVE:
            self._watch.hear_source()
        changed = dict.fromkeys(
            symbol for message in delivery.messages if (symbol := self._take(message)) is not None
        )
        for symbol in changed:
            self._tell_book(symbol)
        await self._intake.wait_for_room()

    def withdraw(self, local: str, reason: str) -> None:
        self._publisher.withdraw_book(self._instruments[local].symbol, reason)

    def _take(self, message: Message) -> str | None:
        """Take one message; the symbol whose book it changed."""
        match message:
            case Malformed():
                return None
            case Status():
                if message.symbol is None or message.symbol in self._instruments:
                    self._watch.set_trading(message.symbol, message.state)
                return None
            case Trade() | BookSnapshot() | BookUpdate() if message.symbol in self._instruments:
                self._watch.hear(message.symbol, message)
        if isinstance(message, Trade) and message.symbol in self._instruments:
            self._take_trade(message)
            return None
        if isinstance(message, BookSnapshot | BookUpdate) and message.symbol in self._instruments:
            self._book_ns[message.symbol] = (
                message.received_ns if message.venue_ns is None else message.venue_ns
            )
            return message.symbol
        return None

    def _take_trade(self, trade: Trade) -> None:
        symbol = self._instruments[trade.symbol].symbol
        try:
            self._intake.offer(symbol, trade)
        except Unusable as fault:
            self._watch.count_unusable()
            log.warning("live_trade_unusable", symbol=symbol, reason=str(fault))

    def _tell_book(self, local: str) -> None:
        book = self._feed.good(local)
        if book is None:
            return
        if local in self._beyond:
            if not _fits(self._top(local, book)):
                return
            self._beyond.discard(local)
            self._watch.judge(local, Verdict.OK, "")
        elif not _fits(self._top(local, book, 1)):
            self._withdraw_beyond(local)
            return
        one = self._instruments[local]
        self._publisher.follow_book(one.symbol, lambda: self._read_book(local))
        bid, ask = book.bids.best, book.asks.best
        self._publisher.publish_quote(
            one.symbol,
            bid=0 if bid is None else bid * one.price_units,
            bid_size=0 if bid is None else book.bids.size(bid) * one.size_units,
            ask=0 if ask is None else ask * one.price_units,
            ask_size=0 if ask is None else book.asks.size(ask) * one.size_units,
            venue_time_ns=self._book_ns[local],
        )

    def _read_book(self, local: str) -> Book | None:
        """The top of the book as it is now, in our units; None while it is not proven."""
        book = self._feed.good(local)
        if book is None:
            return None
        found = self._top(local, book)
        if not _fits(found):
            self._withdraw_beyond(local)
            return None
        return found

    def _top(self, local: str, book: L2Book, depth: int = DEPTH) -> Book:
        one = self._instruments[local]
        bids, asks = (
            tuple((price * one.price_units, size * one.size_units) for price, size in side.top(depth))
            for side in (book.bids, book.asks)
        )
        return Book(bids, asks, self._book_ns[local])

    def _withdraw_beyond(self, local: str) -> None:
        self._beyond.add(local)
        self._watch.judge(local, Verdict.GAP, _BEYOND)
        self.withdraw(local, _BEYOND)


def _fits(book: Book) -> bool:
    return all(max(level) <= MAX_NUMBER for level in (*book.bids, *book.asks))
