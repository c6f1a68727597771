"""How fast a stream acts: every delay and patience in one place, with the clock that they are measured by."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import msgspec


def _new_random() -> random.Random:
    return random.Random()  # noqa: S311 - spreads clients, protects nothing


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Durations of a stream, in seconds. The defaults are what servers expect; tests make them short."""

    first_delay: float = 0.5
    longest_delay: float = 20.0
    healthy: float = 30.0
    """A connection that spoke for so long makes the next delays short again."""
    refusals: int = 3
    """Handshakes refused in a row after which the stream is closed for good."""
    connect: float = 10.0
    """How long opening a connection may take."""
    margin: float = 10.0
    """How much later than its heartbeat a server may speak before the connection counts as stale."""
    close: float = 2.0
    """How long the server may take to answer our close frame."""
    takeover: float = 5.0
    """How long the connection that takes over may still take once the old one has ended."""
    repeat: float = 0.5
    """Least pause before what the server left out, or cannot serve for the moment, is asked again."""
    resyncs: int = 5
    """Resyncs of one channel without a good stretch between them after which the connection is given up."""
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    rng: random.Random = msgspec.field(default_factory=_new_random)
