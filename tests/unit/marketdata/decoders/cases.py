"""One instrument of each venue, and messages about it: what the tests of the venues' rules begin with."""

import json
from decimal import Decimal

from agio.marketdata.decoders.binance import BinanceDecoder
from agio.marketdata.decoders.coinbase import CoinbaseDecoder
from agio.marketdata.decoders.decoder import Decoder
from agio.marketdata.decoders.kraken import KrakenDecoder
from agio.marketdata.decoders.okx import OkxDecoder
from agio.marketdata.normalised import BookChange, BookSnapshot, Instrument, Message

TICK, LOT = Decimal("0.1"), Decimal("0.001")
DECODERS: dict[str, Decoder] = {
    "KRAKEN": KrakenDecoder([Instrument("KRAKEN", "BTC-USD", "XBT/USD", TICK, LOT)]),
    "OKX": OkxDecoder([Instrument("OKX", "BTC-USD", "BTC-USD", TICK, LOT)]),
    "COINBASE": CoinbaseDecoder([Instrument("COINBASE", "BTC-USD", "BTC-USD", TICK, LOT)]),
    "BINANCE": BinanceDecoder([Instrument("BINANCE", "BTC-USD", "BTCUSD", TICK, LOT)]),
}


def decode(venue: str, message: object) -> list[Message]:
    return DECODERS[venue].decode(json.dumps(message), 7)


def snapshot(
    bids: dict[int, int], asks: dict[int, int], sequence: int | None = None, depth: int | None = None
) -> BookSnapshot:
    return BookSnapshot(
        "BTC-USD",
        None,
        7,
        sequence,
        tuple(BookChange("bid", price, size, f"{price}{size}") for price, size in bids.items()),
        tuple(BookChange("ask", price, size, f"{price}{size}") for price, size in asks.items()),
        depth=depth,
    )
