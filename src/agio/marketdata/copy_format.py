"""PostgreSQL's binary COPY format for trades (PostgreSQL manual, COPY, "Binary Format").

Written by hand because the driver's row-wise writer costs more than all else that is done for a trade.
"""

import struct
from collections.abc import Sequence
from typing import Final

from agio.marketdata.events import Trade

COLUMNS: Final = "symbol, seq, venue_time_ns, price, size, side, trade_id, received_at"

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_COLUMN_COUNT: Final = 8
_NULL: Final = -1
_YEAR_2000_US: Final = 946_684_800_000_000
"""PostgreSQL counts timestamps from 2000-01-01 UTC."""


def copy_trades(symbol: str, first_seq: int, trades: Sequence[Trade], received_us: int) -> bytes:
    """The whole COPY stream of consecutive trades."""
    name = symbol.encode()
    # Each field is its length as int32 and its value: text, four int8, one int2, then the length of trade_id.
    head = struct.Struct(f">hi{len(name)}siqiqiqiqihi").pack
    tail = struct.pack(">iq", 8, received_us - _YEAR_2000_US)
    length = len(name)
    parts = [_SIGNATURE]
    for seq, trade in enumerate(trades, first_seq):
        trade_id = trade.trade_id
        text = trade_id.encode() if trade_id is not None else b""
        parts.append(
            head(
                _COLUMN_COUNT,
                length,
                name,
                8,
                seq,
                8,
                trade.venue_time_ns,
                8,
                trade.price,
                8,
                trade.size,
                2,
                trade.side,
                len(text) if trade_id is not None else _NULL,
            )
        )
        parts.append(text + tail)
    parts.append(_TRAILER)
    return b"".join(parts)
