"""Past and present ticks of a symbol as one relation: the tick store up to the mark, PostgreSQL above it.

Mark and rows of PostgreSQL are read in one statement, so in one snapshot, before the store is: what is moved
in between is still in that snapshot, and what was moved before is in the store. No row is missing or doubled.
"""

from typing import TYPE_CHECKING, Final

import msgspec

from agio.marketdata.model import SYMBOL
from agio.marketdata.ticks.batches import Kind
from agio.marketdata.ticks.duck import quoted
from agio.marketdata.ticks.writer import TABLES

if TYPE_CHECKING:
    import duckdb

MAX_NS: Final = 2**63 - 1
_ABOVE: Final = "t.symbol = '{symbol}' and t.seq > greatest(coalesce(m.moved_seq, 0), {after})"
_WITHIN: Final = "t.venue_time_ns >= {start} and t.venue_time_ns < {end}"
_TIMES: Final = (
    "t.seq, t.venue_time_ns as venue_ns, (extract(epoch from t.received_at) * 1000000)::bigint as received_us"
)
# A correction can be of any time: it has an index of its own.
_HOT: Final[dict[Kind, str]] = {
    "trades": f"select s.epoch, coalesce(m.moved_seq, 0) as moved_seq, {_TIMES}, t.price, t.size,"
    " t.side::int2 as side, t.trade_id, t.correction::int2 as correction, t.late_ns"
    " from marketdata.trade_stream s"
    " left join marketdata.tick_mark m on m.kind = 'trades' and m.symbol = s.symbol"
    f" left join lateral (select * from marketdata.trade t where {_ABOVE} and {_WITHIN}"
    f"  union all select * from marketdata.trade t where {_ABOVE} and t.correction > 0 and not ({_WITHIN})) t"
    " on true where s.symbol = '{symbol}'",
    "quotes": f"select ''::text as epoch, coalesce(m.moved_seq, 0) as moved_seq, {_TIMES}, t.bid, t.bid_size,"
    " t.ask, t.ask_size from marketdata.instrument i"
    " left join marketdata.tick_mark m on m.kind = 'quotes' and m.symbol = i.symbol"
    f" left join marketdata.quote t on {_ABOVE} and {_WITHIN} where i.symbol = '{{symbol}}'",
}
ROWS: Final[dict[Kind, str]] = {
    "trades": "seq, venue_ns, received_us, price, size, side, trade_id, correction, late_ns",
    "quotes": "seq, venue_ns, received_us, bid, bid_size, ask, ask_size",
}


# The same types as in the store, so that its statistics can answer conditions on both.
_TYPED: Final[dict[Kind, str]] = {
    "trades": "select * replace (side::utinyint as side, correction::utinyint as correction)",
    "quotes": "select *",
}


class TickSpan(msgspec.Struct, frozen=True):
    """Venue time from `start_ns`, before `end_ns`, sequences above `after_seq`."""

    start_ns: int = -MAX_NS
    end_ns: int = MAX_NS
    after_seq: int = 0


class TickSource:
    """The ticks of one kind and symbol within a span, fixed at the moment of making; used by one cursor."""

    def __init__(self, cursor: "duckdb.DuckDBPyConnection", kind: Kind, symbol: str, span: TickSpan) -> None:
        if SYMBOL.fullmatch(symbol) is None:
            raise ValueError(f"{symbol!r} is no symbol")
        self._kind: Kind = kind
        self._symbol = symbol
        hot = _HOT[kind].format(symbol=symbol, after=span.after_seq, start=span.start_ns, end=span.end_ns)
        cursor.execute(
            f"create or replace temp table hot as {_TYPED[kind]} from postgres_query('pg', '{quoted(hot)}')",
        )
        found = cursor.execute("select any_value(epoch), coalesce(max(moved_seq), 0) from hot").fetchone()
        self.epoch, self.moved_seq = (found[0] or "", int(found[1])) if found is not None else ("", 0)
        self._span = span

    @property
    def needs_store(self) -> bool:
        return self.moved_seq > self._span.after_seq

    def select(self, span: TickSpan | None = None) -> str:
        """SQL of the rows of a part of the span, in no order."""
        span = span or self._span
        rows = ROWS[self._kind]
        within = f"venue_ns >= {span.start_ns} and venue_ns < {span.end_ns} and seq > {span.after_seq}"
        hot = f"select {rows} from hot where seq is not null and {within}"
        if not self.needs_store:
            return hot
        return (
            f"select {rows} from lake.{TABLES[self._kind]} where symbol = '{self._symbol}'"
            f" and epoch = '{quoted(self.epoch)}' and seq <= {self.moved_seq} and {within} union all {hot}"
        )


class TradeSource(TickSource):
    """The trades of a symbol that count for bars."""

    def __init__(self, cursor: "duckdb.DuckDBPyConnection", symbol: str, span: TickSpan) -> None:
        super().__init__(cursor, "trades", symbol, span)
        rewinds = f"select before_seq, from_ns from marketdata.bar_rewind where symbol = '{symbol}'"
        self._rewinds: list[tuple[int, int]] = cursor.execute(
            f"from postgres_query('pg', '{quoted(rewinds)}')"
        ).fetchall()

    def rewound(self) -> str:
        """A condition that leaves out trades whose span was played again later."""
        return "".join(
            f" and not (seq < {before_seq} and venue_ns >= {from_ns})"
            for before_seq, from_ns in self._rewinds
        )

    def corrections(self, cursor: "duckdb.DuckDBPyConnection") -> list[tuple[str, int, int]]:
        """(trade_id, sequence, received_us) of every correction, whenever it came."""
        everywhere = (
            f"select trade_id, seq, received_us from lake.trade_ticks where symbol = '{self._symbol}'"
            f" and epoch = '{quoted(self.epoch)}' and correction > 0 and trade_id is not null"
            f" and seq <= {self.moved_seq} union all "
            if self.moved_seq > 0
            else ""
        )
        hot = "select trade_id, seq, received_us from hot where correction > 0 and trade_id is not null"
        return cursor.execute(everywhere + hot).fetchall()
