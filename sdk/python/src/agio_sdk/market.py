"""Market data of now and of the past: `agio.market`."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from agio_sdk.exports import Exported, Exporter, FileForm, OnProgress, form_of
from agio_sdk.frames import Table
from agio_sdk.listing import Listing
from agio_sdk.models import (
    Bar,
    BookSnapshot,
    Instrument,
    MarketStatus,
    Page,
    PastQuote,
    Quote,
    Trade,
)
from agio_sdk.transport import Query, Verbs, instant_text, segment

T = TypeVar("T", bound=msgspec.Struct)

LARGEST_PAGE = 1_000

Ticks = Literal["trades", "quotes", "bars"]


class Market(Verbs):
    """Instruments, current values, and history by pages, as tables, or as files.

    `start` is inclusive, `end` exclusive, both of the venue's time; sequences are those of the streams.
    """

    def instruments(self, venue: str | None = None, *, page_size: int | None = None) -> Listing[Instrument]:
        """Everything that is traded, in order of symbol."""
        return self._rest.listing("/api/instruments", Instrument, {"venue": venue, "limit": page_size})

    async def instrument(self, symbol: str) -> Instrument:
        return await self._rest.get(f"/api/instruments/{segment(symbol)}", Instrument)

    async def status(self) -> MarketStatus:
        """Which venues are live."""
        return await self._rest.get("/api/market/status", MarketStatus)

    async def latest_trade(self, symbol: str) -> Trade:
        return await self._rest.get(f"{_of(symbol)}/trades/latest", Trade)

    async def quote(self, symbol: str) -> Quote:
        """Best bid and ask now."""
        return await self._rest.get(f"{_of(symbol)}/quote", Quote)

    async def book(self, symbol: str, depth: int = 25) -> BookSnapshot:
        """The best levels now; `Stream.subscribe("book:...")` follows them."""
        return await self._rest.get(f"{_of(symbol)}/book", BookSnapshot, {"depth": depth})

    def trades(
        self,
        symbol: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        after_seq: int | None = None,
        page_size: int = LARGEST_PAGE,
    ) -> Table[Trade]:
        """Trades of any age, ascending by sequence; exact duplicates and corrections are there too."""
        query = {**_span(start, end), "after_seq": after_seq, "limit": page_size}
        return self._table(f"{_of(symbol)}/trades", Trade, query)

    def quotes(
        self,
        symbol: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        after_seq: int | None = None,
        page_size: int = LARGEST_PAGE,
    ) -> Table[PastQuote]:
        """Best bids and asks as they were told, ascending by sequence; at most 20 a second are kept."""
        query = {**_span(start, end), "after_seq": after_seq, "limit": page_size}
        return self._table(f"{_of(symbol)}/quotes", PastQuote, query)

    def bars(
        self,
        symbol: str,
        interval: str = "1m",
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        time_zone: str | None = None,
        page_size: int = LARGEST_PAGE,
    ) -> Table[Bar]:
        """Candles, ascending; without `start` the newest page of them, the one in progress last.

        `interval` is any number of ms, s, m or h up to a day, d, w, mo that divide a year, or 1y: `250ms`,
        `7s`, `4h`, `2w`, `3mo`. `time_zone` says where days begin, and all that is counted from them.
        """
        query = {**_span(start, end), "interval": interval, "time_zone": time_zone, "limit": page_size}
        return self._table(f"{_of(symbol)}/bars", Bar, query)

    async def export(
        self,
        kind: Ticks,
        symbol: str,
        path: str | Path,
        *,
        form: FileForm | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        after_seq: int | None = None,
        interval: str | None = None,
        time_zone: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Exported:
        """Write trades, quotes or bars to a CSV or Parquet file, whatever their number.

        The name's ending chooses the form. What is more than one answer holds (5 million rows) follows in the
        same CSV file, or in further Parquet files beside it. A file is there when it is complete.
        """
        target = Path(path)
        query: Query = {
            **_span(start, end),
            "after_seq": after_seq,
            "interval": interval,
            "time_zone": time_zone,
        }
        exporter = Exporter(self._rest, target, form or form_of(target), on_progress)
        return await exporter.run(f"{_of(symbol)}/{kind}", query)

    def _table(self, path: str, kind: type[T], query: Query) -> Table[T]:
        async def read(cursor: str | None) -> Page[T]:
            return await self._rest.get(path, Page[kind], {**query, "cursor": cursor})  # type: ignore[valid-type]

        return Table(kind, read)


def _of(symbol: str) -> str:
    return f"/api/market/{segment(symbol)}"


def _span(start: datetime | None, end: datetime | None) -> Mapping[str, str | int | None]:
    return {
        "start": None if start is None else instant_text(start),
        "end": None if end is None else instant_text(end),
    }
