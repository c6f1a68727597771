"""Bitstamp order-by-order sessions as CSV: a file of order events and a file of trades with both order ids.

The order file begins with a REST snapshot told as `created` rows of one exchange time; then the live events.
Times are milliseconds since 1970 UTC: `timestamp` is the recorder's, `exchange_timestamp` the venue's.
`volume` is what rests after the event, at a deletion what was left: 0 for a filled order. A market order is
created with volume 0 at the price 999,999,999; bids of less than a cent rest at the price 0.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final

import msgspec

from agio.marketdata.decoders.decoder import Market
from agio.marketdata.decoders.lines import (
    BadLine,
    LineLimits,
    in_time_order,
    plain_number,
    read_table,
    time_ns,
)
from agio.marketdata.decoders.numbers import Step
from agio.marketdata.findings import Finding
from agio.marketdata.normalised import Aggressor, Instrument, OrderEvent, OrderKind, Side, Trade

ORDER_COLUMNS: Final = (
    "id",
    "timestamp",
    "exchange_timestamp",
    "price",
    "volume",
    "action",
    "direction",
)
TRADE_COLUMNS: Final = (
    "trade_id",
    "timestamp",
    "exchange_timestamp",
    "price",
    "amount",
    "buy_order_id",
    "sell_order_id",
    "side",
)

_MILLISECOND_NS: Final = 10**6
_KINDS: Final[dict[bytes, OrderKind]] = {b"created": "add", b"changed": "modify", b"deleted": "delete"}
_SIDES: Final[dict[bytes, Side]] = {b"bid": "bid", b"ask": "ask"}
_AGGRESSORS: Final[dict[bytes, Aggressor]] = {b"buy": "buy", b"sell": "sell"}


class OrderTrade(msgspec.Struct, frozen=True, gc=False):
    """A trade and the two orders that made it."""

    trade: Trade
    buy_order_id: str
    sell_order_id: str


def read_orders(
    stream: BinaryIO, instrument: Instrument, limits: LineLimits | None = None
) -> Iterator[tuple[int, OrderEvent | Finding]]:
    """Order events and findings with their line numbers; the snapshot begins with a `clear`."""
    symbol, read_price, read_size = instrument.symbol, Step(instrument.tick).read, Step(instrument.lot).read

    def read(fields: list[bytes], _line: int) -> OrderEvent:
        order_id, timestamp, exchange_timestamp, price, volume, action, direction = fields
        kind, side = _KINDS.get(action), _SIDES.get(direction)
        if kind is None or side is None or not order_id.isdigit():
            raise BadLine("shape", f"no such event: {b','.join((order_id, action, direction))[:60]!a}")
        return OrderEvent(
            symbol,
            time_ns(exchange_timestamp, _MILLISECOND_NS, "exchange_timestamp"),
            time_ns(timestamp, _MILLISECOND_NS, "timestamp"),
            None,
            kind,
            order_id.decode(),
            side,
            read_price(plain_number(price.decode("latin-1"))),
            read_size(plain_number(volume.decode("latin-1"))),
        )

    rows = read_table(stream, limits or LineLimits(), ORDER_COLUMNS, read)
    return _with_snapshot(in_time_order(rows, "exchange_timestamp", "timestamp"))


def read_trades(
    stream: BinaryIO, instrument: Instrument, limits: LineLimits | None = None
) -> Iterator[tuple[int, OrderTrade | Finding]]:
    """Trades and findings with their line numbers, in the file's order."""
    market = Market(instrument)

    def read(fields: list[bytes], _line: int) -> OrderTrade:
        trade_id, timestamp, exchange_timestamp, price, amount, buy_order_id, sell_order_id, side = fields
        aggressor = _AGGRESSORS.get(side)
        if aggressor is None or not all(text.isdigit() for text in (trade_id, buy_order_id, sell_order_id)):
            raise BadLine("shape", f"no such trade: {b','.join((trade_id, side))[:60]!a}")
        trade = Trade(
            market.symbol,
            time_ns(exchange_timestamp, _MILLISECOND_NS, "exchange_timestamp"),
            time_ns(timestamp, _MILLISECOND_NS, "timestamp"),
            None,
            market.price(plain_number(price.decode("latin-1"))),
            market.size(plain_number(amount.decode("latin-1"))),
            aggressor,
            trade_id.decode(),
        )
        return OrderTrade(trade, buy_order_id.decode(), sell_order_id.decode())

    return read_table(stream, limits or LineLimits(), TRADE_COLUMNS, read)


class FillAudit:
    """Compares what orders lost in the order events with what the trades say they traded."""

    def __init__(self) -> None:
        self._created: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        self._traded: dict[str, int] = {}

    def see_event(self, event: OrderEvent) -> None:
        if event.kind == "add":
            self._created.setdefault(event.order_id, event.size)
        elif event.order_id in self._created:
            self._lost[event.order_id] = self._created[event.order_id] - event.size

    def see_trade(self, trade: OrderTrade) -> None:
        for order_id in (trade.buy_order_id, trade.sell_order_id):
            self._traded[order_id] = self._traded.get(order_id, 0) + trade.trade.size

    def result(self) -> tuple[int, dict[str, tuple[int, int]]]:
        """How many traded orders lost exactly what they traded; for the others (lost, traded)."""
        different = {
            order_id: (self._lost.get(order_id, 0), traded)
            for order_id, traded in self._traded.items()
            if self._lost.get(order_id) != traded
        }
        return len(self._traded) - len(different), different


def _with_snapshot(
    rows: Iterator[tuple[int, OrderEvent | Finding]],
) -> Iterator[tuple[int, OrderEvent | Finding]]:
    """Mark the rows of the snapshot, one row late, since its last one is only known by the next."""
    held: tuple[int, OrderEvent] | None = None
    snapshot_ns: int | None = None
    is_over = False
    for line, row in rows:
        if is_over or isinstance(row, Finding):
            yield line, row
            continue
        if snapshot_ns is None:
            snapshot_ns = row.venue_ns
            yield line, _clear(row)
        is_over = row.kind != "add" or row.venue_ns != snapshot_ns
        if held is not None:
            yield held[0], msgspec.structs.replace(held[1], is_snapshot=True, is_last=is_over)
        if is_over:
            yield line, row
            held = None
        else:
            held = line, row
    if held is not None:
        yield held[0], msgspec.structs.replace(held[1], is_snapshot=True, is_last=True)


def _clear(first: OrderEvent) -> OrderEvent:
    return OrderEvent(
        first.symbol,
        first.venue_ns,
        first.received_ns,
        None,
        "clear",
        "",
        "bid",
        0,
        0,
        is_snapshot=True,
        is_last=False,
    )
