"""Tiers: how often a conflatable channel speaks. Each is one shared point, not a timer per subscriber."""

import asyncio
from collections.abc import Callable

TIERS: dict[str, float] = {"raw": 0.0, "50ms": 0.05, "100ms": 0.1, "250ms": 0.25, "1s": 1.0}
"""Seconds between two flushes by tier name; `raw` follows the adaptive tick."""


class TierTimer:
    """Calls back at once when it has been quiet, otherwise when the tier's interval is over."""

    def __init__(self, seconds: float, flush: Callable[[], None]) -> None:
        self._seconds = seconds
        self._flush = flush
        self._fired_at = float("-inf")
        self._handle: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        if self._handle is None:
            loop = asyncio.get_running_loop()
            self._handle = loop.call_at(max(loop.time(), self._fired_at + self._seconds), self._fire)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._fired_at = asyncio.get_running_loop().time()
        self._flush()
