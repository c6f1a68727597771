"""Nothing is left out in silence: what one gateway told a reader who kept up, the others had or were told of.

A line is the way to one gateway. State and book sequences grow over all restarts of the engine, so what two
readers of a line were told can be compared by sequence alone.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

import msgspec

from agio.app.chaos.streams.journal import Booked, Entry, Opened, Shown, Skipped, Subscribed

Value = tuple[str, str, str]
"""Line, channel and key."""


class Witness(msgspec.Struct):
    """What readers who keep up were told, by line."""

    values: dict[Value, list[int]] = {}
    """Sequences of each value, ascending."""
    chains: dict[tuple[str, str], list[list[int]]] = {}
    """Of each line and book: sequences that followed each other without a new snapshot."""

    def hear(self, entries: Iterable[Entry]) -> None:
        """Take the journal of a reader without a tier who keeps up."""
        line = ""
        heard: dict[Value, set[int]] = {}
        chains: dict[str, list[int]] = {}
        for entry in entries:
            match entry:
                case Opened():
                    line = entry.line
                    chains.clear()
                case Shown() if line:
                    heard.setdefault((line, entry.channel, entry.key), set()).add(entry.sequence)
                case Booked() if line:
                    if entry.previous is None or entry.channel not in chains:
                        chains[entry.channel] = []
                        self.chains.setdefault((line, entry.channel), []).append(chains[entry.channel])
                    chains[entry.channel].append(entry.sequence)
                case _:
                    pass
        for place, sequences in heard.items():
            self.values[place] = sorted(sequences.union(self.values.get(place, ())))

    def between(self, place: Value, first: int, last: int) -> Iterator[int]:
        """The values that were told between two others."""
        told = self.values.get(place, [])
        for index in range(bisect_right(told, first), len(told)):
            if told[index] >= last:
                return
            yield told[index]

    def next_delta(self, line: str, channel: str, first: int, last: int) -> int | None:
        """What followed `first` in a chain that goes on until `last`; None where the chain broke for all."""
        for chain in self.chains.get((line, channel), []):
            if chain[0] <= first < last <= chain[-1]:
                return chain[bisect_right(chain, first)]
        return None


class SkipCheck:
    """Along one subscriber's journal: what it was not given was announced before what came instead."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._line = ""
        self._values: dict[tuple[str, str], int] = {}
        self._books: dict[str, int] = {}
        self._skipped: dict[str, list[tuple[int, int]]] = {}
        """Announced since the connection began."""

    def take(self, entry: Entry) -> str | None:
        """What is wrong with it."""
        match entry:
            case Opened():
                self._line = entry.line
                self._values.clear()
                self._books.clear()
                self._skipped.clear()
            case Subscribed():
                # Whoever subscribes again begins again.
                self._books.pop(entry.channel, None)
                for place in [place for place in self._values if place[0] == entry.channel]:
                    del self._values[place]
            case Skipped():
                self._skipped.setdefault(entry.channel, []).append((entry.first, entry.last))
            case Shown():
                return self._take_shown(entry)
            case Booked():
                return self._take_booked(entry)
            case _:
                pass
        return None

    def _take_shown(self, entry: Shown) -> str | None:
        before = self._values.get((entry.channel, entry.key))
        self._values[entry.channel, entry.key] = entry.sequence
        if not self._line or before is None:
            return None
        others = self._witness.between((self._line, entry.channel, entry.key), before, entry.sequence)
        return next(
            (
                f"{missed} was told to others of this gateway, not here, and nobody said so"
                for missed in others
                if not self._is_announced(entry.channel, missed)
            ),
            None,
        )

    def _take_booked(self, entry: Booked) -> str | None:
        before = self._books.get(entry.channel)
        self._books[entry.channel] = entry.sequence
        if not self._line or before is None or entry.previous is not None:
            return None
        missed = self._witness.next_delta(self._line, entry.channel, before, entry.sequence)
        if missed is None or self._is_announced(entry.channel, missed):
            return None
        return f"a new book after {before}: others of this gateway had {missed}, and nobody said so"

    def _is_announced(self, channel: str, sequence: int) -> bool:
        return any(first <= sequence <= last for first, last in self._skipped.get(channel, []))
