"""Time from one place: the real clock, or a virtual one that a test or a replay moves."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

from agio.kernel.time import from_micros, to_micros


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant, aware, UTC."""
        ...

    def now_micros(self) -> int:
        """The present instant in microseconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go backwards; for durations only."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def now_micros(self) -> int:
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        return time.monotonic()


class VirtualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime) -> None:
        self._micros = to_micros(start)
        self._start = self._micros

    def now(self) -> datetime:
        return from_micros(self._micros)

    def now_micros(self) -> int:
        return self._micros

    def monotonic(self) -> float:
        return (self._micros - self._start) / 1_000_000

    def advance(self, duration: timedelta) -> None:
        """Move forward; a negative duration is refused, as time does not go back."""
        if duration < timedelta(0):
            raise ValueError("a clock only moves forward")
        self._micros += duration // timedelta(microseconds=1)
