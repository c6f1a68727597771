"""Keeps the quotes that were told: heard on the bus, stored a few times a second.

Quotes are state: what is told is conflated already (20 a second for each symbol at most), and what is told
while no engine records is not history. What was stored is never stored twice: `q` is its place.
"""

import asyncio
from typing import Final

import msgspec
import structlog

from agio.marketdata.events import Quote, quotes_subject
from agio.platform.bus import Bus
from agio.platform.db import Database

log = structlog.get_logger(__name__)

STORE_SECONDS: Final = 0.5
MAX_WAITING: Final = 50_000
"""Quotes in memory while the database is away; the oldest make room, and the log says how many."""


class QuoteRecorder:
    """Runs in the duty of the tick store."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._waiting: list[Quote] = []

    async def run(self) -> None:
        """Record until cancelled; what was heard before that is stored."""
        subscription = await self._bus.subscribe(quotes_subject("*"), self._hear)
        try:
            while True:
                await asyncio.sleep(STORE_SECONDS)
                await self.store()
        finally:
            await subscription.unsubscribe()
            await self.store()

    async def store(self) -> None:
        """Store what waits; after a failure it waits on."""
        quotes, self._waiting = self._waiting, []
        if not quotes:
            return
        rows = zip(*(_row(quote) for quote in quotes), strict=True)
        try:
            async with self._database.transaction() as tx:
                await tx.execute(
                    "insert into marketdata.quote (symbol, seq, venue_time_ns, bid, bid_size, ask, ask_size,"
                    " received_at) select v.symbol, v.seq, v.venue_ns, v.bid, v.bid_size, v.ask, v.ask_size,"
                    " to_timestamp(0) + v.told_us * interval '1 microsecond'"
                    " from unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],"
                    " %s::bigint[], %s::bigint[], %s::bigint[])"
                    " v(symbol, seq, venue_ns, bid, bid_size, ask, ask_size, told_us)"
                    " on conflict do nothing",
                    [list(column) for column in rows],
                )
        except Exception as error:
            self._waiting[:0] = quotes
            dropped = len(self._waiting) - MAX_WAITING
            if dropped > 0:
                del self._waiting[:dropped]
            log.warning(
                "quotes_not_stored", error=repr(error), waiting=len(self._waiting), dropped=max(0, dropped)
            )

    async def _hear(self, _: str, payload: bytes) -> None:
        self._waiting.append(msgspec.msgpack.decode(payload, type=Quote))
        if len(self._waiting) > 2 * MAX_WAITING:
            del self._waiting[:MAX_WAITING]
            log.warning("quotes_not_stored", dropped=MAX_WAITING)


def _row(quote: Quote) -> tuple[str, int, int, int, int, int, int, int]:
    return (
        quote.symbol,
        quote.q,
        quote.venue_time_ns,
        quote.bid,
        quote.bid_size,
        quote.ask,
        quote.ask_size,
        quote.told_us,
    )
