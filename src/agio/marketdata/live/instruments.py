"""A venue's instrument as one of ours, and its whole ticks and lots in our units."""

from decimal import Decimal
from typing import Final

import msgspec

from agio.marketdata.errors import InstrumentMismatch
from agio.marketdata.model import ALWAYS, SYMBOL, Instrument
from agio.marketdata.normalised import Instrument as VenueInstrument

MAX_SCALE: Final = 18


class LiveInstrument(msgspec.Struct, frozen=True):
    """Our instrument, and how many of its units one tick and one lot of the venue's messages are."""

    instrument: Instrument
    local: str
    """Its symbol in the venue's messages."""
    venue_symbol: str
    price_units: int
    size_units: int

    @property
    def symbol(self) -> str:
        return self.instrument.symbol


def wanted_instrument(symbol: str, one: VenueInstrument) -> Instrument:
    """Ours of the venue's. Raises InstrumentMismatch where its steps do not fit our integers.

    It is market data alone: no order is taken for it, so tick x lot need not be whole cents.
    """
    price_scale, quantity_scale = _scale(one.tick), _scale(one.lot)
    if SYMBOL.fullmatch(symbol) is None or max(price_scale, quantity_scale) > MAX_SCALE:
        raise InstrumentMismatch(f"{symbol}: steps of {one.tick} and {one.lot} can't be counted here")
    base, _, rest = one.symbol.partition("-")
    quote = rest.partition("-")[0]
    return Instrument(
        symbol=symbol,
        name=f"{base}/{quote} at {one.venue.capitalize()}"
        if quote
        else f"{base} at {one.venue.capitalize()}",
        venue=one.venue,
        base_asset=base,
        quote_asset=quote or base,
        tick_size=_units(one.price_increment or one.tick, price_scale),
        lot_size=_units(one.size_increment or one.lot, quantity_scale),
        price_scale=price_scale,
        quantity_scale=quantity_scale,
        quote_scale=min(MAX_SCALE, price_scale + quantity_scale),
        calendar=ALWAYS,
        status="data_only",
        asset_class="crypto",
    )


def live_instrument(stored: Instrument, one: VenueInstrument) -> LiveInstrument:
    """The venue's instrument as it is kept here. Raises InstrumentMismatch.

    Integers that are stored keep their meaning for ever: steps finer than their scale cannot be followed.
    """
    if stored.status != "data_only" or stored.venue != one.venue:
        raise InstrumentMismatch(f"{stored.symbol} is another instrument here")
    if _scale(one.tick) > stored.price_scale or _scale(one.lot) > stored.quantity_scale:
        raise InstrumentMismatch(
            f"{one.venue} counts {one.symbol} in steps of {one.tick} and {one.lot} now, and {stored.symbol}"
            f" was made with {stored.price_scale} and {stored.quantity_scale} decimals"
        )
    return LiveInstrument(
        stored,
        one.symbol,
        one.venue_symbol,
        _units(one.tick, stored.price_scale),
        _units(one.lot, stored.quantity_scale),
    )


def _scale(step: Decimal) -> int:
    """How many decimals a step has; 0 for whole ones, such as 10."""
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else MAX_SCALE + 1


def _units(step: Decimal, scale: int) -> int:
    """A step as a number of units; at least one, also of an increment that is finer than our scale."""
    return max(1, int(step.scaleb(scale)))
