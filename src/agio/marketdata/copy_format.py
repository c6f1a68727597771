"""PostgreSQL's binary COPY format for trades (PostgreSQL manual, COPY, "Binary Format").

Written by hand because the driver's row-wise writer costs more than all else that is done for a trade.
"""

import struct
from collections.abc import Sequence
from typing import Final

from agio.marketdata.events import Trade

COLUMNS: Final = "symbol, seq, venue_time_ns, price, size, side, late_ns, correction, trade_id, received_at"

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_COLUMN_COUNT: Final = 10
_NULL: Final = -1
_YEAR_2000_US: Final = 946_684_800_000_000
"""PostgreSQL counts timestamps from 2000-01-01 UTC."""


def copy_trades(
    symbol: str, first_seq: int, trades: Sequence[Trade], received_us: int, high_ns: int | None = None
) -> bytes:
    """The whole COPY stream of consecutive trades; `high_ns` is the newest venue time before them."""
    name = symbol.encode()
    # Each field is its length as int32 and its value: text, four int8, int2, int8, int2, then the length of
    # trade_id.
    head = struct.Struct(f">hi{len(name)}siqiqiqiqihiqihi").pack
    tail = struct.pack(">iq", 8, received_us - _YEAR_2000_US)
    length = len(name)
    parts = [_SIGNATURE]
    high = trades[0].venue_time_ns if high_ns is None and trades else high_ns or 0
    for seq, trade in enumerate(trades, first_seq):
        trade_id, venue_time_ns = trade.trade_id, trade.venue_time_ns
        high = max(high, venue_time_ns)
        text = trade_id.encode() if trade_id is not None else b""
        parts.append(
            head(
                _COLUMN_COUNT,
                length,
                name,
                8,
                seq,
                8,
                venue_time_ns,
                8,
                trade.price,
                8,
                trade.size,
                2,
                trade.side,
                8,
                high - venue_time_ns,
                2,
                trade.correction,
                len(text) if trade_id is not None else _NULL,
            )
        )
        parts.append(text + tail)
    parts.append(_TRAILER)
    return b"".join(parts)
