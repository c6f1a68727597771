"""Market data as JSON text: what REST and the streams show of it, written in one place."""

from typing import Literal

import msgspec

from agio.kernel.money import format_decimal
from agio.kernel.time import format_micros
from agio.marketdata.bars import Candle, vwap_text
from agio.marketdata.events import CORRECTION_NAMES, SIDE_NAMES, Bar, Level, Quote, Trade
from agio.marketdata.model import Instrument

_SECOND_NS = 1_000_000_000
_REMEMBERED_PRICES = 4096


_CORRECTIONS = ["", *(f',"correction":"{name}"' for name in CORRECTION_NAMES[1:])]


class TradePayload(msgspec.Struct, frozen=True, omit_defaults=True):
    """A trade as `TradeWriter` writes it."""

    price: str
    size: str
    side: Literal["buy", "sell"] | None
    """The aggressor's, where the venue tells it."""
    venue_time: str
    id: str | None
    correction: Literal["replaces", "cancels"] | None = None
    """What it does to the earlier trade of the same id; absent for a trade that is none."""


class QuoteView(msgspec.Struct, frozen=True):
    """Best bid and offer; null where a side is empty."""

    bid: str | None
    bid_size: str | None
    ask: str | None
    ask_size: str | None
    venue_time: str


class BarView(msgspec.Struct, frozen=True):
    """A candle of venue time. `vwap` has four decimals more than a price."""

    interval: str
    start: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    vwap: str
    trades: int
    revision: int
    is_final: bool


class TradeWriter:
    """Writes trades of one instrument as JSON text; prices and seconds repeat, so their text is kept."""

    def __init__(self, instrument: Instrument) -> None:
        self._price_scale = instrument.price_scale
        self._quantity_scale = instrument.quantity_scale
        self._prices: dict[int, str] = {}
        self._second = -1
        self._second_text = ""

    def write(self, trade: Trade) -> bytes:
        """The payload of one push."""
        trade_id = msgspec.json.encode(trade.trade_id).decode() if trade.trade_id is not None else "null"
        side = SIDE_NAMES[trade.side]
        side_text = f'"{side}"' if side is not None else "null"
        return (
            f'{{"price":"{self.price(trade.price)}","size":"{self.size(trade.size)}","side":{side_text},'
            f'"venue_time":"{self.time(trade.venue_time_ns)}","id":{trade_id}{_CORRECTIONS[trade.correction]}}}'
        ).encode()

    def price(self, price: int) -> str:
        text = self._prices.get(price)
        if text is None:
            if len(self._prices) >= _REMEMBERED_PRICES:
                self._prices.clear()
            text = self._prices[price] = format_decimal(price, self._price_scale)
        return text

    def size(self, size: int) -> str:
        return format_decimal(size, self._quantity_scale)

    def time(self, venue_time_ns: int) -> str:
        second, nanos = divmod(venue_time_ns, _SECOND_NS)
        if second != self._second:
            self._second, self._second_text = second, format_micros(second * 1_000_000)[:19]
        return f"{self._second_text}.{nanos // 1000:06d}Z"


def view_quote(quote: Quote, instrument: Instrument) -> QuoteView:
    has_bid, has_ask = quote.bid_size > 0, quote.ask_size > 0
    return QuoteView(
        instrument.price_text(quote.bid) if has_bid else None,
        instrument.quantity_text(quote.bid_size) if has_bid else None,
        instrument.price_text(quote.ask) if has_ask else None,
        instrument.quantity_text(quote.ask_size) if has_ask else None,
        format_micros(quote.venue_time_ns // 1000),
    )


def view_levels(levels: list[Level], instrument: Instrument) -> list[tuple[str, str]]:
    """(price, size) texts; a size of nothing is plain "0" and deletes the level."""
    return [
        (instrument.price_text(price), instrument.quantity_text(size) if size else "0")
        for price, size in levels
    ]


def view_bar(bar: Bar | Candle, instrument: Instrument) -> BarView:
    return BarView(
        bar.interval,
        format_micros(bar.start_ns // 1000),
        instrument.price_text(bar.open),
        instrument.price_text(bar.high),
        instrument.price_text(bar.low),
        instrument.price_text(bar.close),
        instrument.quantity_text(bar.volume),
        vwap_text(bar, instrument.price_scale),
        bar.trades,
        bar.revision,
        bar.is_final,
    )
