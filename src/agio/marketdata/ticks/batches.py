"""Ticks as columns: what the writer takes."""

from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

Kind = Literal["trades", "quotes"]
KINDS: Final[tuple[Kind, ...]] = ("trades", "quotes")

Integers = npt.NDArray[np.int64]
Column = npt.NDArray[Any]


class TradeTicks(msgspec.Struct, frozen=True):
    """Trades of one symbol under the sequences first_seq, first_seq + 1, ...; exact duplicates are real.

    Prices and sizes are integers at the scales given. `trade_ids` and `corrections` may be left out.
    """

    symbol: str
    epoch: str
    first_seq: int
    price_scale: int
    quantity_scale: int
    venue_ns: Integers
    received_us: Integers
    price: Integers
    size: Integers
    side: npt.NDArray[np.uint8]
    trade_ids: Sequence[str | None] | None = None
    corrections: npt.NDArray[np.uint8] | None = None

    @property
    def count(self) -> int:
        return len(self.venue_ns)

    @property
    def sequences(self) -> Integers:
        return np.arange(self.first_seq, self.first_seq + self.count, dtype=np.int64)

    def columns(self) -> dict[str, Column]:
        """The columns of `trade_ticks` that differ from row to row, without the sequence."""
        columns: dict[str, Column] = {
            "venue_ns": self.venue_ns,
            "received_us": self.received_us,
            "price": self.price,
            "size": self.size,
            "side": self.side,
        }
        if self.trade_ids is not None:
            columns["trade_id"] = np.empty(self.count, dtype=object)
            columns["trade_id"][:] = self.trade_ids
        if self.corrections is not None:
            columns["correction"] = self.corrections
        return columns


class QuoteTicks(msgspec.Struct, frozen=True):
    """Best bids and offers of one symbol, with sequences that rise but may leave numbers out."""

    symbol: str
    epoch: str
    seq: Integers
    price_scale: int
    quantity_scale: int
    venue_ns: Integers
    received_us: Integers
    bid: Integers
    bid_size: Integers
    ask: Integers
    ask_size: Integers

    @property
    def count(self) -> int:
        return len(self.venue_ns)

    @property
    def sequences(self) -> Integers:
        return self.seq

    def columns(self) -> dict[str, Column]:
        """The columns of `quote_ticks` that differ from row to row, without the sequence."""
        return {
            "venue_ns": self.venue_ns,
            "received_us": self.received_us,
            "bid": self.bid,
            "bid_size": self.bid_size,
            "ask": self.ask,
            "ask_size": self.ask_size,
        }


Ticks = TradeTicks | QuoteTicks


def kind_of(ticks: Ticks) -> Kind:
    return "trades" if isinstance(ticks, TradeTicks) else "quotes"


def lateness(venue_ns: Integers, high_ns: int) -> Integers:
    """How far each is behind the newest before it, of these and of what came earlier; 0 in order."""
    before = np.empty_like(venue_ns)
    before[0] = high_ns
    np.maximum.accumulate(venue_ns[:-1], out=before[1:])
    np.maximum(before, high_ns, out=before)
    late_ns: Integers = np.maximum(before - venue_ns, 0)
    return late_ns
