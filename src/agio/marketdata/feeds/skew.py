"""How far our clock and the venue's are apart."""

from collections import deque
from collections.abc import Iterable
from statistics import median_low
from typing import Final

from agio.marketdata.normalised import BookUpdate, Message, Trade

WINDOW: Final = 257
"""Newest messages that are looked at."""


class ClockSkew:
    """Median of received time less venue time; history and snapshots, which are old, do not count."""

    def __init__(self) -> None:
        self._newest: deque[int] = deque(maxlen=WINDOW)

    def take(self, messages: Iterable[Message]) -> None:
        for message in messages:
            is_fresh = (isinstance(message, BookUpdate) and not message.is_snapshot) or (
                isinstance(message, Trade) and not message.is_history
            )
            if is_fresh and isinstance(message, BookUpdate | Trade) and message.venue_ns is not None:
                self._newest.append(message.received_ns - message.venue_ns)

    @property
    def median_ns(self) -> int | None:
        return median_low(self._newest) if self._newest else None
