"""A replay and its pace."""

import math
from datetime import datetime
from typing import Final, Literal

import msgspec

from agio.kernel.problem import InvalidRequest
from agio.marketdata.tape.files import TapeKind

MAX_SPEED: Final = 1_000_000.0
AS_FAST_AS_POSSIBLE: Final = 0.0

ReplayState = Literal["pending", "running", "done", "failed", "canceled"]


class Replay(msgspec.Struct, frozen=True):
    """A tape, where it is played to, and how far it got: rows of the tape from its beginning."""

    replay_id: str
    path: str
    kind: TapeKind
    symbol: str
    speed: float
    time_zone: str
    state: ReplayState
    total: int
    done: int
    """Rows that are durable."""
    heard: int
    """Rows that the listeners have decided on and the bus was told."""
    first_seq: int | None
    """Sequence of the tape's first trade."""
    first_ns: int
    last_ns: int
    venue_time_ns: int | None
    price_scale: int
    quantity_scale: int
    file_size: int
    file_modified_ns: int
    problem: str | None
    problem_line: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_active(self) -> bool:
        return self.state in ("pending", "running")


class Pace:
    """Turns venue time into waiting: `speed` venue seconds pass in a second; 0 never waits."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._venue_ns = 0
        self._instant = 0.0
        self._is_anchored = False

    def anchor(self, venue_time_ns: int, now: float) -> None:
        """From here on, this venue time is now: after a start, a pause or an outage nothing is caught up."""
        self._venue_ns, self._instant, self._is_anchored = venue_time_ns, now, True

    def wait_seconds(self, venue_time_ns: int, now: float) -> float:
        """How long until something of this venue time is due; not positive when it is."""
        if self._speed == AS_FAST_AS_POSSIBLE:
            return 0.0
        if not self._is_anchored:
            self.anchor(venue_time_ns, now)
        return (venue_time_ns - self._venue_ns) / 1e9 / self._speed - (now - self._instant)


def check_speed(speed: float) -> float:
    """A multiple of real time, 0 for as fast as possible; raises InvalidRequest."""
    if not math.isfinite(speed) or not 0 <= speed <= MAX_SPEED:
        raise InvalidRequest(
            f"speed is a multiple of real time up to {MAX_SPEED:.0f}, or 0 for as fast as possible",
            extra={"field": "speed"},
        )
    return speed
