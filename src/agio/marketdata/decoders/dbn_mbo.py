"""Databento market-by-order data (MBO), such as that of CME's MDP 3.0, as order events and trades.

A fill (F) names the resting order and leaves the book alone: the cancel (C) or modify (M) of the same order
that follows it in the same event does the change. Here the two become one `execute`, so that adds, deletes
and executions account for an order completely. A trade (T) carries the aggressor's side. `venue_ns` is the
matching engine's time (`ts_event`), `received_ns` when the vendor got the packet (`ts_recv`).
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import BinaryIO, Final

from databento_dbn import UNDEF_PRICE, Action, MBOMsg, Metadata
from databento_dbn import Side as DbnSide

from agio.marketdata.books.l3 import MAX_ORDERS
from agio.marketdata.decoders.dbn_frames import MAX_BYTES, Framed
from agio.marketdata.decoders.lines import TimeOrder
from agio.marketdata.decoders.numbers import LAST_NS
from agio.marketdata.findings import Finding, FindingCode
from agio.marketdata.normalised import Aggressor, Instrument, OrderEvent, OrderKind, Side, Trade

NANO: Final = Decimal("1e-9")

_LAST: Final = 128
_SNAPSHOT: Final = 32
_MAYBE_BAD_BOOK: Final = 4
_SIDES: Final[dict[object, Side]] = {DbnSide.BID: "bid", DbnSide.ASK: "ask"}
_AGGRESSORS: Final[dict[object, Aggressor]] = {DbnSide.BID: "buy", DbnSide.ASK: "sell"}
_IGNORED: Final = frozenset({Action.NONE})

MboMessage = OrderEvent | Trade


class _Fault(Exception):
    def __init__(self, code: FindingCode, detail: str) -> None:
        super().__init__(detail)
        self.code: FindingCode = code


def read_file(
    stream: BinaryIO, instruments: Mapping[str, Instrument], max_bytes: int = MAX_BYTES
) -> Iterator[tuple[int, MboMessage | Finding]]:
    """Messages and findings with their record numbers from 1; never raises for the file's content.

    `instruments` is keyed by the venue's symbol, such as `ESM4`; records of others are findings.
    """
    framed = Framed(stream, max_bytes)
    metadata = framed.metadata()
    if isinstance(metadata, Finding):
        yield 0, metadata
        return
    books: dict[int, _Orders] = {}
    for number, raw_symbol in _numbers(metadata).items():
        if raw_symbol in instruments:
            books[number] = _Orders(instruments[raw_symbol])
    order = TimeOrder("ts_recv", "received_back")
    for record, item in framed.records():
        if isinstance(item, Finding):
            yield record, item
            continue
        finding = order.check(item.ts_recv, record)
        if finding is not None:
            yield record, finding
        orders = books.get(item.instrument_id)
        if orders is None:
            yield record, Finding("unknown_symbol", record, f"instrument {item.instrument_id}")
            continue
        if item.flags & _MAYBE_BAD_BOOK:
            yield record, Finding("gap", record, "the vendor says that the book may be wrong from here")
        try:
            for message in orders.read(item):
                yield record, message
        except _Fault as fault:
            yield record, Finding(fault.code, record, str(fault))


def read_symbols(stream: BinaryIO) -> list[str] | Finding:
    """The venue's symbols that the file was asked for; leaves the stream at its beginning."""
    metadata = Framed(stream).metadata()
    stream.seek(0)
    return metadata if isinstance(metadata, Finding) else sorted(metadata.mappings)


def _numbers(metadata: Metadata) -> dict[int, str]:
    """Instrument numbers and the symbols that the file was asked for."""
    return {
        int(interval["symbol"]): raw_symbol
        for raw_symbol, intervals in metadata.mappings.items()
        for interval in intervals
        if str(interval["symbol"]).isdecimal()
    }


