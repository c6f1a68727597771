"""Bitfinex WebSocket v2: raw order books (R0) and trades.

Frames name their channel by a number that the `subscribed` answer gave it, so this decoder remembers those.
An order is [id, price, amount]: price 0 deletes it, a known id changes it, a negative amount is an ask. A
book is a window of the best orders of each side: an order that leaves it is deleted and may come back.
Numbers are JSON numbers, read by their text, never as floats.
"""

import json
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final, NamedTuple

import msgspec

from agio.marketdata.decoders.decoder import BadFrame, Decoder, Market
from agio.marketdata.decoders.lines import SHOWN, plain_number, read_whole
from agio.marketdata.findings import Finding, FindingCode
from agio.marketdata.normalised import (
    Channel,
    Fault,
    Heartbeat,
    Instrument,
    Malformed,
    Message,
    OrderEvent,
    OrderKind,
    Side,
    Status,
    Subscription,
    Trade,
    Unread,
)

VENUE: Final = "BITFINEX"
MAX_CHANNELS: Final = 1000
MAX_ORDERS: Final = 1_000_000
MAX_FILE: Final = 64 * 1024**2

_MILLISECOND_NS: Final = 10**6
_MAX_MILLISECONDS: Final = 2**63 // _MILLISECOND_NS
_CHANNELS: Final[dict[str, Channel]] = {"book": "book", "trades": "trades"}


class _Event(msgspec.Struct):
    event: str
    channel: str = ""
    chan_id: int = msgspec.field(name="chanId", default=0)
    symbol: str = ""
    prec: str = ""
    code: int | None = None
    msg: str = ""


class _Topic(msgspec.Struct, frozen=True):
    """What a channel number stands for; no market for one that we do not read."""

    channel: Channel
    name: str
    market: Market | None


_EVENT: Final = msgspec.json.Decoder(_Event)
_DATA: Final = msgspec.json.Decoder(list[object], float_hook=str)
"""Numbers with a point or an exponent come as their text, whole ones as int."""


class BitfinexDecoder(Decoder):
    """Frames of one connection to `wss://api-pub.bitfinex.com/ws/2`; a new connection needs a new decoder."""

    venue = VENUE

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        super().__init__(instruments)
        self._topics: dict[int, _Topic] = {}
        self._known: dict[int, set[int]] = {}

    def _read(self, frame: str | bytes, received_ns: int) -> list[Message]:
        if frame[:1] in ("[", b"["):
            return self._read_data(frame, received_ns)
        event = _EVENT.decode(frame)
        match event.event:
            case "subscribed" | "unsubscribed":
                return [self._read_answer(event, received_ns)]
            case "error":
                symbol, channel = self._symbol(event.symbol), _CHANNELS.get(event.channel, "unknown")
                error = f"{event.code} {event.msg}"
                return [Subscription(symbol, received_ns, None, channel, is_active=False, error=error)]
            case "info":
                detail = f"info {event.code or ''} {event.msg}".strip()
                return [Status(None, None, received_ns, None, "unknown" if event.code else "open", detail)]
            case "pong":
                return [Heartbeat(received_ns)]
            case name:
                return [Unread(received_ns, None, name)]

    def _read_answer(self, event: _Event, received_ns: int) -> Message:
        if event.event == "unsubscribed":
            topic = self._topics.pop(event.chan_id, None)
            self._known.pop(event.chan_id, None)
            symbol = topic.market.symbol if topic is not None and topic.market is not None else None
            channel: Channel = topic.channel if topic is not None else "unknown"
            return Subscription(symbol, received_ns, None, channel, is_active=False)
        if len(self._topics) >= MAX_CHANNELS:
            raise BadFrame("too_long", f"more than {MAX_CHANNELS} channels")
        is_read = event.channel == "trades" or (event.channel == "book" and event.prec == "R0")
        market = self._market(event.symbol) if is_read else None
        channel = _CHANNELS.get(event.channel, "unknown")
        self._topics[event.chan_id] = _Topic(channel, event.channel, market)
        self._known[event.chan_id] = set()
        symbol = self._symbol(event.symbol)
        return Subscription(symbol, received_ns, None, channel, is_active=True)

    def _read_data(self, frame: str | bytes, received_ns: int) -> list[Message]:
        parts = _DATA.decode(frame)
        number = parts[0]
        topic = self._topics.get(number) if isinstance(number, int) else None
        if topic is None or not isinstance(number, int) or len(parts) < 2:
            raise BadFrame("shape", f"channel {str(number)[:40]} was not subscribed")
        if parts[1] == "hb":
            return [Heartbeat(received_ns)]
        market = topic.market
        if market is None or parts[1] in ("cs", "tu"):
            return [Unread(received_ns, None, topic.name)]
        try:
            if topic.channel == "book":
                return self._read_orders(market, self._known[number], parts[1], received_ns)
            return _read_trades(market, parts[1:], received_ns)
        except Exception as fault:
            symbol, channel = market.symbol, topic.channel
            return [self._malformed(fault, frame, received_ns, symbol=symbol, channel=channel)]

    def _read_orders(self, market: Market, known: set[int], part: object, received_ns: int) -> list[Message]:
        if not isinstance(part, list):
            raise BadFrame("shape", "orders are lists")
        if part and not isinstance(part[0], list):
            return [_order_event(market, known, _read_order(market, part), received_ns)]
        orders = [_read_order(market, row) for row in part]
        known.clear()
        events: list[Message] = [_clear(market, received_ns, is_last=not orders)]
        for place, order in enumerate(orders, start=1):
            events.append(
                _order_event(
                    market, known, order, received_ns, is_snapshot=True, is_last=place == len(orders)
                )
            )
        return events


class _Order(NamedTuple):
    number: int
    price: int
    """0 of an order that goes."""
    size: int
    side: Side


