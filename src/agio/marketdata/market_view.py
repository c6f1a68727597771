"""What any process knows of the present market: heard on the bus, or asked of the engine."""

import msgspec
import structlog

from agio.marketdata import store
from agio.marketdata.events import (
    STATUS_SUBJECT,
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

SNAPSHOT_SECONDS = 1.0


class MarketView:
    """Implements api.Market. `start` once; memory is one quote and one trade for each symbol."""

    def __init__(self, database: Database, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._last: dict[str, LastTrade] = {}
        self._quotes: dict[str, Quote] = {}
        self._status: MarketStatus | None = None
        self._status_at = float("-inf")

    async def start(self) -> None:
        await self._bus.subscribe(last_subject("*"), self._take_last)
        await self._bus.subscribe(quotes_subject("*"), self._take_quote)
        await self._bus.subscribe(STATUS_SUBJECT, self._take_status)

    async def latest_trade(self, symbol: str) -> LastTrade | None:
        async with self._database.transaction() as tx:
            return await store.latest_trade(tx, symbol)

    def last_seen(self, symbol: str) -> LastTrade | None:
        return self._last.get(symbol)

    async def latest_quote(self, symbol: str) -> Quote | None:
        quote = self._quotes.get(symbol)
        if quote is None:
            snapshot = await self.snapshot(symbol)
            quote = snapshot.quote if snapshot is not None else None
            if quote is not None:
                self._quotes.setdefault(symbol, quote)
        return quote

    async def snapshot(self, symbol: str) -> MarketSnapshot | None:
        """What the engine last told of a symbol; None when no engine answers."""
        answer = await self._bus.request(snapshot_subject(symbol), timeout_seconds=SNAPSHOT_SECONDS)
        return msgspec.msgpack.decode(answer, type=MarketSnapshot) if answer is not None else None

    def venues(self) -> list[VenueStatus]:
        """Each venue that the engine knows; all stale when the engine itself is silent."""
        if self._status is None:
            return []
        is_silent = self._clock.monotonic() - self._status_at > STALE_SECONDS
        return [
            VenueStatus(one.venue, "stale") if is_silent and one.state == "live" else one
            for one in self._status.venues
        ]

    def source_states(self) -> dict[str, str]:
        """The same by name, for the heartbeats of streams."""
        return {one.venue: one.state for one in self.venues()}

    async def _take_last(self, _: str, payload: bytes) -> None:
        last = msgspec.msgpack.decode(payload, type=LastTrade)
        self._last[last.symbol] = last

    async def _take_quote(self, _: str, payload: bytes) -> None:
        quote = msgspec.msgpack.decode(payload, type=Quote)
        self._quotes[quote.symbol] = quote

    async def _take_status(self, _: str, payload: bytes) -> None:
        self._status = msgspec.msgpack.decode(payload, type=MarketStatus)
        self._status_at = self._clock.monotonic()
