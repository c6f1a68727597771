"""What all subscribers have in common: a journal, positions of their own, and what each message means."""

import asyncio
import random
import ssl
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from agio.app.chaos.streams.journal import (
    Beat,
    Booked,
    Closed,
    Ended,
    Entry,
    Journal,
    Logged,
    Opened,
    Shown,
    Skipped,
    Subscribed,
    digest_of,
    is_book,
    is_log,
    key_of,
)
from agio.app.chaos.streams.proof import StateMark, Truth
from agio.app.chaos.streams.reader_book import ReaderBook
from agio.app.chaos.streams.slowness import Slowness, SlownessWatch

REPEAT_SECONDS: Final = 0.5


class Wish(msgspec.Struct, frozen=True):
    """A channel as a subscriber asks for it."""

    channel: str
    tier: str = "raw"
    start: int | None = None
    """Logs: history first, from this sequence on."""


class Door(msgspec.Struct, frozen=True):
    """Where the crowd knocks, and with what."""

    port: int
    api_key: str
    trust: ssl.SSLContext
    ca_file: str
    lines: Mapping[int, str] = {}
    """By our port: which node a connection came to."""

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


class Notes:
    """A subscriber's journal, and how far it has come."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._positions: dict[str, tuple[str, int]] = {}
        self._shown: dict[tuple[str, str], Shown] = {}
        self._books: dict[str, ReaderBook] = {}
        self._booked_at: dict[str, int] = {}
        self._wanted: set[str] = set()
        self._watch = SlownessWatch()

    def write(self, entry: Entry) -> None:
        self._journal.write(entry)
        self._watch.take(entry)

    @property
    def slowness(self) -> Slowness:
        """What befell it, so far, for being slow."""
        return msgspec.structs.replace(self._watch.seen)

    @property
    def path(self) -> Path:
        return self._journal.path

    def position(self, channel: str) -> tuple[str, int] | None:
        return self._positions.get(channel)

    def subscribed(self, entry: Subscribed) -> None:
        self.write(entry)
        self._wanted.add(entry.channel)
        if is_log(entry.channel) and not (entry.recovered and entry.after is not None):
            self._positions[entry.channel] = (entry.epoch, entry.sequence)
        elif is_log(entry.channel) and entry.after is not None:
            self._positions.setdefault(entry.channel, (entry.epoch, entry.after[1]))

    def pushed(self, channel: str, epoch: str, push: "WirePush") -> None:
        """A push of whatever class."""
        if is_book(channel):
            self._booked(channel, push)
        elif is_log(channel):
            self._positions[channel] = (epoch, push.q)
            self.write(Logged(channel, epoch, push.q, digest_of(push.d, push.t)))
        else:
            key = key_of(channel, push.d)
            shown = Shown(channel, key, push.q, push.t, digest_of(push.d, 0))
            self._shown[channel, key] = shown
            self.write(shown)

    def has_reached(self, truth: Truth) -> bool:
        """Whether all that is durable has come, and the newest values."""
        for channel, mark in truth.log_marks.items():
            position = self._positions.get(channel)
            if channel in self._wanted and (position is None or position[0] != mark[0] or position < mark):
                return False
        for channel, sequence in truth.book_marks.items():
            if channel in self._wanted and self._booked_at.get(channel, 0) < sequence:
                return False
        return all(self._has_come(mark) for mark in truth.state_marks if mark.channel in self._wanted)

    def _has_come(self, mark: StateMark) -> bool:
        shown = self._shown.get((mark.channel, mark.key))
        if shown is None or shown.sequence < mark.sequence:
            return False
        return mark.digest is None or shown.digest == mark.digest

    def _booked(self, channel: str, push: "WirePush") -> None:
        book = self._books.setdefault(channel, ReaderBook())
        levels = msgspec.convert(push.d, _Levels)
        is_snapshot = push.op == "snap"
        if is_snapshot:
            book.replace(levels.bids, levels.asks)
        else:
            book.change(levels.bids, levels.asks)
        previous = None if is_snapshot else push.p if push.p is not None else -1
        told = push.crc if push.crc is not None else -1
        self._booked_at[channel] = push.q
        self.write(Booked(channel, push.q, previous, told, book.checksum(), book.digest()))


class _Levels(msgspec.Struct):
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


class WirePush(msgspec.Struct):
    """A push as it is read off the wire."""

    n: int
    q: int
    t: int
    d: object
    p: int | None = None
    crc: int | None = None
    op: str = ""


class Conversation:
    """One connection of a subscriber that speaks the wire protocol by itself: what each message means."""

    def __init__(self, notes: Notes, wishes: Sequence[Wish], line: str = "") -> None:
        self._notes = notes
        self._wishes = {wish.channel: wish for wish in wishes}
        self._channels: dict[int, tuple[str, str]] = {}
        """Channel and epoch by number."""
        self._asked: dict[str, tuple[str, int] | None] = {}
        self._pushes = 0
        self.is_answered = False
        self.drain_seconds: float | None = None
        self.again: set[str] = set()
        """Channels to be asked for once more."""
        self.verdict: tuple[int, str] | None = None
        """SSE: the code and reason of the last event."""
        notes.write(Opened(time.monotonic(), line=line))

    def request(self, channel: str) -> dict[str, object]:
        """The entry of a `sub`, from where we are."""
        wish = self._wishes[channel]
        entry: dict[str, object] = {"ch": channel, "tier": wish.tier}
        position = self._notes.position(channel)
        self._asked[channel] = position
        if position is not None:
            entry["from"] = {"epoch": position[0], "seq": position[1]}
        elif wish.start is not None:
            entry["start"] = wish.start
        return entry

    def resume_at(self, channel: str) -> None:
        """Server-sent events: what the last id stands for."""
        self._asked[channel] = self._notes.position(channel)

    def take(self, message: object) -> None:
        """One message, or an array of pushes."""
        for each in message if isinstance(message, list) else [message]:
            if not isinstance(each, dict):
                raise TypeError(f"no message of this protocol: {str(each)[:100]}")
            self._take_one(each)

    def _take_one(self, message: Mapping[str, object]) -> None:
        if "unsubs" in message or "resyncs" in message:
            return
        operation = message.get("op", "")
        if operation == "snap" or (operation == "" and "subs" not in message):
            push = msgspec.convert(message, WirePush)
            channel, epoch = self._channels[push.n]
            # Snapshots are control messages: the heartbeat does not count them.
            self._pushes += operation == ""
            self._notes.pushed(channel, epoch, push)
        elif operation == "":
            self._take_answer(msgspec.convert(message, _Answer))
        elif operation == "skipped":
            skipped = msgspec.convert(message, _Skipped)
            self._notes.write(Skipped(self._channels[skipped.n][0], skipped.first, skipped.to))
        elif operation == "unsub":
            self._take_fault(msgspec.convert(message, _Fault))
        elif operation == "hb":
            self._notes.write(Beat(msgspec.convert(message["count"], int), self._pushes))
        elif operation == "drain":
            self.drain_seconds = msgspec.convert(message["slot"], int) / 1000
        elif operation == "close":
            self.verdict = (msgspec.convert(message["code"], int), str(message.get("reason", "")))
        elif operation == "error":
            # What was asked for is not known any more: begin again.
            fault = msgspec.convert(message, _Fault)
            self._notes.write(Ended("", fault.code, fault.retry))
            self.drain_seconds = 0.0

    def _take_answer(self, answer: "_Answer") -> None:
        self.is_answered = True
        for granted in answer.subs:
            self._channels[granted.n] = (granted.ch, granted.epoch)
            after = self._asked.get(granted.ch)
            if after is None and granted.first is not None:
                after = (granted.epoch, granted.first - 1)
            self._notes.subscribed(
                Subscribed(granted.ch, granted.epoch, granted.seq, after, granted.recovered, granted.reason)
            )
        for refused in answer.errs:
            self._take_fault(refused)

    def _take_fault(self, fault: "_Fault") -> None:
        self._notes.write(Ended(fault.ch, fault.code, fault.retry))
        if fault.retry:
            self.again.add(fault.ch)


class _Granted(msgspec.Struct):
    ch: str
    n: int
    epoch: str
    seq: int
    first: int | None = None
    recovered: bool | None = None
    reason: str = ""


class _Fault(msgspec.Struct):
    code: str
    retry: bool
    ch: str = ""


class _Answer(msgspec.Struct):
    subs: list[_Granted]
    errs: list[_Fault]


class _Skipped(msgspec.Struct):
    n: int
    first: int = msgspec.field(name="from")
    to: int = 0


async def pause(chance: random.Random, least: float, most: float) -> None:
    await asyncio.sleep(chance.uniform(least, most))


def closed(code: int, reason: str, *, is_ours: bool = False) -> Closed:
    return Closed(time.monotonic(), code, reason[:200], is_ours)
