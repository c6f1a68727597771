"""Holds a subscriber's journal against what is durable: pure, so that it can itself be tried on lies."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from agio.app.chaos.streams.journal import (
    Beat,
    Booked,
    Closed,
    Ended,
    Entry,
    Gap,
    Logged,
    Opened,
    Shown,
    Skipped,
    Subscribed,
    is_log,
)
from agio.app.chaos.streams.slowness import Slowness, SlownessWatch
from agio.app.chaos.streams.witness import SkipCheck, Witness

FOR_GOOD: Final = 4500
SHOWN: Final = 5
"""Violations that are kept of one subscriber; the first one counts."""


class Violation(msgspec.Struct, frozen=True):
    """A broken promise: to whom, where, and what."""

    subscriber: str
    channel: str
    sequence: int
    what: str

    def __str__(self) -> str:
        place = f"{self.channel} at {self.sequence}: " if self.channel else ""
        return f"{self.subscriber}: {place}{self.what}"


class StateMark(msgspec.Struct, frozen=True):
    """What the newest value of a key must be at the end: at least this sequence, or exactly this payload."""

    channel: str
    key: str
    sequence: int = 0
    digest: int | None = None


class Truth(msgspec.Struct):
    """What is durable, and what the engine told."""

    logs: dict[tuple[str, str], dict[int, int]] = {}
    """Digests by sequence, of each channel and epoch."""
    books: dict[str, dict[int, int]] = {}
    """Digests of whole books by sequence, where the reference heard them."""
    values: dict[str, dict[int, int]] = {}
    """Digests of quotes by sequence, where the reference heard them."""
    told: Witness = msgspec.field(default_factory=Witness)
    """What readers who keep up were told by each gateway."""
    log_marks: dict[str, tuple[str, int]] = {}
    """By channel: epoch and sequence that every subscriber must have come to."""
    book_marks: dict[str, int] = {}
    """By channel: the sequence that every book must have come to."""
    state_marks: list[StateMark] = []


class Count(msgspec.Struct):
    """How much was proven of one subscriber, and what it was told of gaps."""

    messages: int = 0
    books: int = 0
    books_compared: int = 0
    states: int = 0
    states_compared: int = 0
    connections: int = 0
    resumed: int = 0
    not_recovered: int = 0
    skipped: int = 0
    ended: int = 0
    closes: dict[int, int] = {}
    slow: Slowness = msgspec.field(default_factory=Slowness)
    """What befell it for being too slow."""


class _Log(msgspec.Struct):
    epoch: str
    last: int


class _Book(msgspec.Struct):
    last: int | None = None


class Prover:
    """One subscriber's story, told entry by entry."""

    def __init__(self, subscriber: str, truth: Truth) -> None:
        self.count = Count()
        self.violations: list[Violation] = []
        self._subscriber = subscriber
        self._truth = truth
        self._logs: dict[str, _Log] = {}
        self._books: dict[str, _Book] = {}
        self._keeps_books = False
        """It may come to another connection without a word, whose first book is a little older."""
        self._states: dict[tuple[str, str], Shown] = {}
        self._newest: dict[tuple[str, str], int] = {}
        """Since the connection began, by channel and key."""
        self._owed: dict[tuple[str, str], int] = {}
        """Values that went back when another connection took over, and from where."""
        self._gaps: dict[str, list[Gap]] = {}
        self._wanted: dict[str, None] = {}
        self._watch = SlownessWatch()
        self._skips = SkipCheck(truth.told)

    def take(self, entry: Entry) -> None:
        self._watch.take(entry)
        silent = self._skips.take(entry)
        if silent is not None and isinstance(entry, Shown | Booked):
            self._violate(entry.channel, entry.sequence, silent)
        match entry:
            case Logged():
                self._take_logged(entry)
            case Booked():
                self._take_booked(entry)
            case Shown():
                self._take_shown(entry)
            case Subscribed():
                self._take_subscribed(entry)
            case Opened():
                self.count.connections += 1
                self._newest.clear()
                self._owed.clear()
                self._keeps_books = entry.keeps_books
                if not entry.keeps_books:
                    self._books.clear()
            case Closed():
                self._take_closed(entry)
            case Gap():
                self.count.not_recovered += 1
                self._gaps.setdefault(entry.channel, []).append(entry)
            case _:
                self._take_notice(entry)

    def finish(self) -> None:
        """The journal is over: what should be there and is not?"""
        self.count.slow = self._watch.seen
        for channel in self._wanted:
            if is_log(channel):
                self._check_end(channel)
            elif channel in self._truth.book_marks:
                self._check_book(channel)
        for mark in self._truth.state_marks:
            if mark.channel in self._wanted:
                self._check_state(mark)

    # Logs: exactly once, in order, and what is durable

    def _take_subscribed(self, entry: Subscribed) -> None:
        self._wanted[entry.channel] = None
        if not is_log(entry.channel):
            return
        known = self._logs.get(entry.channel)
        if entry.after is None:
            if known is not None:
                self._violate(entry.channel, entry.sequence, "came back without a position")
            self._logs[entry.channel] = _Log(entry.epoch, entry.sequence)
        elif entry.recovered is None:
            self._violate(entry.channel, entry.sequence, "neither recovered nor refused")
        elif entry.recovered:
            self.count.resumed += 1
            if known is None:
                self._logs[entry.channel] = _Log(entry.epoch, entry.after[1])
            elif entry.epoch != known.epoch:
                what = f"recovered {known.epoch} in epoch {entry.epoch}"
                self._violate(entry.channel, entry.sequence, what)
        else:
            self.count.not_recovered += 1
            self._logs[entry.channel] = _Log(entry.epoch, entry.sequence)

    def _take_logged(self, entry: Logged) -> None:
        self.count.messages += 1
        known = self._logs.get(entry.channel)
        if known is None:
            self._violate(entry.channel, entry.sequence, "a push before the subscription")
            known = _Log(entry.epoch, entry.sequence - 1)
            self._logs[entry.channel] = known
        is_next = entry.epoch == known.epoch and entry.sequence == known.last + 1
        if not is_next and not self._is_announced(entry, known):
            self._violate(entry.channel, entry.sequence, _name_break(entry, known))
        known.epoch, known.last = entry.epoch, entry.sequence
        durable = self._truth.logs.get((entry.channel, entry.epoch))
        if durable is None or entry.sequence not in durable:
            self._violate(entry.channel, entry.sequence, f"not in the history of epoch {entry.epoch}")
        elif durable[entry.sequence] != entry.digest:
            self._violate(entry.channel, entry.sequence, "not what the history has under this sequence")

    def _is_announced(self, entry: Logged, known: _Log) -> bool:
        """The SDK tells what lies between: from just after the last message to just before this one."""
        gaps = self._gaps.get(entry.channel, [])
        for place, gap in enumerate(gaps):
            if gap.first == known.last + 1 and gap.last + 1 == entry.sequence:
                del gaps[: place + 1]
                return True
        return False

    def _check_end(self, channel: str) -> None:
        mark = self._truth.log_marks.get(channel)
        known = self._logs.get(channel)
        if mark is None or known is None:
            return
        if known.epoch != mark[0] and not self._gaps.get(channel):
            self._violate(channel, known.last, f"ended in epoch {known.epoch}, the channel is in {mark[0]}")
        elif known.epoch == mark[0] and known.last < mark[1]:
            self._violate(channel, known.last, f"the end is missing: {mark[1]} is durable")

    # Books: each link, each checksum, each level

    def _take_booked(self, entry: Booked) -> None:
        self.count.books += 1
        known = self._books.setdefault(entry.channel, _Book())
        if entry.previous is not None and entry.previous != known.last:
            what = f"a delta after {entry.previous} on a book at {known.last}"
            self._violate(entry.channel, entry.sequence, what)
        elif known.last is not None and entry.sequence < known.last and not self._keeps_books:
            self._violate(entry.channel, entry.sequence, f"the book went back from {known.last}")
        known.last = entry.sequence
        if entry.own != entry.told:
            what = f"checksum {entry.told} was told, the book has {entry.own}"
            self._violate(entry.channel, entry.sequence, what)
        whole = self._truth.books.get(entry.channel, {}).get(entry.sequence)
        if whole is not None:
            self.count.books_compared += 1
            if whole != entry.digest:
                self._violate(entry.channel, entry.sequence, "levels differ from the reference book")

    def _check_book(self, channel: str) -> None:
        known = self._books.get(channel, _Book())
        mark = self._truth.book_marks[channel]
        if known.last is None or known.last < mark:
            self._violate(channel, known.last or 0, f"the book is not the newest: {mark}")

    # States: never backwards, newest at the end

    def _take_shown(self, entry: Shown) -> None:
        self.count.states += 1
        place = (entry.channel, entry.key)
        newest = self._newest.get(place, entry.sequence)
        if entry.sequence < newest and self._keeps_books:
            self._owed[place] = max(newest, self._owed.get(place, 0))
        elif entry.sequence < newest:
            what = f"{entry.key or 'the value'} went back from {newest}"
            self._violate(entry.channel, entry.sequence, what)
        self._check_owed(entry)
        self._newest[place] = entry.sequence
        self._states[place] = entry
        told = self._truth.values.get(entry.channel, {}).get(entry.sequence)
        if told is not None:
            self.count.states_compared += 1
            if told != entry.digest:
                self._violate(entry.channel, entry.sequence, "not what the engine told under this sequence")

    def _check_owed(self, entry: Shown) -> None:
        """What went back must have come forward again before its channel goes on."""
        for place, newest in list(self._owed.items()):
            if place == (entry.channel, entry.key) and entry.sequence >= newest:
                del self._owed[place]
            elif place[0] == entry.channel and entry.sequence > newest:
                del self._owed[place]
                what = f"{place[1] or 'the value'} went back from {newest} and stayed there"
                self._violate(entry.channel, entry.sequence, what)

    def _check_state(self, mark: StateMark) -> None:
        shown = self._states.get((mark.channel, mark.key))
        if shown is None:
            self._violate(mark.channel, mark.sequence, f"never told {mark.key or 'a value'}")
        elif shown.sequence < mark.sequence:
            what = f"{mark.key or 'the value'} is not the newest: {mark.sequence}"
            self._violate(mark.channel, shown.sequence, what)
        elif mark.digest is not None and shown.digest != mark.digest:
            self._violate(mark.channel, shown.sequence, f"{mark.key} is not what REST says")

    def _take_notice(self, entry: Skipped | Ended | Beat) -> None:
        match entry:
            case Skipped():
                self.count.skipped += 1
            case Ended():
                self.count.ended += 1
                if not entry.may_retry:
                    self._violate(entry.channel, 0, f"ended for good: {entry.code}")
            case Beat():
                if entry.told != entry.own:
                    what = f"the heartbeat counts {entry.told} pushes, {entry.own} came"
                    self._violate("", entry.told, what)

    def _take_closed(self, entry: Closed) -> None:
        if not entry.is_ours:
            self.count.closes[entry.code] = self.count.closes.get(entry.code, 0) + 1
        if entry.code >= FOR_GOOD:
            self._violate("", entry.code, f"closed for good: {entry.code} {entry.reason}")

    def _violate(self, channel: str, sequence: int, what: str) -> None:
        if len(self.violations) < SHOWN:
            self.violations.append(Violation(self._subscriber, channel, sequence, what))


