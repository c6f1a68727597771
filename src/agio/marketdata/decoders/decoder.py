"""What the decoders of all venues share: steps of each instrument, and faults that are told, never raised."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Final

import msgspec

from agio.marketdata.decoders.numbers import BadNumber, OffTick, Step
from agio.marketdata.model import SYMBOL
from agio.marketdata.normalised import (
    EXCERPT_LENGTH,
    BookChange,
    Channel,
    Fault,
    Instrument,
    Malformed,
    Message,
    Side,
)

MAX_FRAME: Final = 32 * 1024 * 1024
"""Longest frame that is read, in bytes or characters; Coinbase's snapshots of the whole book have 5 MB."""

_DETAIL_LENGTH: Final = 200


class UnknownSymbol(LookupError):
    """A message about something that we did not ask for."""


class Market:
    """An instrument with its steps made ready for reading."""

    __slots__ = ("instrument", "price", "size", "symbol")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.symbol = instrument.symbol
        self.price = Step(instrument.tick).read_positive
        self.size = Step(instrument.lot).read

    def level(self, side: Side, price: str, size: str) -> BookChange:
        return BookChange(side, self.price(price), self.size(size))

    def best(self, price: str, size: str) -> tuple[int, int] | tuple[None, None]:
        """A side of a quote; venues write an empty side as an empty text or as price 0."""
        if not price.strip("0."):
            return None, None
        return self.price(price), self.size(size)


class Decoder(ABC):
    """Turns the frames of one venue into messages. It keeps nothing between two frames."""

    venue: ClassVar[str]

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._markets = {instrument.venue_symbol: Market(instrument) for instrument in instruments}

    def decode(self, frame: str | bytes, received_ns: int) -> list[Message]:
        """What the frame says, in its order. Never raises: a frame that breaks the format is `Malformed`."""
        if len(frame) > MAX_FRAME:
            return [self._malformed(BadFrame("too_long", f"{len(frame)} long"), frame, received_ns)]
        try:
            return self._read(frame, received_ns)
        except Exception as fault:
            return [self._malformed(fault, frame, received_ns)]

    @abstractmethod
    def _read(self, frame: str | bytes, received_ns: int) -> list[Message]:
        """The messages of a frame; whatever it raises becomes a `Malformed` about all symbols."""

    def _market(self, venue_symbol: str) -> Market:
        market = self._markets.get(venue_symbol)
        if market is None:
            raise UnknownSymbol(venue_symbol)
        return market

    def _symbol(self, venue_symbol: str | None) -> str | None:
        market = self._markets.get(venue_symbol or "")
        return None if market is None else market.symbol

    @staticmethod
    def _malformed(
        fault: Exception,
        frame: str | bytes,
        received_ns: int,
        *,
        symbol: str | None = None,
        channel: Channel = "unknown",
        sequence: int | None = None,
    ) -> Malformed:
        start = frame[:EXCERPT_LENGTH]
        return Malformed(
            symbol,
            received_ns,
            sequence,
            channel,
            _fault_name(fault),
            f"{type(fault).__name__}: {fault}"[:_DETAIL_LENGTH],
            start.decode("utf-8", "replace") if isinstance(start, bytes) else start,
        )


class BadFrame(ValueError):
    """A frame that is well-formed JSON and still not what the venue documents."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault: Fault = fault


_FAULTS: Final[tuple[tuple[tuple[type[Exception], ...], Fault], ...]] = (
    ((OffTick,), "off_tick"),
    ((BadNumber,), "number"),
    ((UnknownSymbol,), "unknown_symbol"),
    ((msgspec.ValidationError, IndexError, KeyError), "shape"),
    ((msgspec.DecodeError, UnicodeError, RecursionError), "json"),
)
"""The first that fits; a fault of our own is `decoder`."""


def _fault_name(fault: Exception) -> Fault:
    if isinstance(fault, BadFrame):
        return fault.fault
    return next((name for kinds, name in _FAULTS if isinstance(fault, kinds)), "decoder")


def is_symbol(text: str) -> bool:
    """Whether the platform can name something so; what it can't name is left out of the instruments."""
    return SYMBOL.fullmatch(text) is not None
