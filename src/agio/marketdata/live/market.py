"""`--market live:VENUE:SYMBOL[,SYMBOL...][;VENUE:...]`, and what its instruments are called here.

A live symbol is `VENUE-` and the venue's pair with dashes: `live:kraken:BTC/USD` is `KRAKEN-BTC-USD`. The
venue comes first: the same pair is another instrument at another venue, and lists sort by venue.
"""

import re
from typing import Final

import msgspec

from agio.marketdata.model import SIM, SYMBOL, TAPE

PREFIX: Final = "live:"
MAX_SYMBOLS: Final = 200
"""Most symbols of one venue: they share a connection."""
_VENUE: Final = re.compile(r"[a-z][a-z0-9]{1,15}", re.ASCII)
_PAIR: Final = re.compile(r"[A-Z0-9]+([-/:][A-Z0-9]+)*", re.ASCII)


class InvalidMarket(ValueError):
    """The text names no live market; says why."""


class LiveVenue(msgspec.Struct, frozen=True):
    """What is wanted of one venue."""

    name: str
    """In lower case, as the operator and ccxt write it."""
    pairs: tuple[str, ...]
    """As they were given: `BTC/USD`, `BTC-USD`."""

    @property
    def venue(self) -> str:
        """As instruments and statuses name it."""
        return self.name.upper()

    @property
    def symbols(self) -> dict[str, str]:
        """Our symbol of each pair, by the symbol within the venue (`BTC-USD`)."""
        return {local_symbol(pair): symbol_of(self.venue, pair) for pair in self.pairs}


def local_symbol(pair: str) -> str:
    """`BTC-USD` for `BTC/USD`."""
    return pair.replace("/", "-").replace(":", "-")


def symbol_of(venue: str, pair: str) -> str:
    """Our symbol of a venue's pair."""
    return f"{venue}-{local_symbol(pair)}"


def is_live(market: str) -> bool:
    return market.startswith(PREFIX)


def read_market(market: str) -> tuple[LiveVenue, ...]:
    """The venues of `live:...`; raises InvalidMarket."""
    found: dict[str, LiveVenue] = {}
    for part in market.removeprefix(PREFIX).split(";"):
        name, colon, pairs = part.strip().partition(":")
        venue = _venue(name.strip().lower(), pairs if colon else "")
        if venue.name in found:
            raise InvalidMarket(f"{venue.name} is named twice: give all its symbols at once")
        found[venue.name] = venue
    return tuple(found.values())


def _venue(name: str, text: str) -> LiveVenue:
    if _VENUE.fullmatch(name) is None or name.upper() in (SIM, TAPE):
        raise InvalidMarket(
            f"{name!r} is no venue: write live:VENUE:SYMBOL,SYMBOL, such as live:kraken:BTC/USD"
        )
    pairs = tuple(dict.fromkeys(pair.strip().upper() for pair in text.split(",") if pair.strip()))
    if not 1 <= len(pairs) <= MAX_SYMBOLS:
        raise InvalidMarket(f"{name} needs 1 to {MAX_SYMBOLS} symbols, such as live:{name}:BTC/USD")
    for pair in pairs:
        symbol = symbol_of(name.upper(), pair)
        if _PAIR.fullmatch(pair) is None or SYMBOL.fullmatch(symbol) is None:
            raise InvalidMarket(f"{pair!r} is no symbol of {name}: {symbol} has at most 24 of A-Z, 0-9 and -")
    if len({local_symbol(pair) for pair in pairs}) < len(pairs):
        raise InvalidMarket(f"{name}: two of its symbols are the same with dashes")
    return LiveVenue(name, pairs)
