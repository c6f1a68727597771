"""The states of a stream, and who is told of them."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from enum import Enum

import msgspec

log = logging.getLogger("agio_sdk")

REMEMBERED_CHANGES = 1_000
"""Changes that wait for a slow reader; then the oldest are forgotten."""


class StreamState(Enum):
    """connecting (no connection), resuming (asking for its channels), live, stale, closed (for good)."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALE = "stale"
    RESUMING = "resuming"
    CLOSED = "closed"


class StateChange(msgspec.Struct, frozen=True, kw_only=True):
    """A stream's new state, and why. `code` is a close code, or the HTTP status of a refused handshake."""

    state: StreamState
    reason: str = ""
    code: int | None = None
    attempt: int = 0
    """How many attempts to connect were in vain since the last healthy time."""
    retry_in_seconds: float | None = None


OnState = Callable[[StreamState], None]


class StateFeed:
    """The state now, a callback for each new one, and iterators over all changes."""

    def __init__(self, on_state: OnState | None = None) -> None:
        self.state = StreamState.CONNECTING
        self.on_state = on_state
        self._readers: list[tuple[deque[StateChange], asyncio.Event]] = []

    def set(self, change: StateChange) -> None:
        """Tell everybody. The same state again is a change where it says something about retrying."""
        is_new = change.state is not self.state
        if not is_new and change.retry_in_seconds is None:
            return
        self.state = change.state
        for waiting, arrived in self._readers:
            waiting.append(change)
            arrived.set()
        if is_new and self.on_state is not None:
            tell(self.on_state, change.state)

    async def changes(self) -> AsyncGenerator[StateChange, None]:
        """The present state and every change from now on; ends after `closed`."""
        waiting = deque([StateChange(state=self.state)], maxlen=REMEMBERED_CHANGES)
        arrived = asyncio.Event()
        reader = (waiting, arrived)
        self._readers.append(reader)
        try:
            while True:
                while waiting:
                    change = waiting.popleft()
                    yield change
                    if change.state is StreamState.CLOSED:
                        return
                arrived.clear()
                await arrived.wait()
        finally:
            self._readers.remove(reader)


def tell(callback: Callable[..., None], *news: object) -> None:
    """Call somebody else's code: what it raises is logged and does not end the stream."""
    try:
        callback(*news)
    except Exception:
        log.exception("a callback of the stream failed")
