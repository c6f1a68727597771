"""A line that loses, swaps, repeats or garbles frames: noticed, healed by a snapshot, never served as good.

Each recorded session is played with damage every few book frames, and some frames later every doubtful book
gets a snapshot of the true one. Whenever a book is good after a frame, it must be the venue's true book after
that frame, as deep as the venue proves it.
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Literal

import pytest
from tests.unit.marketdata.decoders.sessions import (
    ReferenceBook,
    Session,
    book_messages,
    in_decimals,
    raw_changes,
    two_sides,
)

from agio.marketdata.books.continuity import VenueBooks
from agio.marketdata.decoders.recording import Event
from agio.marketdata.normalised import BookChange, BookSnapshot, Malformed, Verdict

DAMAGES = 5
"""How often a session is damaged."""
HEALED_AFTER = 6
"""Frames between a damage and the snapshot that heals it."""
DEPTH = 10
EVENTS = {"KRAKEN": 800, "OKX": 300, "COINBASE": 300, "BINANCE": 269}
NAMES = ("kraken", "okx", "coinbase", "binance")

Top = tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]


class Truth:
    """The venue's own books, by the plain reference."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.books: dict[str, ReferenceBook] = {}
        self.numbers: dict[str, int] = {}
        """Binance's last update id of each book."""
        self._early: dict[str, list[str]] = {}

    def hear(self, event: Event) -> list[str]:
        """The symbols whose book changed."""
        if self._session.venue.name == "BINANCE":
            return self._hear_binance(event)
        touched = []
        for venue_symbol, is_snapshot, changes in raw_changes(self._session.venue.name, event.data):
            symbol = self._symbol(venue_symbol)
            if is_snapshot:
                self.books[symbol] = ReferenceBook()
            for change in changes:
                self.books[symbol].put(*change)
            touched.append(symbol)
        return touched

    def _hear_binance(self, event: Event) -> list[str]:
        body = json.loads(event.data)
        if event.kind == "http":
            symbol = self._symbol(event.address.partition("symbol=")[2].partition("&")[0])
            self.books[symbol], self.numbers[symbol] = ReferenceBook(), body["lastUpdateId"]
            for change in two_sides(body, "bids", "asks"):
                self.books[symbol].put(*change)
            for early in self._early.pop(symbol, ()):
                self._depth(symbol, json.loads(early)["data"])
            return [symbol]
        if "@depth" not in body["stream"]:
            return []
        symbol = self._symbol(body["data"]["s"])
        if symbol not in self.books:
            self._early.setdefault(symbol, []).append(event.data)
            return []
        self._depth(symbol, body["data"])
        return [symbol]

    def _depth(self, symbol: str, data: dict[str, object]) -> None:
        last = data["u"]
        assert isinstance(last, int)
        if last > self.numbers[symbol]:
            self.numbers[symbol] = last
            for change in two_sides(data, "b", "a"):
                self.books[symbol].put(*change)

    def snapshot(self, symbol: str) -> BookSnapshot:
        """What the venue would answer to a new subscription now."""
        book, instrument = self.books[symbol], self._session.instruments[symbol]

        def level(side: Literal["bid", "ask"], price: Decimal, size: Decimal) -> BookChange:
            texts = book.texts[side, price]
            digest = ":".join(texts)
            if self._session.venue.name == "KRAKEN":
                digest = "".join(text.replace(".", "").lstrip("0") for text in texts)
            return BookChange(side, int(price / instrument.tick), int(size / instrument.lot), digest)

        bids = tuple(level("bid", *pair) for pair in book.bids.items())
        asks = tuple(level("ask", *pair) for pair in book.asks.items())
        return BookSnapshot(symbol, None, 0, self.numbers.get(symbol), bids, asks)

    def _symbol(self, venue_symbol: str) -> str:
        found = (one.symbol for one in self._session.instruments.values() if one.venue_symbol == venue_symbol)
        return next(found)


Delivery = tuple[int, str]
"""(place of the true frame, what arrives of it)"""
Damage = Callable[[list[Event], int, int, Random], dict[int, list[Delivery]]]
"""(events, place, place of the symbol's next update, random) -> what arrives instead, by place"""


def dropped(_events: list[Event], place: int, _later: int, _random: Random) -> dict[int, list[Delivery]]:
    return {place: []}


def repeated(events: list[Event], place: int, _later: int, _random: Random) -> dict[int, list[Delivery]]:
    return {place: [(place, events[place].data)] * 2}


def swapped(events: list[Event], place: int, later: int, _random: Random) -> dict[int, list[Delivery]]:
    return {place: [(later, events[later].data)], later: [(place, events[place].data)]}


def one_digit_changed(
    events: list[Event], place: int, _later: int, random: Random
) -> dict[int, list[Delivery]]:
    """Any digit where a checksum covers the content; else one of the sequence numbers."""
    data = events[place].data
    numbered = re.search(r'"sequence_num":(\d+)|"[Uu]":(\d+)', data)
    start, end = numbered.span() if numbered else (0, len(data))
    spots = [spot for spot in range(start, end) if data[spot].isdigit()]
    spot = random.choice(spots)
    digit = random.choice([digit for digit in "0123456789" if digit != data[spot]])
    return {place: [(place, data[:spot] + digit + data[spot + 1 :])]}


def garbled(make: Callable[[str], str]) -> Damage:
    def damage(events: list[Event], place: int, _later: int, _random: Random) -> dict[int, list[Delivery]]:
        return {place: [(place, make(events[place].data))]}

    return damage


