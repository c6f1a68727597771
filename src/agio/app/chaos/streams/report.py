"""What a continuity run has to say for itself."""

from collections.abc import Sequence

import msgspec

from agio.app.chaos.streams.proof import Count, Violation
from agio.app.chaos.streams.slowness import Slowness


class StreamRound(msgspec.Struct):
    """What was done, and how long the last subscriber took to be where the history is."""

    number: int
    faults: list[str]
    reached_seconds: float | None
    late: list[str]
    """Who was not there in time."""
    slow: Slowness
    """What befell slow readers until then."""
    unmet: list[str]
    """Cases of slow readers that did not come about: nothing is proven of them."""


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


def find_unmet(rounds: Sequence[StreamRound]) -> list[Violation]:
    """A proof that never met its case is no proof."""
    return [
        Violation(f"round {each.number}", "", 0, f"no reader was {case}: nothing was proven of it")
        for each in rounds
        for case in each.unmet
    ]
