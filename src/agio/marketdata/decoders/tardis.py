"""Tardis CSV files: trades and quotes, as the vendor normalises them for all venues.

Both times are microseconds since 1970 UTC: `timestamp` is the venue's, `local_timestamp` the vendor's arrival
time. A trade's side is the aggressor's. An empty price and amount mean an empty side of the book.
"""

from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

from agio.marketdata.decoders.decoder import Market
from agio.marketdata.decoders.lines import (
    BadLine,
    LineLimits,
    in_time_order,
    plain_number,
    plain_text,
    read_table,
    time_ns,
)
from agio.marketdata.findings import Finding
from agio.marketdata.normalised import Aggressor, Quote, Trade

TRADE_COLUMNS: Final = (
    "exchange",
    "symbol",
    "timestamp",
    "local_timestamp",
    "id",
    "side",
    "price",
    "amount",
)
QUOTE_COLUMNS: Final = (
    "exchange",
    "symbol",
    "timestamp",
    "local_timestamp",
    "ask_amount",
    "ask_price",
    "bid_price",
    "bid_amount",
)

_MICROSECOND_NS: Final = 1000
_AGGRESSORS: Final[dict[bytes, Aggressor]] = {b"buy": "buy", b"sell": "sell", b"unknown": "unknown"}


def read_trades(
    stream: BinaryIO, markets: Mapping[str, Market], limits: LineLimits | None = None
) -> Iterator[tuple[int, Trade | Finding]]:
    """Trades and findings with their line numbers, in the file's order; never raises for its content."""

    def read(fields: list[bytes], _line: int) -> Trade:
        _, symbol, timestamp, local_timestamp, trade_id, side, price, amount = fields
        market = _market(markets, symbol)
        aggressor = _AGGRESSORS.get(side)
        if aggressor is None:
            raise BadLine("shape", f"side must be buy, sell or unknown, not {side[:20]!a}")
        return Trade(
            market.symbol,
            time_ns(timestamp, _MICROSECOND_NS, "timestamp"),
            time_ns(local_timestamp, _MICROSECOND_NS, "local_timestamp"),
            None,
            market.price(plain_number(price.decode("latin-1"))),
            market.size(plain_number(amount.decode("latin-1"))),
            aggressor,
            plain_text(trade_id, "id") or None,
        )

    rows = read_table(stream, limits or LineLimits(), TRADE_COLUMNS, read)
    return in_time_order(rows, "timestamp", "local_timestamp")


def read_quotes(
    stream: BinaryIO, markets: Mapping[str, Market], limits: LineLimits | None = None
) -> Iterator[tuple[int, Quote | Finding]]:
    """Quotes and findings with their line numbers, in the file's order; never raises for its content."""

    def read(fields: list[bytes], _line: int) -> Quote:
        _, symbol, timestamp, local_timestamp, ask_amount, ask_price, bid_price, bid_amount = fields
        market = _market(markets, symbol)
        bid, bid_size = _side(market, bid_price, bid_amount, "bid")
        ask, ask_size = _side(market, ask_price, ask_amount, "ask")
        return Quote(
            market.symbol,
            time_ns(timestamp, _MICROSECOND_NS, "timestamp"),
            time_ns(local_timestamp, _MICROSECOND_NS, "local_timestamp"),
            None,
            bid,
            bid_size,
            ask,
            ask_size,
        )

    rows = read_table(stream, limits or LineLimits(), QUOTE_COLUMNS, read)
    return in_time_order(rows, "timestamp", "local_timestamp")


def _side(market: Market, price: bytes, amount: bytes, name: str) -> tuple[int | None, int | None]:
    if not price and not amount:
        return None, None
    if not price or not amount:
        raise BadLine("shape", f"{name} has a price without an amount, or the other way round")
    return (
        market.price(plain_number(price.decode("latin-1"))),
        market.size(plain_number(amount.decode("latin-1"))),
    )


def _market(markets: Mapping[str, Market], symbol: bytes) -> Market:
    market = markets.get(symbol.decode("latin-1"))
    if market is None:
        raise BadLine("unknown_symbol", f"symbol {symbol[:40]!a} was not asked for")
    return market
