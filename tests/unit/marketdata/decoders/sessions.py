"""Recorded sessions made ready for tests, and plain reference books that share no code with ours."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from heapq import nlargest, nsmallest
from pathlib import Path
from typing import Any, NamedTuple

from agio.marketdata.books.continuity import Judgement, VenueBooks
from agio.marketdata.books.l2 import L2Book
from agio.marketdata.decoders import binance, coinbase, kraken, okx
from agio.marketdata.decoders.decoder import Decoder
from agio.marketdata.decoders.recording import Event, read_recording
from agio.marketdata.normalised import BookSnapshot, BookUpdate, Instrument, Message

Levels = dict[Decimal, Decimal]


class Venue(NamedTuple):
    name: str
    read_instruments: Callable[[str], list[Instrument]]
    make_decoder: Callable[[Iterable[Instrument]], Decoder]
    make_books: Callable[[], VenueBooks]
    instruments_url: str
    proven_depth: int
    """How deep the venue proves its books; Binance and Coinbase number everything."""


VENUES = {
    venue.name: venue
    for venue in (
        Venue("KRAKEN", kraken.read_instruments, kraken.KrakenDecoder, kraken.KrakenBooks, "AssetPairs", 10),
        Venue("OKX", okx.read_instruments, okx.OkxDecoder, okx.OkxBooks, "public/instruments", 25),
        Venue(
            "COINBASE",
            coinbase.read_instruments,
            coinbase.CoinbaseDecoder,
            coinbase.CoinbaseBooks,
            "market/products",
            50,
        ),
        Venue(
            "BINANCE",
            binance.read_instruments,
            binance.BinanceDecoder,
            binance.BinanceBooks,
            "exchangeInfo",
            10_000,
        ),
    )
}


class Session(NamedTuple):
    """A recording with its instruments; `events` are the frames and, of Binance, the REST books."""

    venue: Venue
    instruments: dict[str, Instrument]
    """By our symbol."""
    events: list[Event]

    def decoder(self) -> Decoder:
        return self.venue.make_decoder(self.instruments.values())

    def decode(self, decoder: Decoder, event: Event) -> list[Message]:
        if event.kind == "http":
            assert isinstance(decoder, binance.BinanceDecoder)
            venue_symbol = event.address.partition("symbol=")[2].partition("&")[0]
            return [decoder.decode_snapshot(venue_symbol, event.data, event.at_ns)]
        return decoder.decode(event.data, event.at_ns)

    def play(
        self, events: Iterable[Event] | None = None
    ) -> Iterator[tuple[Event, list[Message], VenueBooks, list[Judgement]]]:
        """Decode and apply event by event."""
        decoder, books = self.decoder(), self.venue.make_books()
        for event in self.events if events is None else events:
            messages = self.decode(decoder, event)
            yield event, messages, books, books.apply(messages)


def load_session(real_data: Path, name: str) -> Session:
    venue = VENUES[name]
    recording = read_recording(real_data / "market" / "ws" / f"{name}.jsonl.zst")
    instruments = {
        instrument.symbol: instrument
        for answer in recording.answers(venue.instruments_url)
        for instrument in venue.read_instruments(answer.data)
    }
    events = [
        event
        for event in recording.events
        if event.kind == "recv" or (event.kind == "http" and "/depth?" in event.address)
    ]
    return Session(venue, instruments, events)


class ReferenceBook:
    """Two dictionaries of decimals, straight from the venue's JSON."""

    def __init__(self) -> None:
        self.bids: Levels = {}
        self.asks: Levels = {}
        self.texts: dict[tuple[str, Decimal], tuple[str, str]] = {}

    def put(self, side: str, price: str, size: str) -> None:
        levels = self.bids if side == "bid" else self.asks
        number = Decimal(price)
        levels.pop(number, None)
        if Decimal(size):
            levels[number] = Decimal(size)
            self.texts[side, number] = (price, size)

    def top(self, depth: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        bids = nlargest(depth, self.bids)
        asks = nsmallest(depth, self.asks)
        return [(price, self.bids[price]) for price in bids], [(price, self.asks[price]) for price in asks]


Change = tuple[str, str, str]
"""(side, price, size)"""


def raw_changes(venue: str, frame: str) -> list[tuple[str, bool, list[Change]]]:
    """(venue's symbol, is a snapshot, changes) of the book messages of a frame, read in the plainest way."""
    message: Any = json.loads(frame)
    match venue:
        case "KRAKEN" if isinstance(message, list) and message[-2].startswith("book"):
            rows = [
                (("ask" if side.startswith("a") else "bid"), row[0], row[1])
                for part in message[1:-2]
                for side in ("as", "bs", "a", "b")
                for row in part.get(side, ())
            ]
            return [(message[-1], "as" in message[1], rows)]
        case "OKX" if message.get("arg", {}).get("channel") == "books" and "data" in message:
            return [
                (message["arg"]["instId"], message["action"] == "snapshot", two_sides(book, "bids", "asks"))
                for book in message["data"]
            ]
        case "COINBASE" if message["channel"] == "l2_data":
            return [
                (
                    event["product_id"],
                    event["type"] == "snapshot",
                    [
                        ("bid" if one["side"] == "bid" else "ask", one["price_level"], one["new_quantity"])
                        for one in event["updates"]
                    ],
                )
                for event in message["events"]
            ]
        case "BINANCE" if "@depth" in message.get("stream", ""):
            return [(message["data"]["s"], False, two_sides(message["data"], "b", "a"))]
        case "BITSTAMP" if message.get("event") == "data":
            symbol = message["channel"].rpartition("_")[2]
            return [(symbol, False, two_sides(message["data"], "bids", "asks"))]
    return []


def two_sides(book: Any, bids: str, asks: str) -> list[Change]:
    return [("bid", row[0], row[1]) for row in book[bids]] + [("ask", row[0], row[1]) for row in book[asks]]


def in_decimals(
    book: L2Book, instrument: Instrument, depth: int
) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
    bids, asks = book.depth(depth)
    return (
        [(instrument.price(price), instrument.size(size)) for price, size in bids],
        [(instrument.price(price), instrument.size(size)) for price, size in asks],
    )


def book_messages(messages: Sequence[Message]) -> list[BookSnapshot | BookUpdate]:
    return [message for message in messages if isinstance(message, BookSnapshot | BookUpdate)]