def prove(subscriber: str, entries: Iterable[Entry], truth: Truth) -> Prover:
    """The whole journal of one subscriber."""
    prover = Prover(subscriber, truth)
    for entry in entries:
        prover.take(entry)
    prover.finish()
    return prover


def add_up(counts: Iterable[Count]) -> dict[str, int]:
    """Figures of all subscribers together."""
    total: dict[str, int] = {}
    for count in counts:
        for name, value in msgspec.structs.asdict(count).items():
            if isinstance(value, Slowness):
                for case, times in msgspec.structs.asdict(value).items():
                    total[f"slow_{case}"] = total.get(f"slow_{case}", 0) + times
            elif isinstance(value, Mapping):
                for code, times in value.items():
                    total[f"closed_{code}"] = total.get(f"closed_{code}", 0) + times
            else:
                total[name] = total.get(name, 0) + value
    return total


def _name_break(entry: Logged, known: _Log) -> str:
    if entry.epoch != known.epoch:
        return f"epoch {known.epoch} became {entry.epoch}, and nobody said so"
    if entry.sequence == known.last:
        return "came twice"
    if entry.sequence < known.last:
        return f"came after {known.last}: out of order or twice"
    return f"{known.last + 1} to {entry.sequence - 1} are missing, and nobody said so"
