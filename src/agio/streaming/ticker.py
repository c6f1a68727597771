"""The adaptive tick: what has been quiet goes out at once, everything else together every 20 ms."""

import asyncio
from typing import Protocol

_EARLY = 0.9
"""A timer may fire a little early; 90 % of a tick counts as one."""


class Flushable(Protocol):
    flushed_at: float
    """When it last gave something out, loop time."""

    def flush(self) -> None: ...


class Ticker:
    """Flushes channels, then the connections that they filled, in one go."""

    def __init__(self, tick_seconds: float) -> None:
        self._tick_seconds = tick_seconds
        self._channels: dict[Flushable, None] = {}
        self._channels_later: dict[Flushable, None] = {}
        self._connections: dict[Flushable, None] = {}
        self._connections_later: dict[Flushable, None] = {}
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None

    def offer_channel(self, channel: Flushable, *, is_urgent: bool) -> None:
        """Have a channel hand out what it gathered."""
        self._offer(channel, self._channels, self._channels_later, is_urgent)

    def offer_connection(self, connection: Flushable, *, is_urgent: bool) -> None:
        """Have a connection write what is queued."""
        self._offer(connection, self._connections, self._connections_later, is_urgent)

    def stop(self) -> None:
        for handle in (self._soon, self._later):
            if handle is not None:
                handle.cancel()

    def _offer(
        self,
        item: Flushable,
        now: dict[Flushable, None],
        later: dict[Flushable, None],
        is_urgent: bool,
    ) -> None:
        if item in now or (not is_urgent and item in later):
            return
        loop = asyncio.get_running_loop()
        time = loop.time()
        if is_urgent or time - item.flushed_at >= self._tick_seconds * _EARLY:
            now[item] = None
            if self._soon is None:
                self._soon = loop.call_soon(self._run_soon)
        else:
            later[item] = None
            if self._later is None:
                # Ticks lie on one grid: all that waits goes out together, and nothing waits a whole tick
                # for a tick again.
                next_tick = (time // self._tick_seconds + 1) * self._tick_seconds
                self._later = loop.call_at(next_tick, self._run_later)

    def _run_soon(self) -> None:
        self._soon = None
        self._flush(self._channels)
        self._flush(self._connections)

    def _run_later(self) -> None:
        self._later = None
        self._flush(self._channels_later)
        self._connections.update(self._connections_later)
        self._connections_later.clear()
        self._run_soon_now()

    def _run_soon_now(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
        self._run_soon()

    @staticmethod
    def _flush(items: dict[Flushable, None]) -> None:
        if not items:
            return
        batch = list(items)
        items.clear()
        for item in batch:
            item.flush()