def _read_order(market: Market, row: object) -> _Order:
    if not isinstance(row, list) or len(row) != 3 or type(row[0]) is not int or row[0] <= 0:
        raise BadFrame("shape", f"no order: {str(row)[:80]}")
    amount, side = _unsigned(row[2])
    price = _text(row[1])
    if price == "0":
        return _Order(row[0], 0, 0, side)
    return _Order(row[0], market.price(plain_number(price)), market.size(plain_number(amount)), side)


def _order_event(
    market: Market,
    known: set[int],
    order: _Order,
    received_ns: int,
    *,
    is_snapshot: bool = False,
    is_last: bool = True,
) -> OrderEvent:
    kind: OrderKind = "modify" if order.number in known else "add"
    if not order.price:
        kind = "delete"
        known.discard(order.number)
    elif len(known) >= MAX_ORDERS:
        raise BadFrame("too_long", f"more than {MAX_ORDERS} orders")
    else:
        known.add(order.number)
    return OrderEvent(
        market.symbol,
        None,
        received_ns,
        None,
        kind,
        str(order.number),
        order.side,
        order.price,
        order.size,
        is_snapshot,
        is_last,
    )


def _clear(market: Market, received_ns: int, *, is_last: bool) -> OrderEvent:
    return OrderEvent(market.symbol, None, received_ns, None, "clear", "", "bid", 0, 0, True, is_last)


def _read_trades(market: Market, parts: list[object], received_ns: int) -> list[Message]:
    """`["te", [id, ms, amount, price]]`, or the newest trades, newest first, as a list of such."""
    if parts[0] == "te" and len(parts) > 1:
        return [_trade(market, parts[1], received_ns, is_history=False)]
    if not isinstance(parts[0], list):
        raise BadFrame("shape", f"no trades: {str(parts[0])[:80]}")
    return [_trade(market, row, received_ns, is_history=True) for row in reversed(parts[0])]


def _trade(market: Market, row: object, received_ns: int, *, is_history: bool) -> Trade:
    if not isinstance(row, list) or len(row) != 4 or type(row[0]) is not int:
        raise BadFrame("shape", f"no trade: {str(row)[:80]}")
    milliseconds = row[1]
    if not isinstance(milliseconds, int) or not 0 < milliseconds < _MAX_MILLISECONDS:
        raise BadFrame("number", f"no time: {str(milliseconds)[:40]}")
    amount, side = _unsigned(row[2])
    return Trade(
        market.symbol,
        milliseconds * _MILLISECOND_NS,
        received_ns,
        None,
        market.price(plain_number(_text(row[3]))),
        market.size(plain_number(amount)),
        "buy" if side == "bid" else "sell",
        str(row[0]),
        is_history=is_history,
    )


def _unsigned(amount: object) -> tuple[str, Side]:
    text = _text(amount)
    return (text[1:], "ask") if text.startswith("-") else (text, "bid")


def _text(number: object) -> str:
    if isinstance(number, bool) or not isinstance(number, int | str):
        raise BadFrame("number", f"no number: {str(number)[:40]}")
    return str(number)


def read_file(
    stream: BinaryIO, decoder: BitfinexDecoder, max_bytes: int = MAX_FILE
) -> Iterator[tuple[int, Message | Finding]]:
    """A session kept as one JSON list of its frames, plain or gzip: messages and findings with frame numbers.

    Such a file tells no times. A broken file is read as far as it goes.
    """
    content = read_whole(stream, max_bytes)
    if isinstance(content, Finding) or not content.strip():
        yield 0, content if isinstance(content, Finding) else Finding("truncated", 0, "the file is empty")
        return
    number = 0
    for number, frame in enumerate(_frames(content), start=1):
        if isinstance(frame, Finding):
            yield number, msgspec.structs.replace(frame, record=number)
            return
        for message in decoder.decode(frame, 0):
            yield number, _finding(message, number) if isinstance(message, Malformed) else message
    if not number:
        yield 0, Finding("truncated", 0, "there is no frame in the file")


def _frames(content: bytes) -> Iterator[bytes | str | Finding]:
    try:
        yield from (bytes(frame) for frame in msgspec.json.decode(content, type=list[msgspec.Raw]))
    except (ValueError, RecursionError):
        yield from _frames_as_far_as_possible(content.decode("utf-8", "replace"))


def _frames_as_far_as_possible(text: str) -> Iterator[str | Finding]:
    read = json.JSONDecoder().raw_decode
    place = len(text) - len(text.lstrip())
    if text[place : place + 1] != "[":
        yield Finding("header", 0, f"a session is a JSON list of frames, not {text[:SHOWN]!a}")
        return
    try:
        while True:
            place = _next_value(text, place + 1)
            _, end = read(text, place)
            yield text[place:end]
            place = _next_value(text, end)
            if text[place : place + 1] != ",":
                break
    except (ValueError, RecursionError) as fault:
        yield Finding("truncated", 0, f"the file is broken here: {fault}")
        return
    if text[place : place + 1] != "]" or text[place + 1 :].strip():
        yield Finding("truncated", 0, f"the list does not end here: {text[place : place + SHOWN]!a}")


def _next_value(text: str, place: int) -> int:
    while text[place : place + 1].isspace():
        place += 1
    return place


def _finding(malformed: Malformed, number: int) -> Finding:
    return Finding(_CODES[malformed.fault], number, f"{malformed.detail}: {malformed.excerpt[:SHOWN]!a}")


_CODES: Final[dict[Fault, FindingCode]] = {
    "json": "shape",
    "shape": "shape",
    "decoder": "shape",
    "number": "number",
    "off_tick": "off_tick",
    "unknown_symbol": "unknown_symbol",
    "too_long": "too_long",
}
