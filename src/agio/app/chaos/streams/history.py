"""What is durable: the log channels as PostgreSQL has them, and the books as the engine tells them."""

from collections.abc import Sequence
from typing import Final

import msgspec
import psycopg

from agio.app.chaos.streams.journal import digest_of
from agio.app.chaos.streams.proof import Truth
from agio.app.chaos.streams.reader_book import digest_levels
from agio.kernel.money import format_decimal
from agio.kernel.time import format_micros
from agio.marketdata.events import (
    BookDelta,
    Level,
    MarketSnapshot,
    Quote,
    book_subject,
    quotes_subject,
    snapshot_subject,
)
from agio.platform.bus import Bus

SIDES: Final = (None, "buy", "sell")

RENEW_EPOCHS: Final = (
    "update platform.channel set epoch = default",
    "update marketdata.trade_stream set epoch = default",
)
"""After a restore sequences are given out a second time: what counts them must have another name."""


class Scales(msgspec.Struct, frozen=True):
    """How an instrument's integers are written."""

    price: int
    quantity: int


def read_scales(url: str) -> dict[str, Scales]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("select symbol, price_scale, quantity_scale from marketdata.instrument")
        return {symbol: Scales(price, quantity) for symbol, price, quantity in rows}


def read_history(url: str, truth: Truth, scales: dict[str, Scales], logs: Sequence[str]) -> None:
    """Take the channels as they are now into the truth, under their present epochs; marks their ends."""
    truth.log_marks.clear()
    with psycopg.connect(url) as connection:
        # One snapshot for all of it.
        connection.execute("set transaction isolation level repeatable read")
        for channel in logs:
            name, _, key = channel.partition(":")
            if name == "trades":
                _read_trades(connection, truth, channel, key, scales[key])
            else:
                _read_events(connection, truth, channel)


def _read_trades(
    connection: psycopg.Connection, truth: Truth, channel: str, symbol: str, scales: Scales
) -> None:
    found = connection.execute(
        "select epoch, last_seq from marketdata.trade_stream where symbol = %s", (symbol,)
    ).fetchone()
    if found is None:
        return
    epoch, last = found
    known = truth.logs.setdefault((channel, epoch), {})
    rows = connection.execute(
        "select seq, price, size, side, venue_time_ns, trade_id,"
        " (extract(epoch from received_at) * 1000000)::bigint from marketdata.trade"
        " where symbol = %s and seq > %s order by seq",
        (symbol, max(known, default=0)),
    )
    for sequence, price, size, side, venue_time_ns, trade_id, received_us in rows:
        payload = {
            "price": format_decimal(price, scales.price),
            "size": format_decimal(size, scales.quantity),
            "side": SIDES[side],
            "venue_time": format_micros(venue_time_ns // 1000),
            "id": trade_id,
        }
        known[sequence] = digest_of(payload, received_us)
    truth.log_marks[channel] = (epoch, last)


def _read_events(connection: psycopg.Connection, truth: Truth, channel: str) -> None:
    found = connection.execute(
        "select epoch, last_seq from platform.channel where channel = %s", (channel,)
    ).fetchone()
    if found is None:
        return
    epoch, last = found
    known = truth.logs.setdefault((channel, epoch), {})
    rows = connection.execute(
        "select seq, body, (extract(epoch from occurred_at) * 1000000)::bigint from platform.event_log"
        " where channel = %s and seq > %s order by seq",
        (channel, max(known, default=0)),
    )
    for sequence, body, occurred_us in rows:
        known[sequence] = digest_of(msgspec.json.decode(body), occurred_us)
    truth.log_marks[channel] = (epoch, last)


class MarketReference:
    """Follows the engine's books and quotes on the bus itself, where nothing is lost on purpose."""

    def __init__(self, url: str, truth: Truth, scales: dict[str, Scales]) -> None:
        self._bus = Bus(url, name="agio chaos reference")
        self._truth = truth
        self._scales = scales
        self._books: dict[str, tuple[int, dict[int, int], dict[int, int]]] = {}

    async def start(self, symbols: Sequence[str]) -> None:
        await self._bus.open()
        for symbol in symbols:
            await self._bus.subscribe(book_subject(symbol), self._heard)
            await self._bus.subscribe(quotes_subject(symbol), self._heard_quote)

    async def stop(self) -> None:
        await self._bus.close()

    async def newest(self, symbol: str) -> tuple[int | None, int | None]:
        """The sequences of the newest quote and book that the engine told."""
        snapshot = await self._ask(symbol)
        if snapshot is None:
            return None, None
        quote, book = snapshot.quote, snapshot.book
        return quote.q if quote is not None else None, book.q if book is not None else None

    async def _heard_quote(self, _subject: str, payload: bytes) -> None:
        quote = msgspec.msgpack.decode(payload, type=Quote)
        scales = self._scales[quote.symbol]
        shown: dict[str, str | None] = {"venue_time": format_micros(quote.venue_time_ns // 1000)}
        for side, price, size in (("bid", quote.bid, quote.bid_size), ("ask", quote.ask, quote.ask_size)):
            shown[side] = format_decimal(price, scales.price) if size else None
            shown[f"{side}_size"] = format_decimal(size, scales.quantity) if size else None
        told = self._truth.values.setdefault(f"quotes:{quote.symbol}", {})
        told[quote.q] = digest_of(shown, 0)

    async def _heard(self, _subject: str, payload: bytes) -> None:
        delta = msgspec.msgpack.decode(payload, type=BookDelta)
        known = self._books.get(delta.symbol)
        if known is not None and delta.q <= known[0]:
            return
        if delta.p is None:
            known = (0, {}, {})
        elif known is None or known[0] != delta.p:
            snapshot = await self._ask(delta.symbol)
            whole = snapshot.book if snapshot is not None else None
            if whole is None:
                self._books.pop(delta.symbol, None)
                return
            # What it already holds comes again as deltas: those before it are skipped, the next one follows.
            delta, known = whole, (0, {}, {})
        self._set(delta, known)

    def _set(self, delta: BookDelta, known: tuple[int, dict[int, int], dict[int, int]]) -> None:
        _, bids, asks = known
        _change(bids, delta.bids)
        _change(asks, delta.asks)
        self._books[delta.symbol] = (delta.q, bids, asks)
        scales = self._scales[delta.symbol]
        told = self._truth.books.setdefault(f"book:{delta.symbol}", {})
        told[delta.q] = digest_levels(_texts(bids, scales), _texts(asks, scales))

    async def _ask(self, symbol: str) -> MarketSnapshot | None:
        answer = await self._bus.request(snapshot_subject(symbol))
        return msgspec.msgpack.decode(answer, type=MarketSnapshot) if answer is not None else None


def _change(side: dict[int, int], levels: Sequence[Level]) -> None:
    for price, size in levels:
        if size:
            side[price] = size
        else:
            side.pop(price, None)


def _texts(side: dict[int, int], scales: Scales) -> list[tuple[str, str]]:
    return [
        (format_decimal(price, scales.price), format_decimal(size, scales.quantity))
        for price, size in side.items()
    ]
