"""The adaptive tick: what has been quiet goes out at once, everything else together every 20 ms."""

import asyncio
from time import thread_time
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

_CREDIT = 2
"""How many ticks without a flush are made up for: so many flushes may follow sooner than a tick."""
_EARLY = 0.9
"""A timer may fire a little early; 90 % of a tick counts as one."""
_SHARE = 1 / 3
"""How much of the time flushing may take: when it takes more, ticks become longer and writes larger."""
_LONGEST = 1.6
"""How much longer."""
_MEMORY = 0.75
"""What a tick adds to the measure of earlier ones decays by this."""


class Flushable(Protocol):
    flushed_at: float
    """When it last gave something out, as `Ticker.paced` counts it, loop time."""

    def flush(self) -> None: ...


class Handy(Protocol):
    """A connection with one shared chunk in hand, which nothing waits behind."""

    flushed_at: float

    def give_hand(self, now: float) -> None:
        """Write it."""
        ...

    def keep_hand(self) -> None:
        """Queue it."""
        ...


class Ticker:
    """Flushes channels, then the connections that they filled, in one go."""

    def __init__(self, tick_seconds: float) -> None:
        self._base_seconds = tick_seconds
        self._tick_seconds = tick_seconds
        self._busy_seconds = 0.0
        """CPU time of a tick, averaged."""
        self.now = self.quiet_since = 0.0
        """While channels are flushed: a connection that wrote nothing since then may write at once."""
        self.hands: list[Handy] | None = None
        """Connections that took a chunk in hand; None unless channels are being flushed. All of them put it
        down before anything else runs."""
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

    def paced(self, before: float, now: float | None = None) -> float:
        """The new `flushed_at` of what flushes now, after `before`.

        Flushes count as a tick apart, and what has been quiet has some credit (the generic cell rate
        algorithm, ITU-T I.371). So messages that come about as often as ticks, or a few at once, do not wait
        for a tick that they would share with nothing.
        """
        if now is None:
            now = asyncio.get_running_loop().time()
        tick = self._tick_seconds
        return min(now, max(before + tick, now - _CREDIT * tick))

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
        now = asyncio.get_running_loop().time()
        self._hand_out(self._channels, now, now - self._tick_seconds * _EARLY)
        self._flush(self._connections)

    def _run_later(self) -> None:
        self._later = None
        begun = thread_time()
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self._channels.update(self._channels_later)
        self._channels_later.clear()
        now = asyncio.get_running_loop().time()
        self._hand_out(self._channels, now, now)
        self._connections.update(self._connections_later)
        self._connections_later.clear()
        self._flush(self._connections)
        # The loop hands what was written to the kernel before it comes to this: that is most of the cost.
        asyncio.get_running_loop().call_soon(self._adapt, begun)

    def _adapt(self, begun: float) -> None:
        spent_seconds = thread_time() - begun
        self._busy_seconds = _MEMORY * self._busy_seconds + (1 - _MEMORY) * spent_seconds
        wanted = self._busy_seconds / _SHARE
        self._tick_seconds = min(max(self._base_seconds, wanted), _LONGEST * self._base_seconds)

    def _hand_out(self, channels: dict[Flushable, None], now: float, quiet_since: float) -> None:
        """Flush channels; what connections took in hand is written by those that have been quiet."""
        if not channels:
            return
        self.now, self.quiet_since = now, quiet_since
        hands: list[Handy] = []
        self.hands = hands
        try:
            self._flush(channels)
        finally:
            self.hands = None
            for connection in hands:
                try:
                    if connection.flushed_at <= quiet_since:
                        connection.give_hand(now)
                    else:
                        connection.keep_hand()
                except Exception:
                    log.exception("stream_write_failed")

    @staticmethod
    def _flush(items: dict[Flushable, None]) -> None:
        if not items:
            return
        batch = list(items)
        items.clear()
        for item in batch:
            item.flush()
