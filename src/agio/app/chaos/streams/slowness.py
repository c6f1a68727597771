"""What befell readers that were too slow, and whether they came out of it: a proof must meet its case."""

from typing import Final

import msgspec

from agio.app.chaos.streams.journal import (
    Booked,
    Closed,
    Entry,
    Opened,
    Shown,
    Skipped,
    Subscribed,
    is_book,
    is_log,
)

SLOW_CONSUMER: Final = 4008


class Slowness(msgspec.Struct):
    """How often each of it was seen."""

    closed: int = 0
    """Closed with 4008."""
    returned: int = 0
    """Log channels resumed by position after a 4008, with messages to bring back."""
    values_skipped: int = 0
    """`skipped` on a channel of values."""
    values_renewed: int = 0
    """A newer value came after it."""
    books_skipped: int = 0
    """`skipped` on a book."""
    books_renewed: int = 0
    """The whole book came after it."""

    def __add__(self, other: "Slowness") -> "Slowness":
        return Slowness(*(a + b for a, b in zip(self._figures(), other._figures(), strict=True)))

    def __sub__(self, other: "Slowness") -> "Slowness":
        return Slowness(*(a - b for a, b in zip(self._figures(), other._figures(), strict=True)))

    def unmet(self) -> list[str]:
        """What nobody went through, so that nothing is proven of it."""
        cases = {
            "closed with 4008": self.closed,
            "back with everything after a 4008": self.returned,
            "told of skipped values and given newer ones": min(self.values_skipped, self.values_renewed),
            "told of a skipped book and given it whole": min(self.books_skipped, self.books_renewed),
        }
        return [case for case, count in cases.items() if not count]

    def _figures(self) -> tuple[int, ...]:
        return msgspec.structs.astuple(self)


class SlownessWatch:
    """Counts along a subscriber's journal, entry by entry."""

    def __init__(self) -> None:
        self.seen = Slowness()
        self._was_closed = False
        self._returns = False
        self._skipped: dict[str, int] = {}
        """Channels that owe something newer than this."""

    def take(self, entry: Entry) -> None:
        match entry:
            case Opened():
                self._returns, self._was_closed = self._was_closed, False
                self._skipped.clear()
            case Closed():
                if entry.code == SLOW_CONSUMER:
                    self._was_closed = True
                    self.seen.closed += 1
            case Subscribed():
                self._take_subscribed(entry)
            case Skipped():
                self._skipped[entry.channel] = entry.last
                if is_book(entry.channel):
                    self.seen.books_skipped += 1
                else:
                    self.seen.values_skipped += 1
            case Shown():
                if self._is_renewed(entry.channel, entry.sequence):
                    self.seen.values_renewed += 1
            case Booked():
                if entry.previous is None and self._is_renewed(entry.channel, entry.sequence):
                    self.seen.books_renewed += 1
            case _:
                pass

    def _take_subscribed(self, entry: Subscribed) -> None:
        is_resumed = self._returns and is_log(entry.channel) and entry.recovered
        if is_resumed and entry.after is not None and entry.sequence > entry.after[1]:
            self.seen.returned += 1

    def _is_renewed(self, channel: str, sequence: int) -> bool:
        if sequence < self._skipped.get(channel, sequence + 1):
            return False
        del self._skipped[channel]
        return True
