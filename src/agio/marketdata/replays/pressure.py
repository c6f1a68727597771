"""Flow control: a tape waits while gateways say that their subscribers fall behind."""

import asyncio
from typing import Final

import msgspec
from nats.aio.subscription import Subscription

from agio.marketdata.events import PRESSURE_SUBJECT, RELIEF_SUBJECT, Pressure, Relief
from agio.platform.bus import Bus
from agio.platform.clock import Clock

MAX_PRESS_SECONDS: Final = 3.0
"""A node that presses and dies holds a tape up this long and no longer."""
MAX_NODES: Final = 1000
_LOOK_SECONDS: Final = 0.05


class PressureGate:
    """Open while no node presses."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._pressed_until: dict[str, float] = {}
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        self._subscriptions = [
            await self._bus.subscribe(PRESSURE_SUBJECT, self._press),
            await self._bus.subscribe(RELIEF_SUBJECT, self._relieve),
        ]

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            await subscription.unsubscribe()
        self._subscriptions = []

    async def wait(self) -> bool:
        """Return once the gate is open; True if that meant waiting."""
        has_waited = False
        while self._is_pressed():
            has_waited = True
            await asyncio.sleep(_LOOK_SECONDS)
        return has_waited

    def _is_pressed(self) -> bool:
        if not self._pressed_until:
            return False
        now = self._clock.monotonic()
        self._pressed_until = {node: until for node, until in self._pressed_until.items() if until > now}
        return bool(self._pressed_until)

    async def _press(self, _: str, payload: bytes) -> None:
        pressure = msgspec.msgpack.decode(payload, type=Pressure)
        wanted_seconds = (pressure.until_ms * 1000 - self._clock.now_micros()) / 1_000_000
        if len(self._pressed_until) < MAX_NODES or pressure.node in self._pressed_until:
            until = self._clock.monotonic() + min(MAX_PRESS_SECONDS, max(0.0, wanted_seconds))
            self._pressed_until[pressure.node] = until

    async def _relieve(self, _: str, payload: bytes) -> None:
        self._pressed_until.pop(msgspec.msgpack.decode(payload, type=Relief).node, None)
