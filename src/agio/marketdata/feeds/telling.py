"""From what a venue said to what may be passed on: of books, only what is proven right."""

from collections.abc import Sequence

from agio.marketdata.books.continuity import Judgement, VenueBook, VenueBooks
from agio.marketdata.normalised import BookChange, BookSnapshot, BookUpdate, Message, Verdict


def apply_and_tell(
    books: VenueBooks, messages: Sequence[Message]
) -> tuple[Sequence[Message], list[Judgement]]:
    """Apply the messages of a frame to the books; what may be told of them, and the judgements.

    Updates of a doubtful book, and those that a book ignored as older than itself, are left out. A book that
    became good or began anew is told whole, as it is after the frame: it may have been joined from parts.
    """
    symbols = {message.symbol for message in messages if isinstance(message, BookSnapshot | BookUpdate)}
    before = {symbol: _proofs(books.get(symbol)) for symbol in symbols}
    judgements = books.apply(messages)
    if not symbols:
        return messages, judgements
    anew = {one.symbol for one in judgements if one.verdict is Verdict.OK}
    told: list[Message] = []
    for symbol in symbols:
        book = books.get(symbol)
        if book is None or not book.is_good:
            continue
        about = [
            one for one in messages if isinstance(one, BookSnapshot | BookUpdate) and one.symbol == symbol
        ]
        applied = book.proofs - before[symbol]
        if symbol in anew or any(_is_whole(one) for one in about) or 0 < applied < len(about):
            told.append(whole(book, about[-1]))
        elif applied:
            told += about
    others = (one for one in messages if not isinstance(one, BookSnapshot | BookUpdate))
    return [*told, *others], judgements


def whole(book: VenueBook, newest: BookSnapshot | BookUpdate) -> BookSnapshot:
    """The book as it is, with the times of the message that made it so."""
    levels = book.levels
    return BookSnapshot(
        book.symbol,
        newest.venue_ns,
        newest.received_ns,
        newest.sequence,
        tuple(BookChange("bid", price, size) for price, size in levels.bids.top(len(levels.bids))),
        tuple(BookChange("ask", price, size) for price, size in levels.asks.top(len(levels.asks))),
        depth=newest.depth if isinstance(newest, BookSnapshot) else None,
    )


def _is_whole(message: BookSnapshot | BookUpdate) -> bool:
    return isinstance(message, BookSnapshot) or message.is_snapshot


def _proofs(book: VenueBook | None) -> int:
    return 0 if book is None else book.proofs
