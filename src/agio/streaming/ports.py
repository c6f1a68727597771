"""What the edge needs from outside: the bus, the connection it writes to, and a few answers."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol


class BusSubscription(Protocol):
    async def unsubscribe(self) -> None: ...


class Feed(Protocol):
    """The part of `platform.bus.Bus` that the edge uses."""

    async def subscribe(
        self, subject: str, handler: Callable[[str, bytes], Awaitable[None]]
    ) -> BusSubscription: ...

    async def publish(self, subject: str, payload: bytes = b"") -> None: ...

    async def flush(self) -> None: ...

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> None: ...


class Wire(Protocol):
    """One accepted WebSocket, from a session's point of view. Nothing here waits."""

    @property
    def is_writable(self) -> bool:
        """Open, and the transport's buffer is below its high-water mark."""
        ...

    @property
    def takes_packed(self) -> bool:
        """Whether the peer agreed to compressed frames."""
        ...

    def write(self, frames: bytes) -> None:
        """Hand whole frames to the transport; look at `is_writable` first."""
        ...

    def limit_messages(self, max_bytes: int) -> None:
        """Set how long an inbound message may be."""
        ...

    def seconds_unheard(self) -> float:
        """How long ago the peer last sent anything at all."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Begin the closing handshake; idempotent."""
        ...


SourceStates = Callable[[], Mapping[str, str]]
"""State of each upstream source: `live`, `stale` or `closed`."""

PressureHook = Callable[[bool], None]
"""Told True, again about once a second, while readers of trades fall behind; False when they no longer do."""


def no_sources() -> Mapping[str, str]:
    return {}


def no_pressure(_is_pressing: bool) -> None:
    return None
