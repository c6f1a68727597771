"""When to try again: full jitter between connections, a breaker against storms, the plan of resyncs."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from agio.marketdata.feeds.settings import FeedSettings

MINUTE_SECONDS: Final = 60.0
LONGEST_DOUBLING: Final = 16


class Backoff:
    """Full jitter: a random part of a limit that doubles with each failure in a row."""

    def __init__(self, settings: FeedSettings, random: Callable[[], float]) -> None:
        self._settings = settings
        self._random = random
        self._failures = 0

    def failed(self, lasted_seconds: float) -> None:
        """A connection ended; one that lasted long enough begins a new count."""
        self._failures = 1 if lasted_seconds >= self._settings.healthy_seconds else self._failures + 1

    def wait_seconds(self) -> float:
        """How long to wait before the next attempt; 0 before the first one."""
        if self._failures == 0:
            return 0.0
        doubled = self._settings.backoff_first_seconds * (1 << min(self._failures - 1, LONGEST_DOUBLING))
        return self._random() * min(self._settings.backoff_limit_seconds, doubled)


class Breaker:
    """At most so many connections in any minute, whatever the reasons are."""

    def __init__(self, per_minute: int) -> None:
        if per_minute < 1:
            raise ValueError("a feed needs at least one connection per minute")
        self._attempts: deque[float] = deque(maxlen=per_minute)

    def wait_seconds(self, now: float) -> float:
        """How long the next attempt must wait."""
        if len(self._attempts) < (self._attempts.maxlen or 0):
            return 0.0
        return max(0.0, self._attempts[0] + MINUTE_SECONDS - now)

    def attempted(self, now: float) -> None:
        self._attempts.append(now)


class ResyncPlan:
    """Which books of a connection need a snapshot asked for, and when.

    The first request after a doubt goes out at once; the waits after it double until the book has held for
    a while.
    """

    def __init__(self, symbols: Iterable[str], settings: FeedSettings, now: float) -> None:
        self._settings = settings
        self._due = dict.fromkeys(symbols, now + settings.snapshot_seconds)
        self._attempts: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._recovered_at: dict[str, float] = {}

    def doubted(self, symbol: str, now: float) -> None:
        """The book stopped being good."""
        if symbol in self._due:
            return
        if now - self._recovered_at.get(symbol, now) >= self._settings.healthy_seconds:
            self._attempts.pop(symbol, None)
            self._not_before.pop(symbol, None)
        self._due[symbol] = max(now, self._not_before.get(symbol, now))

    def recovered(self, symbol: str, now: float) -> None:
        """The book became good."""
        self._due.pop(symbol, None)
        self._recovered_at[symbol] = now

    def give_up(self, symbol: str) -> None:
        """Ask no more for it on this connection."""
        self._due.pop(symbol, None)

    def take_due(self, now: float) -> list[str]:
        """The symbols to ask for now."""
        due = [symbol for symbol, at in self._due.items() if at <= now]
        for symbol in due:
            attempts = self._attempts[symbol] = self._attempts.get(symbol, 0) + 1
            wait = self._settings.snapshot_seconds * (1 << min(attempts - 1, LONGEST_DOUBLING))
            self._due[symbol] = self._not_before[symbol] = now + wait
        return due

    def attempts(self, symbol: str) -> int:
        return self._attempts.get(symbol, 0)
