"""Vendors' own files as tapes: Tardis CSV (trades, quotes), LOBSTER messages and DBN by order (trades).

They are read by the decoders of `marketdata/decoders`; any finding that makes a row unreadable refuses the
tape.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import BinaryIO, Final, NamedTuple

from agio.marketdata import events
from agio.marketdata.decoders import dbn_mbo, lobster, tardis
from agio.marketdata.decoders.decoder import Market
from agio.marketdata.decoders.lines import LineLimits
from agio.marketdata.errors import TapeError
from agio.marketdata.findings import Finding, FindingCode
from agio.marketdata.normalised import Instrument, Message, Quote, Trade
from agio.marketdata.tape.files import TapeFile
from agio.marketdata.tape.survey import Precision, Survey, TapeLimits, check_volume

_NANO_DECIMALS: Final = 9
_DAY: Final = re.compile(r"_([0-9]{4}-[0-9]{2}-[0-9]{2})_", re.ASCII)
_HARMLESS: Final[frozenset[FindingCode]] = frozenset(
    {"unterminated", "time_back", "received_back", "gap", "overfill"}
)
"""Findings that leave every trade and quote readable; the order of times is checked here."""
_SIDES: Final = {"buy": events.BUY, "sell": events.SELL, "unknown": events.NO_SIDE}


class TapeQuote(NamedTuple):
    """A quote at the instrument's scales."""

    venue_time_ns: int
    bid: int
    bid_size: int
    ask: int
    ask_size: int


class _Scales(NamedTuple):
    """How many decimals the integers of a file have."""

    price: int
    size: int


_SCALES: Final = {
    "tardis_trades": _Scales(_NANO_DECIMALS, _NANO_DECIMALS),
    "tardis_quotes": _Scales(_NANO_DECIMALS, _NANO_DECIMALS),
    "lobster": _Scales(4, 0),
    "dbn": _Scales(_NANO_DECIMALS, 0),
}


def survey_venue_trades(tape: TapeFile, limits: TapeLimits) -> Survey:
    """Read the whole tape without keeping it; raises TapeError naming the first line that is wrong."""
    scales = _SCALES[tape.format]
    prices, sizes = Precision(), Precision()
    rows, first_ns, last_ns, volume = 0, 0, 0, 0
    for line, trade in _trades(tape, limits):
        _measure(prices, trade.price, scales.price, line)
        _measure(sizes, trade.size, scales.size, line)
        volume += trade.size
        first_ns = first_ns or trade.venue_ns or 0
        last_ns = trade.venue_ns or 0
        rows += 1
    if not rows:
        raise TapeError("there is no trade in the file")
    price_scale, quantity_scale = prices.check("price"), sizes.check("volume")
    total = volume // 10 ** (scales.size - quantity_scale)
    return Survey(rows, first_ns, last_ns, price_scale, quantity_scale, check_volume(total))


def read_venue_trades(
    tape: TapeFile, limits: TapeLimits, price_scale: int, quantity_scale: int
) -> Iterator[events.Trade]:
    """The trades in order, at the given scales, which are at least the survey's."""
    scales = _SCALES[tape.format]
    for _, trade in _trades(tape, limits):
        yield events.Trade(
            trade.venue_ns or 0,
            _rescaled(trade.price, scales.price, price_scale),
            _rescaled(trade.size, scales.size, quantity_scale),
            _SIDES[trade.aggressor],
            trade.trade_id,
        )


def survey_venue_quotes(tape: TapeFile, limits: TapeLimits) -> Survey:
    """Read the whole tape without keeping it; raises TapeError naming the first line that is wrong."""
    scales = _SCALES[tape.format]
    prices, sizes = Precision(), Precision()
    rows, first_ns, last_ns = 0, 0, 0
    for line, quote in _quotes(tape, limits):
        for number in (quote.bid, quote.ask):
            _measure(prices, number, scales.price, line)
        for number in (quote.bid_size, quote.ask_size):
            _measure(sizes, number, scales.size, line)
        first_ns = first_ns or quote.venue_time_ns
        last_ns = quote.venue_time_ns
        rows += 1
    if not rows:
        raise TapeError("there is no quote in the file")
    return Survey(rows, first_ns, last_ns, prices.check("price"), sizes.check("size"), 0)


def read_venue_quotes(tape: TapeFile, price_scale: int, quantity_scale: int) -> Iterator[TapeQuote]:
    """The quotes in order, at the given scales, which are at least the survey's."""
    scales = _SCALES[tape.format]
    for _, quote in _quotes(tape, TapeLimits()):
        yield TapeQuote(
            quote.venue_time_ns,
            _rescaled(quote.bid, scales.price, price_scale),
            _rescaled(quote.bid_size, scales.size, quantity_scale),
            _rescaled(quote.ask, scales.price, price_scale),
            _rescaled(quote.ask_size, scales.size, quantity_scale),
        )


