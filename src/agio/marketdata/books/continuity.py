"""Which books are right: each venue's proof of continuity, applied message by message.

A book is good from a snapshot until the first doubt. After a doubt it stays as it was, is served to nobody,
and only a new snapshot makes it good again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from agio.marketdata.books.l2 import L2Book
from agio.marketdata.normalised import (
    BookSnapshot,
    BookUpdate,
    Malformed,
    Message,
    Subscription,
    Verdict,
)

MAX_BOOKS: Final = 10_000
"""Most books of one connection; messages about more symbols are not applied."""

MAX_LEVELS: Final = 1_000_000
"""Most levels of one book; the deepest in the recordings have 46,000."""

NO_SNAPSHOT: Final = "no snapshot yet"


class Doubted(Exception):
    """A message does not fit the book: `verdict` says in which way. Raised and caught within the books."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict


class Judgement(msgspec.Struct, frozen=True):
    """A book became good, or stopped being good."""

    symbol: str
    verdict: Verdict
    reason: str


class VenueBook(ABC):
    """One symbol's book under its venue's rules.

    Subclasses say how a snapshot starts it and how an update changes it; both raise Doubted.
    """

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.levels = L2Book()
        """What the book holds, right or not; ask `verdict`."""
        self.verdict = Verdict.GAP
        self.reason = NO_SNAPSHOT
        self.proofs = 0
        """How often the venue's checksum or sequence confirmed the book."""

    @property
    def is_good(self) -> bool:
        return self.verdict is Verdict.OK

    def apply(self, message: BookSnapshot | BookUpdate) -> Verdict:
        """The verdict after the message. A doubtful book ignores updates until the next snapshot."""
        try:
            if isinstance(message, BookSnapshot):
                self._start(message)
            elif message.is_snapshot:
                self._start(_as_snapshot(message))
            elif self.is_good:
                self._change(message)
            else:
                self._wait(message)
                return self.verdict
            self._check_levels()
        except Doubted as doubt:
            self.verdict, self.reason = doubt.verdict, str(doubt)
        else:
            self.verdict, self.reason = Verdict.OK, ""
        return self.verdict

    def doubt(self, verdict: Verdict, reason: str) -> None:
        """Stop trusting the book, for a reason outside of it."""
        self.verdict, self.reason = verdict, reason

    @abstractmethod
    def _start(self, snapshot: BookSnapshot) -> None:
        """Begin anew from a whole book."""

    @abstractmethod
    def _change(self, update: BookUpdate) -> None:
        """Apply an update to a good book."""

    def _wait(self, update: BookUpdate) -> None:  # noqa: B027 # an empty answer is right for most venues
        """Take note of an update while waiting for a snapshot."""

    def _check_levels(self) -> None:
        levels = self.levels
        if levels.is_crossed:
            raise Doubted(Verdict.CROSSED, f"bid {levels.best_bid} at or above ask {levels.best_ask}")
        if len(levels.bids) + len(levels.asks) > MAX_LEVELS:
            levels.clear()
            raise Doubted(Verdict.GAP, f"more than {MAX_LEVELS} levels")


class VenueBooks:
    """The books of one connection; a new connection needs new ones."""

    def __init__(self, make_book: Callable[[str], VenueBook]) -> None:
        self._make_book = make_book
        self._books: dict[str, VenueBook] = {}

    def apply(self, messages: Iterable[Message]) -> list[Judgement]:
        """Apply the messages of one frame; which books became good or doubtful by it."""
        judgements: list[Judgement] = []
        for message in messages:
            match message:
                case BookSnapshot() | BookUpdate():
                    book = self._book(message.symbol)
                    if book is not None:
                        before = book.verdict
                        if book.apply(message) is not before:
                            judgements.append(Judgement(book.symbol, book.verdict, book.reason))
                case Malformed() if is_about_books(message):
                    reason = f"unreadable message: {message.fault}"
                    judgements += self.doubt(reason, message.symbol)
                case Subscription(channel="book", is_active=False, error=None):
                    judgements += self.doubt("unsubscribed", message.symbol)
                case _:
                    pass
        return judgements

    def doubt(
        self, reason: str, symbol: str | None = None, verdict: Verdict = Verdict.GAP
    ) -> list[Judgement]:
        """Stop trusting a book, or all of them: a reconnect, a message lost, a venue that closes."""
        judgements = []
        for book in self._books.values():
            if book.is_good and symbol in (None, book.symbol):
                book.doubt(verdict, reason)
                judgements.append(Judgement(book.symbol, verdict, reason))
        return judgements

    def good(self, symbol: str) -> L2Book | None:
        """The levels, for serving; None unless the book is proven right as far as its venue can prove it."""
        book = self._books.get(symbol)
        return book.levels if book is not None and book.is_good else None

    def get(self, symbol: str) -> VenueBook | None:
        """The book in any state: for operators and counters."""
        return self._books.get(symbol)

    @property
    def doubtful(self) -> dict[str, str]:
        """Symbols that need a snapshot, and why."""
        return {symbol: book.reason for symbol, book in self._books.items() if not book.is_good}

    def _book(self, symbol: str) -> VenueBook | None:
        book = self._books.get(symbol)
        if book is None and len(self._books) < MAX_BOOKS:
            book = self._books[symbol] = self._make_book(symbol)
        return book


def is_about_books(message: Malformed) -> bool:
    """Whether a book may have missed something by it. What is of a foreign symbol is of none of ours."""
    return message.channel in ("book", "unknown") and message.fault != "unknown_symbol"


def _as_snapshot(update: BookUpdate) -> BookSnapshot:
    return BookSnapshot(
        update.symbol,
        update.venue_ns,
        update.received_ns,
        update.sequence,
        tuple(change for change in update.changes if change.side == "bid"),
        tuple(change for change in update.changes if change.side == "ask"),
        update.checksum,
    )
