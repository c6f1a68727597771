"""Waiting for a nudge, with a poll as the safety net."""

import asyncio

from nats.aio.subscription import Subscription

from agio.platform.bus import Bus
from agio.trading.events import NUDGE_VENUE


class VenueNudge:
    """Wakes a runner when commands are waiting; best effort."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._wake = asyncio.Event()
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> "VenueNudge":
        self._subscription = await self._bus.subscribe(NUDGE_VENUE, self._nudged)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._subscription is not None and self._bus.is_connected:
            await self._subscription.unsubscribe()

    @property
    def is_set(self) -> bool:
        return self._wake.is_set()

    def clear(self) -> None:
        """Call before looking for commands, so that a nudge in the meantime is not lost."""
        self._wake.clear()

    async def wait(self, timeout_seconds: float) -> bool:
        """Whether a nudge came in time."""
        try:
            async with asyncio.timeout(max(timeout_seconds, 0)):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def _nudged(self, _subject: str, _payload: bytes) -> None:
        self._wake.set()
