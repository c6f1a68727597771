"""The newest hours, in PostgreSQL: rows above the mark up to which the tick store has taken over.

Mark and rows come from one statement, so from one snapshot: the seam between the two stores is exact.
"""

from typing import LiteralString

import msgspec

from agio.marketdata.store import QuoteQuery, StoredQuote, StoredTrade, TradeQuery
from agio.platform.db import Transaction

_RECEIVED: LiteralString = "(extract(epoch from received_at) * 1000000)::bigint as received_us"


class HotTrades(msgspec.Struct, frozen=True):
    epoch: str
    moved_seq: int
    rows: list[StoredTrade]


class HotQuotes(msgspec.Struct, frozen=True):
    moved_seq: int
    rows: list[StoredQuote]


async def read_trades(tx: Transaction, query: TradeQuery) -> HotTrades:
    """The trades of a query that are not moved yet, ascending by sequence."""
    found = await tx.fetch_tuples(
        "select coalesce(s.epoch, ''), coalesce(m.moved_seq, 0), t.* from (select 1) one"
        " left join marketdata.trade_stream s on s.symbol = %(symbol)s"
        " left join marketdata.tick_mark m on m.kind = 'trades' and m.symbol = %(symbol)s"
        " left join lateral (select seq, venue_time_ns, price, size, side, trade_id,"
        f" {_RECEIVED}, correction from marketdata.trade where symbol = %(symbol)s"
        f" and seq > greatest(coalesce(m.moved_seq, 0), %(after_seq)s){_span(query)}"
        " order by seq limit %(limit)s) t on true order by t.seq",
        msgspec.structs.asdict(query),
    )
    return HotTrades(found[0][0], found[0][1], [StoredTrade(*row[2:]) for row in found if row[2] is not None])


async def read_quotes(tx: Transaction, query: QuoteQuery) -> HotQuotes:
    """The quotes of a query that are not moved yet, ascending by sequence."""
    found = await tx.fetch_tuples(
        "select coalesce(m.moved_seq, 0), t.* from (select 1) one"
        " left join marketdata.tick_mark m on m.kind = 'quotes' and m.symbol = %(symbol)s"
        f" left join lateral (select seq, venue_time_ns, {_RECEIVED}, bid, bid_size, ask, ask_size"
        " from marketdata.quote where symbol = %(symbol)s"
        f" and seq > greatest(coalesce(m.moved_seq, 0), %(after_seq)s){_span(query)}"
        " order by seq limit %(limit)s) t on true order by t.seq",
        msgspec.structs.asdict(query),
    )
    return HotQuotes(found[0][0], [StoredQuote(*row[1:]) for row in found if row[1] is not None])


def _span(query: TradeQuery | QuoteQuery) -> LiteralString:
    span: LiteralString = ""
    if query.start_ns is not None:
        span += " and venue_time_ns >= %(start_ns)s"
    if query.end_ns is not None:
        span += " and venue_time_ns < %(end_ns)s"
    return span
