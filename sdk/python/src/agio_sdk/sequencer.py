"""Where a reader of one channel stands: what is new, what was seen, and what cannot be proven. No I/O."""

from collections import deque
from enum import Enum

import msgspec

from agio_sdk.gaps import Gap, GapReason

STATE_CHANNELS = frozenset({"quotes", "bars", "balances", "positions", "analytics"})
BOOK_CHANNELS = frozenset({"book"})
REMEMBERED = 256

_REASONS: dict[str, GapReason] = {"too_far": "too_far", "trimmed": "trimmed"}


class ChannelClass(Enum):
    """What a channel promises: every message, the newest values, or a book."""

    LOG = "log"
    STATE = "state"
    BOOK = "book"

    @classmethod
    def of(cls, channel: str) -> "ChannelClass":
        """The class by the channel's name; what is not known is held to the strictest promise."""
        name = channel.partition(":")[0]
        if name in STATE_CHANNELS:
            return cls.STATE
        return cls.BOOK if name in BOOK_CHANNELS else cls.LOG


class Taken(Enum):
    """What to do with a message."""

    NEW = "new"
    SEEN = "seen"
    """Handed over before: leave it out."""
    HOLE = "hole"
    """Something before it is missing: resume from the position."""


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """The server's answer to a subscription."""

    epoch: str
    seq: int
    is_recovered: bool = True
    first: int | None = None
    reason: str = ""
    rest: str | None = None


class Sequencer:
    """The position (epoch, sequence) on one channel, carried from connection to connection.

    Log channels: each (epoch, sequence) is NEW exactly once, in order and +1, or a Gap says which are not.
    State channels: what is told again word for word is SEEN. Books keep their own chain (`Book`).
    """

    def __init__(self, channel: str, position: tuple[str, int] | None = None) -> None:
        self.channel = channel
        self.channel_class = ChannelClass.of(channel)
        self.epoch: str = position[0] if position is not None else ""
        self.last: int | None = position[1] if position is not None else None
        self.is_granted = False
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=REMEMBERED)

    @property
    def is_log(self) -> bool:
        return self.channel_class is ChannelClass.LOG

    def position(self) -> dict[str, object] | None:
        """The `from` of the next subscription; None where there is nothing to resume."""
        if not self.is_log or self.last is None:
            return None
        return {"epoch": self.epoch, "seq": self.last} if self.epoch else {"seq": self.last}

    def grant(self, granted: Granted) -> Gap | None:
        """The server answered. What it replays follows as messages; what it cannot give is the gap."""
        self.is_granted = True
        was_at, was_epoch = self.last, self.epoch
        self.epoch = granted.epoch
        if not self.is_log:
            return None
        if was_at is None:
            # Without a position the log begins here, or where `start` was found.
            here = granted.seq if granted.is_recovered else 0
            was_at = here if granted.first is None else granted.first - 1
            was_epoch = granted.epoch
        # A position without an epoch may be continued in whatever epoch there is.
        if granted.is_recovered and was_epoch in {"", granted.epoch}:
            self.last = was_at
            return None
        self.last = granted.seq
        is_other = granted.is_recovered or granted.reason == "epoch" or was_epoch not in {"", granted.epoch}
        if granted.seq <= was_at and not is_other:
            return None
        return Gap(
            channel=self.channel,
            first=was_at + 1,
            last=granted.seq,
            reason="epoch" if is_other else _REASONS.get(granted.reason, ""),
            epoch=granted.epoch,
            rest=granted.rest,
        )

    def take(self, q: int, payload: bytes = b"") -> Taken:
        """Judge a message; NEW moves the position."""
        last = self.last
        if self.is_log:
            if last is not None and q <= last:
                return Taken.SEEN
            if last is not None and q != last + 1:
                return Taken.HOLE
            self.last = q
            return Taken.NEW
        if last is not None and q <= last and (q, payload) in self._recent:
            return Taken.SEEN
        if last is not None and q < last:
            # A new connection begins with an older value: what replaced it must be told again.
            self._recent = deque((entry for entry in self._recent if entry[0] <= q), maxlen=REMEMBERED)
        self._recent.append((q, payload))
        self.last = q if last is None else max(last, q)
        return Taken.NEW

    def is_behind(self, top: int) -> bool:
        """Whether a heartbeat's newest sequence shows that something was lost in silence."""
        return self.is_log and (self.last or 0) < top