def _trades(tape: TapeFile, limits: TapeLimits) -> Iterator[tuple[int, Trade]]:
    earlier_ns, rows = 0, 0
    with tape.reader() as stream:
        for line, message in _messages(tape, stream, limits):
            if not isinstance(message, Trade):
                continue
            if not message.size:
                raise TapeError("the volume is zero", line)
            earlier_ns = _check_time(message.venue_ns, earlier_ns, line)
            rows = _check_rows(rows + 1, limits, line)
            yield line, message


def _quotes(tape: TapeFile, limits: TapeLimits) -> Iterator[tuple[int, TapeQuote]]:
    earlier_ns, rows = 0, 0
    with tape.reader() as stream:
        for line, message in _messages(tape, stream, limits):
            if not isinstance(message, Quote):
                continue
            earlier_ns = _check_time(message.venue_ns, earlier_ns, line)
            rows = _check_rows(rows + 1, limits, line)
            yield line, _whole_quote(message, earlier_ns, line)


def _whole_quote(quote: Quote, venue_time_ns: int, line: int) -> TapeQuote:
    if not (quote.bid and quote.bid_size and quote.ask and quote.ask_size):
        raise TapeError("a side of the quote is empty", line)
    if quote.bid > quote.ask:
        raise TapeError("bid is higher than ask", line)
    return TapeQuote(venue_time_ns, quote.bid, quote.bid_size, quote.ask, quote.ask_size)


def _messages(tape: TapeFile, stream: BinaryIO, limits: TapeLimits) -> Iterator[tuple[int, Message]]:
    for line, row in _rows(tape, stream, limits):
        if not isinstance(row, Finding):
            yield line, row
        elif row.code == "unknown_symbol":
            raise TapeError("a tape has one symbol, this line has another one", line)
        elif row.code not in _HARMLESS:
            raise TapeError(row.detail, line or None)


def _rows(tape: TapeFile, stream: BinaryIO, limits: TapeLimits) -> Iterator[tuple[int, Message | Finding]]:
    lines = LineLimits(limits.max_line_bytes, limits.max_bytes, limits.max_rows + 1)
    match tape.format:
        case "tardis_trades":
            return tardis.read_trades(stream, _OneMarket(), lines)
        case "tardis_quotes":
            return tardis.read_quotes(stream, _OneMarket(), lines)
        case "lobster":
            symbol, day = tape.path.name.partition("_")[0], _day(tape)
            return lobster.LobsterReader(symbol, day, lines).read(stream)
        case _:
            return dbn_mbo.read_file(stream, _only_symbol(stream), limits.max_bytes)


class _OneMarket(Mapping[str, Market]):
    """The market of whatever symbol comes first, and of no other; in units of 10**-9."""

    def __init__(self) -> None:
        self._market: dict[str, Market] = {}

    def __getitem__(self, symbol: str) -> Market:
        if not self._market:
            nano = Decimal(1).scaleb(-_NANO_DECIMALS)
            self._market[symbol] = Market(Instrument("TARDIS", symbol, symbol, nano, nano))
        return self._market[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._market)

    def __len__(self) -> int:
        return len(self._market)


def _only_symbol(stream: BinaryIO) -> dict[str, Instrument]:
    symbols = dbn_mbo.read_symbols(stream)
    if isinstance(symbols, Finding):
        raise TapeError(symbols.detail)
    if len(symbols) != 1:
        raise TapeError(f"a tape has one symbol, this file has {', '.join(symbols[:10]) or 'none'}")
    return {symbols[0]: Instrument("DBN", symbols[0], symbols[0], dbn_mbo.NANO, Decimal(1))}


def _day(tape: TapeFile) -> date:
    found = _DAY.search(tape.path.name)
    try:
        return date.fromisoformat(found[1] if found is not None else "")
    except ValueError as error:
        raise TapeError("the name of a LOBSTER file tells its day, as in AAPL_2012-06-21_...") from error


def _check_time(venue_ns: int | None, earlier_ns: int, line: int) -> int:
    if venue_ns is None or venue_ns < earlier_ns:
        raise TapeError("the time is earlier than that of the line before", line)
    return venue_ns


def _check_rows(rows: int, limits: TapeLimits, line: int) -> int:
    if rows > limits.max_rows:
        raise TapeError(f"the tape has more than {limits.max_rows} rows", line)
    return rows


def _measure(precision: Precision, number: int, decimals: int, line: int) -> None:
    """Tell the precision how many digits of the number stand before its point and behind it."""
    whole, fraction = divmod(number, 10**decimals)
    significant = len(str(fraction).rjust(decimals, "0").rstrip("0")) if fraction else 0
    precision.add(len(str(whole)) if whole else 0, significant, line)


def _rescaled(number: int, decimals: int, scale: int) -> int:
    return int(number * 10 ** (scale - decimals) if scale >= decimals else number // 10 ** (decimals - scale))
