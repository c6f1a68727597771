"""Folding trades into bars of venue time.

The fold is a merge of partial bars: opens are the earliest venue time, closes the latest, ties go to the
trade that came first (open) and last (close). So any split of the trades into batches gives the same bars.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from agio.kernel.money import format_decimal
from agio.marketdata.events import INTERVAL_NS, INTERVALS, Bar, Interval, Trade

VWAP_EXTRA_DIGITS: Final = 4
MAX_VOLUME: Final = 2**63 - 1


class TooMuchVolume(ValueError):
    """A bar whose volume does not fit 64 bits."""


class Candle(msgspec.Struct, frozen=True):
    """A bar of any interval, folded from the trades when it was asked for."""

    interval: str
    start_ns: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    notional: int
    trades: int
    revision: int
    is_final: bool


class Folded(msgspec.Struct, frozen=True):
    """What a batch of trades did to the bars of a symbol."""

    open_bars: tuple[Bar, ...]
    """The bar in progress of each interval."""
    finished: tuple[Bar, ...]
    """Bars that ended, complete."""
    late: tuple[Bar, ...]
    """Parts of bars that had ended before: to be merged into them, which makes a revision."""


def fold_trades(symbol: str, open_bars: Iterable[Bar], trades: Sequence[Trade]) -> Folded:
    """Add trades, in order of sequence, to the bars in progress. Raises TooMuchVolume."""
    current = {bar.interval: bar for bar in open_bars}
    finished: list[Bar] = []
    late: dict[tuple[Interval, int], Bar] = {}
    seconds = partial_bars(symbol, "1s", trades)
    for interval in INTERVALS:
        for part in widen(seconds, interval) if interval != "1s" else seconds:
            running = current.get(interval)
            if running is None or part.start_ns > running.start_ns:
                if running is not None:
                    finished.append(msgspec.structs.replace(running, is_final=True))
                current[interval] = part
            elif part.start_ns == running.start_ns:
                current[interval] = merge(running, part)
            else:
                _merge_late(finished, late, part)
    if any(bar.volume > MAX_VOLUME for bar in (*current.values(), *finished, *late.values())):
        raise TooMuchVolume(f"a bar of {symbol} would have more volume than 64 bits can hold")
    return Folded(tuple(current.values()), tuple(finished), tuple(late.values()))


def partial_bars(symbol: str, interval: Interval, trades: Sequence[Trade]) -> list[Bar]:
    """One bar for each run of consecutive trades that fall into the same interval."""
    width = INTERVAL_NS[interval]
    parts: list[Bar] = []
    first = 0
    while first < len(trades):
        start_ns = trades[first].venue_time_ns // width * width
        end_ns = start_ns + width
        last = first + 1
        while last < len(trades) and start_ns <= trades[last].venue_time_ns < end_ns:
            last += 1
        parts.append(_bar_of(symbol, interval, start_ns, trades[first:last]))
        first = last
    return parts


def widen(parts: Sequence[Bar], interval: Interval) -> list[Bar]:
    """The same runs of trades as parts of bars of a longer interval."""
    width = INTERVAL_NS[interval]
    wide: list[Bar] = []
    for part in parts:
        start_ns = part.start_ns // width * width
        if wide and wide[-1].start_ns == start_ns:
            wide[-1] = merge(wide[-1], part)
        else:
            wide.append(msgspec.structs.replace(part, interval=interval, start_ns=start_ns))
    return wide


def merge(earlier: Bar, later: Bar) -> Bar:
    """Two parts of the same bar as one; `later` holds the trades of higher sequence."""
    opens = later if later.first_ns < earlier.first_ns else earlier
    closes = later if later.last_ns >= earlier.last_ns else earlier
    return Bar(
        earlier.symbol,
        earlier.interval,
        earlier.start_ns,
        opens.open,
        max(earlier.high, later.high),
        min(earlier.low, later.low),
        closes.close,
        earlier.volume + later.volume,
        Decimal(int(earlier.notional) + int(later.notional)),
        earlier.trades + later.trades,
        opens.first_ns,
        closes.last_ns,
        earlier.revision,
        earlier.is_final,
    )


def vwap_text(bar: Bar | Candle, price_scale: int) -> str:
    """Notional / volume, rounded half up at four decimals more than a price has."""
    scaled, volume = int(bar.notional) * 10**VWAP_EXTRA_DIGITS, bar.volume
    return format_decimal((2 * scaled + volume) // (2 * volume), price_scale + VWAP_EXTRA_DIGITS)


def _bar_of(symbol: str, interval: Interval, start_ns: int, trades: Sequence[Trade]) -> Bar:
    opens = closes = trades[0]
    high = low = opens.price
    volume = notional = 0
    for trade in trades:
        price, size = trade.price, trade.size
        volume += size
        notional += price * size
        if price > high:
            high = price
        elif price < low:
            low = price
        if trade.venue_time_ns >= closes.venue_time_ns:
            closes = trade
        elif trade.venue_time_ns < opens.venue_time_ns:
            opens = trade
    return Bar(
        symbol,
        interval,
        start_ns,
        opens.price,
        high,
        low,
        closes.price,
        volume,
        Decimal(notional),
        len(trades),
        opens.venue_time_ns,
        closes.venue_time_ns,
    )


def _merge_late(finished: list[Bar], late: dict[tuple[Interval, int], Bar], part: Bar) -> None:
    """A late part belongs to a bar that this very batch finished, or to one finished before."""
    for place, bar in enumerate(finished):
        if bar.interval == part.interval and bar.start_ns == part.start_ns:
            finished[place] = merge(bar, part)
            return
    key = (part.interval, part.start_ns)
    late[key] = merge(late[key], part) if key in late else part
