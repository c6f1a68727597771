"""Wire types of `/api/instruments` and `/api/market`."""

from datetime import datetime
from typing import Literal

import msgspec

from agio.kernel.time import format_micros, from_nanos
from agio.marketdata.events import (
    CORRECTION_NAMES,
    SIDE_NAMES,
    BookDelta,
    BookSource,
    FeedSource,
    Quote,
    VenueState,
)
from agio.marketdata.model import Instrument, InstrumentStatus
from agio.marketdata.rendering import QuoteView, TradeWriter, view_levels, view_quote
from agio.marketdata.replays.model import Replay, ReplayState
from agio.marketdata.store import StoredQuote, StoredTrade
from agio.marketdata.tape.files import TapeKind


class InstrumentView(msgspec.Struct, frozen=True):
    """An instrument; tick and lot are the steps of prices and quantities."""

    symbol: str
    name: str
    venue: str
    base_asset: str
    quote_asset: str
    tick_size: str
    lot_size: str
    price_scale: int
    quantity_scale: int
    calendar: str
    status: InstrumentStatus
    asset_class: str

    @classmethod
    def of(cls, one: Instrument) -> "InstrumentView":
        return cls(
            symbol=one.symbol,
            name=one.name,
            venue=one.venue,
            base_asset=one.base_asset,
            quote_asset=one.quote_asset,
            tick_size=one.price_text(one.tick_size),
            lot_size=one.quantity_text(one.lot_size),
            price_scale=one.price_scale,
            quantity_scale=one.quantity_scale,
            calendar=one.calendar,
            status=one.status,
            asset_class=one.asset_class,
        )


class TradeView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trade; `seq` is its sequence on the stream `trades:{symbol}` too."""

    seq: int
    price: str
    size: str
    side: Literal["buy", "sell"] | None
    """The aggressor's, where the venue tells it."""
    venue_time: str
    id: str | None
    correction: Literal["replaces", "cancels"] | None = None
    """What it does to the earlier trade of the same id; absent for a trade that is none."""

    @classmethod
    def of(cls, trade: StoredTrade, writer: TradeWriter) -> "TradeView":
        return cls(
            seq=trade.seq,
            price=writer.price(trade.price),
            size=writer.size(trade.size),
            side=SIDE_NAMES[trade.side],
            venue_time=writer.time(trade.venue_time_ns),
            id=trade.trade_id,
            correction=CORRECTION_NAMES[trade.correction],
        )


class PastQuote(msgspec.Struct, frozen=True):
    """Best bid and offer at a venue time, null where a side was empty; at most 20 a second are kept."""

    seq: int
    bid: str | None
    bid_size: str | None
    ask: str | None
    ask_size: str | None
    venue_time: str

    @classmethod
    def of(cls, quote: StoredQuote, writer: TradeWriter) -> "PastQuote":
        has_bid, has_ask = quote.bid_size > 0, quote.ask_size > 0
        return cls(
            seq=quote.seq,
            bid=writer.price(quote.bid) if has_bid else None,
            bid_size=writer.size(quote.bid_size) if has_bid else None,
            ask=writer.price(quote.ask) if has_ask else None,
            ask_size=writer.size(quote.ask_size) if has_ask else None,
            venue_time=writer.time(quote.venue_time_ns),
        )


class SymbolQuote(QuoteView, frozen=True):
    symbol: str

    @classmethod
    def of(cls, quote: Quote, instrument: Instrument) -> "SymbolQuote":
        view = view_quote(quote, instrument)
        return cls(symbol=quote.symbol, **msgspec.structs.asdict(view))


class BookView(msgspec.Struct, frozen=True):
    """Top levels as [price, size], best first, after update `q`; `crc` is of the top ten."""

    symbol: str
    q: int
    venue_time: datetime
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]
    crc: int

    @classmethod
    def of(cls, book: BookDelta, instrument: Instrument, depth: int) -> "BookView":
        return cls(
            symbol=book.symbol,
            q=book.q,
            venue_time=from_nanos(book.venue_time_ns),
            bids=view_levels(book.bids[:depth], instrument),
            asks=view_levels(book.asks[:depth], instrument),
            crc=book.crc,
        )


class CreateReplay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tape to play: CSV `DateTime,Price,Volume` (plain or gzip) or Parquet quotes."""

    path: str
    """Absolute path on the server, below one of its replay folders."""
    symbol: str | None = None
    """The first word of the file's name when absent."""
    speed: float = 1.0
    """A multiple of real time; 0 is as fast as possible."""
    time_zone: str = "UTC"
    """What the naive times of a CSV tape mean."""


