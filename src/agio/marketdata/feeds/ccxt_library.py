"""ccxt's WebSocket classes, as far as we use them. An extra: nothing here imports it before it is needed."""

import importlib
from collections.abc import Mapping, MutableMapping, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from agio.marketdata.feeds.connector import Endpoints
from agio.marketdata.normalised import Instrument

_TICK_SIZE: Final = 4
_DECIMAL_PLACES: Final = 2


class FeedUnavailable(Exception):
    """There is no feed of this venue here; says why, and what would help."""


class Exchange(Protocol):
    """The part of a `ccxt.pro` exchange that a feed uses."""

    has: Mapping[str, object]
    urls: MutableMapping[str, Any]
    precisionMode: int  # noqa: N815 # ccxt's own name
    markets: Mapping[str, Any] | None
    orderbooks: MutableMapping[str, Any]
    trades: MutableMapping[str, Any]

    async def load_markets(self) -> Mapping[str, Any]: ...

    async def watch_order_book(self, symbol: str) -> Any: ...

    async def watch_trades(self, symbol: str) -> Any: ...

    async def un_watch_order_book(self, symbol: str) -> object: ...

    async def close(self) -> None: ...


def load_library() -> Any:
    """`ccxt.pro`; takes seconds, so call it in a thread. Raises FeedUnavailable."""
    try:
        return importlib.import_module("ccxt.pro")
    except ImportError as missing:
        raise FeedUnavailable(
            "this venue needs ccxt, which is not installed: pip install 'agio[venues]'"
        ) from missing


def make_exchange(library: Any, name: str, endpoints: Endpoints | None) -> Exchange:
    """A new exchange, at other addresses where they are given. Raises FeedUnavailable."""
    if name not in library.exchanges:
        raise FeedUnavailable(f"neither agio nor ccxt has streams of a venue {name!r}")
    exchange: Exchange = getattr(library, name)({"enableRateLimit": True})
    if not (exchange.has.get("watchOrderBook") and exchange.has.get("watchTrades")):
        raise FeedUnavailable(f"ccxt has no streams of books and trades of {name}")
    if endpoints is not None:
        exchange.urls["api"] = moved(exchange.urls["api"], endpoints)
    return exchange


def moved(urls: object, endpoints: Endpoints) -> object:
    """ccxt's addresses with other hosts, their paths kept."""
    if isinstance(urls, Mapping):
        return {name: moved(url, endpoints) for name, url in urls.items()}
    if not isinstance(urls, str):
        return urls
    parts = urlsplit(urls)
    to = urlsplit(endpoints.stream if parts.scheme in ("ws", "wss") else endpoints.rest)
    return parts._replace(scheme=to.scheme, netloc=to.netloc).geturl() if to.netloc else urls


def read_instrument(venue: str, symbol: str, market: Mapping[str, Any], mode: int) -> Instrument:
    """The venue's steps as ccxt tells them. Raises FeedUnavailable where it tells none."""
    precision = market.get("precision") or {}
    price, size = (_step(precision.get(kind), mode) for kind in ("price", "amount"))
    if price is None or size is None:
        raise FeedUnavailable(f"ccxt does not know in which steps {venue} counts {market.get('symbol')}")
    is_open = market.get("active") is not False
    return Instrument(venue, symbol, str(market["symbol"]), price, size, "open" if is_open else "halted")


def _step(told: object, mode: int) -> Decimal | None:
    if not isinstance(told, int | float) or isinstance(told, bool):
        return None
    if mode == _DECIMAL_PLACES:
        return Decimal(1).scaleb(-int(told))
    return Decimal(repr(told)) if mode == _TICK_SIZE and told > 0 else None


class OffGrid(ValueError):
    """A number that is no whole multiple of its step, or has more digits than ccxt's floats hold."""


def whole(number: object, step: Decimal) -> int:
    """How many steps a float is, where exactly one number of steps has this float. Raises OffGrid."""
    if not isinstance(number, int | float) or isinstance(number, bool):
        raise OffGrid(f"{number!r} is no number")
    try:
        count = int((Decimal(repr(number)) / step).to_integral_value())
    except (ArithmeticError, ValueError) as fault:
        raise OffGrid(f"{number!r} is no number") from fault
    if (
        float(count * step) != number
        or float((count + 1) * step) == number
        or float((count - 1) * step) == number
    ):
        raise OffGrid(f"{number!r} is not told exactly in steps of {step}")
    return count


def levels(
    side: Sequence[Sequence[object]], depth: int, instrument: Instrument
) -> tuple[tuple[int, int], ...]:
    """The best levels in ticks and lots. Raises OffGrid."""
    return tuple((whole(row[0], instrument.tick), whole(row[1], instrument.lot)) for row in side[:depth])
