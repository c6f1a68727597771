"""What any process knows of the present market: heard on the bus, or asked of the engine."""

import msgspec
import structlog

from agio.marketdata import store
from agio.marketdata.events import (
    FEEDS_SUBJECT,
    STATUS_SUBJECT,
    FeedSource,
    FeedSources,
    LastTrade,
    MarketSnapshot,
    MarketStatus,
    Quote,
    VenueStatus,
    last_subject,
    quotes_subject,
    snapshot_subject,
)
from agio.marketdata.publisher import STALE_SECONDS
from agio.platform.bus import Bus
from agio.platform.clock import Clock
from agio.platform.db import Database

log = structlog.get_logger(__name__)

SNAPSHOT_SECONDS = 0.5


class MarketView:
    """Implements api.Market. `start` once; memory is one quote and one trade for each symbol."""

    def __init__(self, database: Database, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._last: dict[str, LastTrade] = {}
        self._quotes: dict[str, Quote] = {}
        self._venues: dict[str, VenueStatus] = {}
        self._venue_heard_at: dict[str, float] = {}
        self._feeds: FeedSources | None = None
        self._feeds_heard_at = float("-inf")

    async def start(self) -> None:
        await self._bus.subscribe(last_subject("*"), self._take_last)
        await self._bus.subscribe(quotes_subject("*"), self._take_quote)
        await self._bus.subscribe(STATUS_SUBJECT, self._take_status)
        await self._bus.subscribe(FEEDS_SUBJECT, self._take_feeds)

    async def latest_trade(self, symbol: str) -> LastTrade | None:
        async with self._database.transaction() as tx:
            return await store.latest_trade(tx, symbol)

    def last_seen(self, symbol: str) -> LastTrade | None:
        return self._last.get(symbol)

    async def latest_quote(self, symbol: str) -> Quote | None:
        quote = self._quotes.get(symbol)
        if quote is not None:
            return quote
        snapshot = await self.snapshot(symbol)
        return snapshot.quote if snapshot is not None else None

    def quote_seen(self, symbol: str) -> Quote | None:
        """The newest quote that this process heard of; no waiting."""
        return self._quotes.get(symbol)

    async def snapshot(self, symbol: str) -> MarketSnapshot | None:
        """What the engine last told of a symbol; None when no engine answers."""
        answer = await self._bus.request(snapshot_subject(symbol), timeout_seconds=SNAPSHOT_SECONDS)
        return msgspec.msgpack.decode(answer, type=MarketSnapshot) if answer is not None else None

    def venues(self) -> list[VenueStatus]:
        """Each venue that an engine knows; stale when its engine is silent."""
        states = {
            venue: "stale" if one.state == "live" and self.is_silent(venue) else one.state
            for venue, one in self._venues.items()
        }
        states |= {one.source: one.state for one in self.feeds()}
        return [VenueStatus(venue, state) for venue, state in sorted(states.items())]

    def source_states(self) -> dict[str, str]:
        """The same by name, for the heartbeats of streams."""
        return {one.venue: one.state for one in self.venues()}

    def feeds(self) -> list[FeedSource]:
        """Live sources as their engine told them last; none where none is followed."""
        if self._feeds is None:
            return []
        if self._clock.monotonic() - self._feeds_heard_at <= STALE_SECONDS:
            return self._feeds.sources
        return [_silent(source) for source in self._feeds.sources]

    async def _take_feeds(self, _: str, payload: bytes) -> None:
        self._feeds = msgspec.msgpack.decode(payload, type=FeedSources)
        self._feeds_heard_at = self._clock.monotonic()

    async def _take_last(self, _: str, payload: bytes) -> None:
        last = msgspec.msgpack.decode(payload, type=LastTrade)
        self._last[last.symbol] = last

    async def _take_quote(self, _: str, payload: bytes) -> None:
        quote = msgspec.msgpack.decode(payload, type=Quote)
        self._quotes[quote.symbol] = quote

    async def _take_status(self, _: str, payload: bytes) -> None:
        now = self._clock.monotonic()
        for one in msgspec.msgpack.decode(payload, type=MarketStatus).venues:
            # An engine that handed its venue over still calls it stale: who says live is right.
            if one.state != "stale" or self.is_silent(one.venue):
                self._venues[one.venue] = one
                self._venue_heard_at[one.venue] = now

    def is_silent(self, venue: str) -> bool:
        """Nobody tells of the venue: what was heard of it last may be long past."""
        heard_at = self._venue_heard_at.get(venue, float("-inf"))
        return self._clock.monotonic() - heard_at > STALE_SECONDS


def _silent(source: FeedSource) -> FeedSource:
    """A source whose engine says nothing any more."""
    if source.state == "closed":
        return source
    symbols = [msgspec.structs.replace(one, state="stale") for one in source.symbols]
    return msgspec.structs.replace(
        source, state="stale", phase="stale", last_error="the engine is silent", symbols=symbols
    )
