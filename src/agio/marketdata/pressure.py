"""The gateway's half of flow control: says on the bus that subscribers of trades fall behind."""

import asyncio
from typing import Final

from agio.marketdata.events import PRESSURE_SUBJECT, RELIEF_SUBJECT, Pressure, Relief, encode
from agio.platform.bus import Bus
from agio.platform.clock import Clock

PRESS_MS: Final = 3000


class PressureSignal:
    """Call it with True, again about every second, while they are behind, and with False when they are not.

    Never waits; `run` sends.
    """

    def __init__(self, bus: Bus, clock: Clock, node: str) -> None:
        self._bus = bus
        self._clock = clock
        self._node = node
        self._is_pressing = False
        self._wake = asyncio.Event()

    def __call__(self, is_pressing: bool) -> None:
        self._is_pressing = is_pressing
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._is_pressing:
                until_ms = self._clock.now_micros() // 1000 + PRESS_MS
                await self._bus.publish(PRESSURE_SUBJECT, encode(Pressure(self._node, until_ms)))
            else:
                await self._bus.publish(RELIEF_SUBJECT, encode(Relief(self._node)))
