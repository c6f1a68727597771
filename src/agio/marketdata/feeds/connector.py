"""What differs between venues: addresses, what to send, how to ask for a book again."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, Final

import msgspec

from agio.marketdata.books.continuity import VenueBooks
from agio.marketdata.decoders.decoder import Decoder
from agio.marketdata.normalised import Instrument, Malformed, Message

MAX_SYMBOLS: Final = 200
"""Most symbols of one feed, which has one connection; venues cap subscriptions, requests and addresses."""


class Endpoints(msgspec.Struct, frozen=True):
    """Where a venue is, without a slash at the end."""

    stream: str
    rest: str


class SendFrame(msgspec.Struct, frozen=True):
    text: str


class FetchBook(msgspec.Struct, frozen=True):
    """A book that comes by REST; `read` makes the message of (body, received_ns)."""

    symbol: str
    url: str
    read: Callable[[bytes, int], Message]


Step = SendFrame | FetchBook


class KeepAlive(msgspec.Struct, frozen=True):
    """A frame to send regularly."""

    every_seconds: float
    text: str


class Connector(ABC):
    """One venue. It keeps no state of a connection and does no input or output."""

    venue: ClassVar[str]
    public: ClassVar[Endpoints]
    instrument_paths: ClassVar[tuple[str, ...]]
    """REST paths of the instruments."""
    stale_seconds: ClassVar[float]
    """The longest silence that is normal, with some grace."""
    keep_alive: ClassVar[KeepAlive | None] = None

    def __init__(self, instruments: Iterable[Instrument], endpoints: Endpoints | None = None) -> None:
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        if not 0 < len(self.instruments) <= MAX_SYMBOLS:
            raise ValueError(f"a feed has 1 to {MAX_SYMBOLS} symbols, not {len(self.instruments)}")
        self.endpoints = endpoints or self.public

    @property
    def symbols(self) -> list[str]:
        return list(self.instruments)

    @property
    def stream_url(self) -> str:
        return self.endpoints.stream

    @property
    @abstractmethod
    def decoder(self) -> Decoder: ...

    @abstractmethod
    def make_books(self) -> VenueBooks:
        """The books of a new connection."""

    @staticmethod
    @abstractmethod
    def read_instruments(body: bytes) -> list[Instrument]:
        """Instruments of the answer to one of `instrument_paths`. Raises msgspec.DecodeError."""

    @abstractmethod
    def opening(self) -> Sequence[Step]:
        """What to do on a new connection."""

    @abstractmethod
    def resnapshot(self, symbols: Sequence[str]) -> Sequence[Step]:
        """How to get these books anew on the same connection."""

    def proves_life(self, message: Message) -> bool:
        """Whether the message shows that data flows; a socket that only answers pings is dead."""
        return not isinstance(message, Malformed)

    def venue_symbols(self, symbols: Iterable[str] | None = None) -> list[str]:
        """The venue's names of these symbols, or of all."""
        chosen = self.instruments if symbols is None else symbols
        return [self.instruments[symbol].venue_symbol for symbol in chosen]


def frame(content: object) -> SendFrame:
    return SendFrame(msgspec.json.encode(content).decode())