class ReplayView(msgspec.Struct, frozen=True):
    """A replay; `done` of `total` rows of the tape are played."""

    replay_id: str
    file: str
    kind: TapeKind
    symbol: str
    speed: float
    time_zone: str
    state: ReplayState
    total: int
    done: int
    first_time: datetime
    last_time: datetime
    venue_time: datetime | None
    problem: str | None
    problem_line: int | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, replay: Replay) -> "ReplayView":
        return cls(
            replay_id=replay.replay_id,
            file=replay.path.rpartition("/")[2],
            kind=replay.kind,
            symbol=replay.symbol,
            speed=replay.speed,
            time_zone=replay.time_zone,
            state=replay.state,
            total=replay.total,
            done=replay.done,
            first_time=from_nanos(replay.first_ns),
            last_time=from_nanos(replay.last_ns),
            venue_time=from_nanos(replay.venue_time_ns) if replay.venue_time_ns is not None else None,
            problem=replay.problem,
            problem_line=replay.problem_line,
            created_at=replay.created_at,
            started_at=replay.started_at,
            finished_at=replay.finished_at,
        )


class VenueView(msgspec.Struct, frozen=True):
    venue: str
    state: VenueState


class SourceSymbolView(msgspec.Struct, frozen=True):
    """One symbol of a live source."""

    symbol: str
    venue_symbol: str
    state: VenueState
    """`live`: the source is, and the book is proven right."""
    book: str
    """`ok`, or why it is not served: `gap`, `bad_checksum`, `crossed`."""
    reason: str | None
    since: str
    """Since when `book` is so."""
    trading: str
    """The venue's trading state, `unknown` where it tells none."""
    last_message_age_ms: int | None
    skew_ms: float | None
    gaps: int
    resyncs: int
    bad_checksums: int
    crossed: int
    reconnects: int
    stale_ms: int
    """For how long there was no proven book since the first one."""
    trades: int
    duplicates: int

    @classmethod
    def of(cls, one: BookSource) -> "SourceSymbolView":
        return cls(
            symbol=one.symbol,
            venue_symbol=one.venue_symbol,
            state=one.state,
            book=one.book,
            reason=one.reason,
            since=format_micros(one.since_us),
            trading=one.trading,
            last_message_age_ms=one.age_ms,
            skew_ms=_milliseconds(one.skew_ns),
            gaps=one.gaps,
            resyncs=one.resyncs,
            bad_checksums=one.bad_checksums,
            crossed=one.crossed,
            reconnects=one.reconnects,
            stale_ms=one.stale_ms,
            trades=one.trades,
            duplicates=one.duplicates,
        )


class SourceView(msgspec.Struct, frozen=True):
    """A live source: a venue behind one connection of the engine. Counters start with the engine."""

    source: str
    state: VenueState
    phase: str
    """`connecting`, `live`, `stale` or `closed`."""
    since: str
    last_message_age_ms: int | None
    skew_ms: float | None
    """Our clock less the venue's, distance included: the median of the newest messages."""
    stale_ms: int
    messages: int
    gaps: int
    resyncs: int
    bad_checksums: int
    crossed: int
    reconnects: int
    stale_count: int
    malformed: int
    duplicates: int
    last_error: str | None
    symbols: list[SourceSymbolView]

    @classmethod
    def of(cls, one: FeedSource) -> "SourceView":
        return cls(
            source=one.source,
            state=one.state,
            phase=one.phase,
            since=format_micros(one.since_us),
            last_message_age_ms=one.age_ms,
            skew_ms=_milliseconds(one.skew_ns),
            stale_ms=one.stale_ms,
            messages=one.messages,
            gaps=one.gaps,
            resyncs=one.resyncs,
            bad_checksums=one.bad_checksums,
            crossed=one.crossed,
            reconnects=one.reconnects,
            stale_count=one.stale_count,
            malformed=one.malformed,
            duplicates=one.duplicates,
            last_error=one.last_error,
            symbols=[SourceSymbolView.of(symbol) for symbol in one.symbols],
        )


def _milliseconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else round(nanoseconds / 1e6, 3)


class MarketStatusView(msgspec.Struct, frozen=True):
    """`live`: heard of within 5 seconds; `stale`: silent; `closed`: its trading has ended."""

    market: str
    venues: list[VenueView]
    sources: list[SourceView]
    """Live sources; empty where none is followed."""
    replay: ReplayView | None
    """The one that plays, else the newest."""