def with_number(text: str) -> Damage:
    """The first price of the frame becomes something that no price is."""
    return garbled(lambda data: re.sub(r'"\d+(\.\d+)?"', text, data, count=1))


READABLE: dict[str, Damage] = {
    "dropped": dropped,
    "repeated": repeated,
    "swapped": swapped,
    "one digit changed": one_digit_changed,
}
UNREADABLE: dict[str, Damage] = {
    "truncated": garbled(lambda data: data[: len(data) * 2 // 3]),
    "not JSON": garbled(lambda data: "{'a':" + data),
    "empty": garbled(lambda _: ""),
    "another shape": garbled(lambda _: '{"data":[[[]]]}'),
    "deeply nested": garbled(lambda _: "[" * 100_000),
    "NaN": with_number('"NaN"'),
    "bare NaN": with_number("NaN"),
    "negative": with_number('"-1.5"'),
    "huge": with_number('"' + "9" * 60 + '"'),
    "exponent": with_number('"1e5"'),
    "a float": with_number("1.5"),
    "finer than the tick": with_number('"0.' + "0" * 36 + '1"'),
}


def shortened(event: Event) -> Event:
    """Coinbase's snapshots of 5 MB with only their first levels: what the true book has is what was told."""
    if len(event.data) < 1_000_000:
        return event
    message = json.loads(event.data)
    for told in message["events"]:
        for side in ("bid", "offer"):
            of_side = [one for one in told["updates"] if one["side"] == side]
            told["updates"] = [one for one in told["updates"] if one["side"] != side] + of_side[:300]
    return Event(event.kind, event.connection, event.at_ns, json.dumps(message))


class Line:
    """Plays a session over a bad line and watches the books."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.events = [shortened(event) for event in session.events[: EVENTS[session.venue.name]]]
        self.decoder, self.books = session.decoder(), session.venue.make_books()
        self.doubts = 0
        self.malformed: list[Malformed] = []
        truth, self.tops = Truth(session), dict[tuple[int, str], Top]()
        self.places: list[int] = []
        """Frames that change a book that is known by then."""
        for place, event in enumerate(self.events):
            known = set(truth.books)
            for symbol in truth.hear(event):
                self.tops[place, symbol] = truth.books[symbol].top(DEPTH)
                if event.kind == "recv" and symbol in known:
                    self.places.append(place)

    def play(self, damage: Damage, check: Callable[[VenueBooks, str], None] | None = None) -> None:
        random = Random(1)
        self.books = self.session.venue.make_books()
        spacing = len(self.places) // (DAMAGES + 1)
        damaged = [self.places[spacing * (number + 1)] for number in range(DAMAGES)]
        script: dict[int, list[Delivery]] = {}
        healed = {len(self.events) - 1}
        for place in damaged:
            changed = damage(self.events, place, self.later(place), random)
            script |= changed
            healed.add(max(changed) + HEALED_AFTER)
        truth = Truth(self.session)
        for place, event in enumerate(self.events):
            touched = truth.hear(event)
            for index, data in script.get(place, [(place, event.data)]):
                self.deliver(index, data)
            if place in damaged and check is not None:
                check(self.books, touched[0])
            if place in healed:
                self.heal(truth)
        for symbol in truth.books:
            book = self.books.good(symbol)
            assert book is not None, symbol
            ours = in_decimals(book, self.session.instruments[symbol], DEPTH)
            assert ours == truth.books[symbol].top(DEPTH)

    def later(self, place: int) -> int:
        """The next update of the same book."""
        symbol = next(symbol for index, symbol in self.tops if index == place)
        return next(other for other in self.places if other > place and (other, symbol) in self.tops)

    def deliver(self, index: int, data: str) -> None:
        event = self.events[index]
        shown = Event(event.kind, event.connection, event.at_ns, data, event.address)
        messages = self.session.decode(self.decoder, shown)
        self.malformed += [message for message in messages if isinstance(message, Malformed)]
        self.doubts += sum(found.verdict is not Verdict.OK for found in self.books.apply(messages))
        for message in book_messages(messages):
            book = self.books.good(message.symbol)
            if book is not None:
                instrument = self.session.instruments[message.symbol]
                assert in_decimals(book, instrument, DEPTH) == self.tops[index, message.symbol]

    def heal(self, truth: Truth) -> None:
        for symbol in list(self.books.doubtful):
            if symbol in truth.books:
                self.books.apply([truth.snapshot(symbol)])
                assert self.books.good(symbol) is not None


@pytest.fixture(scope="module", params=NAMES)
def line(request: pytest.FixtureRequest) -> Line:
    return Line(request.getfixturevalue(f"{request.param}_session"))


@pytest.mark.parametrize("name", READABLE)
def test_readable_damage_never_leaves_a_wrong_book_good(line: Line, name: str) -> None:
    line.doubts = 0
    line.play(READABLE[name])
    if name in ("dropped", "swapped", "one digit changed"):
        assert line.doubts > 0
    if name == "dropped" and line.session.venue.name in ("COINBASE", "BINANCE"):
        assert line.doubts >= DAMAGES  # every frame is numbered
    if name == "repeated":
        assert line.doubts == 0  # all four venues tell absolute sizes


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_unreadable_frame_is_told_and_doubted_at_once(line: Line, name: str) -> None:
    def is_doubted(books: VenueBooks, symbol: str) -> None:
        assert books.good(symbol) is None

    line.malformed = []
    line.play(UNREADABLE[name], is_doubted)
    assert len(line.malformed) == DAMAGES
