"""What the benchmark says to its market process, and what that answers: one JSON line each."""

from typing import Literal

import msgspec


class TellTrades(msgspec.Struct, tag=True):
    """Record and tell trades at a steady pace."""

    symbol: str
    rate: float
    seconds: float
    is_single: bool = False
    """A bus message for each trade, also for those that were recorded together."""


class TellBook(msgspec.Struct, tag=True):
    """Tell deltas of a book, one bus message each."""

    symbol: str
    rate: float
    seconds: float


class TellPeer(msgspec.Struct, tag=True):
    """Send the same pushes to a peer: text lines over TCP, or as a NATS client."""

    port: int
    protocol: Literal["lines", "nats"]
    rate: float
    seconds: float


class Told(msgspec.Struct):
    """What was told, when it was, and what it cost."""

    first: int = 0
    last: int = 0
    messages: int = 0
    """Messages on the bus."""
    moments: list[tuple[int, int]] = []
    """(last sequence, nanoseconds since 1970) just before each message went out."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def pushes(self) -> int:
        return self.last - self.first + 1


Order = TellTrades | TellBook | TellPeer