class _Orders:
    """What rests of one instrument, as far as it is needed to read its records."""

    def __init__(self, instrument: Instrument) -> None:
        self._symbol = instrument.symbol
        self._tick = int(instrument.tick / NANO)
        self._lot = int(instrument.lot)
        self._resting: dict[int, int] = {}
        self._filled: dict[int, int] = {}

    def read(self, record: MBOMsg) -> list[MboMessage]:
        """The messages of a record, in order; raises _Fault."""
        if max(record.ts_event, record.ts_recv) > LAST_NS:
            raise _Fault("number", "there is no time")
        action, is_last = record.action, bool(record.flags & _LAST)
        messages: list[MboMessage] = []
        if action == Action.TRADE:
            messages = [self._trade(record)]
        elif action == Action.FILL:
            if record.order_id in self._resting:
                self._filled[record.order_id] = self._filled.get(record.order_id, 0) + record.size
        elif action == Action.CLEAR:
            self._resting.clear()
            messages = [self._event(record, "clear", "bid", 0, 0, is_last)]
        elif action not in _IGNORED:
            side = _SIDES.get(record.side)
            if side is None:
                raise _Fault("shape", f"action {action} of an order without a side")
            messages = list(self._change(record, side, is_last))
        if is_last:
            self._filled.clear()
        return messages

    def _change(self, record: MBOMsg, side: Side, is_last: bool) -> Iterator[MboMessage]:
        order_id, size, price = record.order_id, self._size(record), self._price(record)
        held = self._resting.get(order_id, 0)
        executed = min(self._filled.pop(order_id, 0), held)
        if record.action in (Action.ADD, Action.MODIFY) and len(self._resting) >= MAX_ORDERS:
            raise _Fault("too_many_orders", f"more than {MAX_ORDERS} orders rest")
        if record.action == Action.ADD:
            self._resting[order_id] = size
            yield self._event(record, "add", side, price, size, is_last)
        elif record.action == Action.MODIFY:
            if executed:
                is_all = held - executed == size
                yield self._event(record, "execute", side, price, executed, is_last and is_all)
            if not executed or held - executed != size:
                yield self._event(record, "modify", side, price, size, is_last)
            self._resting[order_id] = size
        else:
            yield from self._cancel(record, side, price, size, held, min(executed, size), is_last)

    def _cancel(
        self, record: MBOMsg, side: Side, price: int, size: int, held: int, executed: int, is_last: bool
    ) -> Iterator[MboMessage]:
        left, canceled = held - size, size - executed
        if executed:
            yield self._event(record, "execute", side, price, executed, is_last and not canceled)
        if left > 0:
            self._resting[record.order_id] = left
        else:
            self._resting.pop(record.order_id, None)
        if canceled and left > 0:
            yield self._event(record, "modify", side, price, left, is_last)
        elif canceled or not executed:
            yield self._event(record, "delete", side, price, canceled, is_last)
        if left < 0 < held:
            raise _Fault("overfill", f"order {record.order_id} had {held}, {size} are canceled")

    def _trade(self, record: MBOMsg) -> Trade:
        return Trade(
            self._symbol,
            record.ts_event,
            record.ts_recv,
            record.sequence,
            self._price(record),
            self._size(record),
            _AGGRESSORS.get(record.side, "unknown"),
        )

    def _event(
        self, record: MBOMsg, kind: OrderKind, side: Side, price: int, size: int, is_last: bool
    ) -> OrderEvent:
        return OrderEvent(
            self._symbol,
            record.ts_event,
            record.ts_recv,
            record.sequence,
            kind,
            str(record.order_id),
            side,
            price,
            size,
            bool(record.flags & _SNAPSHOT),
            is_last,
        )

    def _price(self, record: MBOMsg) -> int:
        if record.price == UNDEF_PRICE:
            raise _Fault("number", "there is no price")
        price, rest = divmod(record.price, self._tick)
        if rest:
            raise _Fault("off_tick", f"{record.price} nanos are no multiple of {self._tick}")
        return price

    def _size(self, record: MBOMsg) -> int:
        size, rest = divmod(record.size, self._lot)
        if rest or not size:
            raise _Fault("off_tick" if rest else "number", f"a size of {record.size}")
        return size
