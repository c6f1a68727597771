"""LOBSTER files of NASDAQ stocks: a message file, and the true book after each of its messages.

Neither has a header. A message is `time, type, order id, size, price, direction`: seconds after midnight in
New York, price in 1/10,000 dollar, direction 1 for a buy and -1 for a sell limit order. The files begin with
the session, on a book that was there before: orders that rest already are known only by price, from the first
line of the book file (`L3Book.seed`).
"""

from collections.abc import Iterator
from datetime import date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import BinaryIO, Final
from zoneinfo import ZoneInfo

from agio.kernel.time import to_micros
from agio.marketdata.books.l3 import MAX_ORDERS
from agio.marketdata.decoders.lines import BadLine, LineLimits, TimeOrder, read_fields, whole_number
from agio.marketdata.decoders.numbers import Step
from agio.marketdata.findings import Finding
from agio.marketdata.normalised import (
    Aggressor,
    BookChange,
    BookSnapshot,
    Instrument,
    OrderEvent,
    OrderKind,
    Side,
    Status,
    Trade,
    TradingState,
)

TIME_ZONE: Final = ZoneInfo("America/New_York")
TICK: Final = Decimal("0.0001")

_SECONDS: Final = Step(Decimal("1e-9"))
_DAY_NS: Final = 86_400 * 10**9
_FIELDS: Final = 6
_SIDES: Final[dict[bytes, Side]] = {b"1": "bid", b"-1": "ask"}
_TAKERS: Final[dict[Side, Aggressor]] = {"bid": "sell", "ask": "buy"}
"""Who takes from an order of this side."""
_HALTS: Final[dict[bytes, TradingState]] = {b"-1": "halted", b"0": "auction", b"1": "open"}

LobsterMessage = OrderEvent | Trade | Status


def instrument(symbol: str) -> Instrument:
    """A stock in the units of the files: prices in 1/10,000 dollar, sizes in shares."""
    return Instrument("NASDAQ", symbol, symbol, TICK, Decimal(1))


def midnight_ns(day: date) -> int:
    """When the file's seconds begin to count."""
    return to_micros(datetime.combine(day, time_of_day(), TIME_ZONE)) * 1000


class LobsterReader:
    """The messages of one file. It remembers what rests, since a partial cancel tells only what went."""

    def __init__(self, symbol: str, day: date, limits: LineLimits | None = None) -> None:
        self._symbol = symbol
        self._midnight_ns = midnight_ns(day)
        self._limits = limits or LineLimits()
        self._resting: dict[str, int] = {}

    def read(self, stream: BinaryIO) -> Iterator[tuple[int, LobsterMessage | Finding]]:
        """Messages and findings with their line numbers; an execution is a trade and an order event.

        Hidden executions and crosses are trades that no visible order takes part in.
        """
        order = TimeOrder("time")
        for line, messages in read_fields(stream, self._limits, _FIELDS, self._read_line):
            if isinstance(messages, Finding):
                yield line, messages
                continue
            finding = order.check(messages[0].received_ns, line)
            if finding is not None:
                yield line, finding
            for message in messages:
                yield line, message

    def _read_line(self, fields: list[bytes], _line: int) -> list[LobsterMessage]:
        instant, kind, order_id, size_text, price_text, direction = fields
        at_ns = self._midnight_ns + _time_of_day(instant)
        if kind == b"7":
            return [Status(self._symbol, at_ns, at_ns, None, _HALTS.get(price_text, "unknown"), "LOBSTER 7")]
        side = _SIDES.get(direction)
        if side is None and kind != b"6":
            raise BadLine("shape", f"direction must be 1 or -1, not {direction[:20]!a}")
        size, price = whole_number(size_text, "size"), whole_number(price_text, "price")
        if not size or not price:
            raise BadLine("number", "size and price are above 0")
        text = order_id.decode("latin-1")
        match kind:
            case b"1" | b"2" | b"3" | b"4" if side is not None:
                return self._order_event(kind, at_ns, text, side, price, size)
            case b"5" | b"6":
                condition = "hidden" if kind == b"5" else "cross"
                taker: Aggressor = _TAKERS[side] if kind == b"5" and side is not None else "unknown"
                return [Trade(self._symbol, at_ns, at_ns, None, price, size, taker, conditions=(condition,))]
            case _:
                raise BadLine("shape", f"message type {kind[:20]!a} is not one of 1 to 7")

    def _order_event(
        self, kind: bytes, at_ns: int, order_id: str, side: Side, price: int, size: int
    ) -> list[LobsterMessage]:
        what: OrderKind = "add" if kind == b"1" else "execute" if kind == b"4" else "delete"
        told = size
        if what == "add":
            if len(self._resting) >= MAX_ORDERS:
                raise BadLine("too_many_orders", f"more than {MAX_ORDERS} orders rest")
            self._resting[order_id] = size
        elif order_id in self._resting:
            left = self._resting[order_id] - size
            if left > 0:
                self._resting[order_id] = left
                if what == "delete":
                    what, told = "modify", left
            else:
                del self._resting[order_id]
        event = OrderEvent(self._symbol, at_ns, at_ns, None, what, order_id, side, price, told)
        if what != "execute":
            return [event]
        return [Trade(self._symbol, at_ns, at_ns, None, price, size, _TAKERS[side]), event]


def read_books(
    stream: BinaryIO, symbol: str, depth: int, limits: LineLimits | None = None
) -> Iterator[tuple[int, BookSnapshot | Finding]]:
    """The true books of the file, one a line: ask price, ask size, bid price, bid size, level after level."""

    def read(fields: list[bytes], _line: int) -> BookSnapshot:
        asks = [_level("ask", *fields[place : place + 2]) for place in range(0, 4 * depth, 4)]
        bids = [_level("bid", *fields[place + 2 : place + 4]) for place in range(0, 4 * depth, 4)]
        return BookSnapshot(
            symbol,
            None,
            0,
            None,
            tuple(level for level in bids if level is not None),
            tuple(level for level in asks if level is not None),
        )

    return read_fields(stream, limits or LineLimits(), 4 * depth, read)


def _level(side: Side, price_text: bytes, size_text: bytes) -> BookChange | None:
    size = whole_number(size_text, "size")
    if not size:
        return None
    return BookChange(side, whole_number(price_text, "price"), size)


def _time_of_day(text: bytes) -> int:
    """Nanoseconds after midnight; digits beyond the ninth are noise of the vendor's floats."""
    whole, point, fraction = text.decode("latin-1").partition(".")
    at_ns = _SECONDS.read(whole + point + fraction[:9])
    if fraction[9:] and not fraction[9:].isdigit():
        raise BadLine("number", f"time {text[:40]!a} is no number")
    if at_ns >= _DAY_NS:
        raise BadLine("number", f"time {text[:40]!a} is not within a day")
    return at_ns
