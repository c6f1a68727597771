"""What a continuity run has to say for itself."""

import msgspec

from agio.app.chaos.streams.proof import Count, Violation


class StreamRound(msgspec.Struct):
    """What was done, and how long the last subscriber took to be where the history is."""

    number: int
    faults: list[str]
    reached_seconds: float | None
    late: list[str]
    """Who was not there in time."""


class StreamReport(msgspec.Struct):
    """The whole run."""

    seed: int
    seconds: float
    rounds: list[StreamRound]
    subscribers: int
    orders_placed: int
    bus: dict[str, int]
    durable: int
    """Messages of log channels in the histories of all epochs."""
    epochs: int
    totals: dict[str, int]
    per_subscriber: dict[str, Count]
    violations: list[Violation]
    journals: str | None
    """Where the journals are, if they were kept: when a promise was broken, or on request."""
    is_clean: bool
