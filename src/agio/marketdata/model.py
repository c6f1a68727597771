"""Instruments and calendars: pure rules."""

import re
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from agio.kernel.money import format_decimal

SYMBOL: Final = re.compile(r"^[A-Z0-9][A-Z0-9-]{0,23}$", re.ASCII)
USD_SCALE: Final = 2
SIM: Final = "SIM"
TAPE: Final = "TAPE"
ALWAYS: Final = "24x7"

InstrumentStatus = Literal["active", "halted", "retired", "data_only"]
"""`data_only`: followed at a live venue, and no order is taken for it."""


class Instrument(msgspec.Struct, frozen=True):
    """Something that is traded.

    Prices count 10**-price_scale of the quote asset, quantities 10**-quantity_scale of the base asset;
    `tick_size` and `lot_size` are integers in those units. Tick x lot is a whole number of the quote
    asset's smallest units, so the notional of any valid order is exact; but not where the status is
    `data_only`.
    """

    symbol: str
    name: str
    venue: str
    base_asset: str
    quote_asset: str
    tick_size: int
    lot_size: int
    price_scale: int
    quantity_scale: int
    quote_scale: int
    calendar: str
    status: InstrumentStatus = "active"
    asset_class: str = "stock"
    """Of the base asset: `crypto`, `currency`, `stock`, `future`, ..."""

    def price_text(self, price: int) -> str:
        return format_decimal(price, self.price_scale)

    def quantity_text(self, quantity: int) -> str:
        return format_decimal(quantity, self.quantity_scale)

    def notional(self, price: int, quantity: int) -> int:
        """Price x quantity in the quote asset's smallest unit.

        Exact for whole ticks and lots; raises ValueError where it would have to be rounded.
        """
        amount, rest = divmod(price * quantity, self.notional_divisor)
        if rest:
            raise ValueError(f"{self.symbol}: {price} x {quantity} is no whole {self.quote_asset} amount")
        return amount

    @property
    def notional_divisor(self) -> int:
        """price x quantity / notional_divisor = amount in the quote asset's smallest unit."""
        exponent = self.price_scale + self.quantity_scale - self.quote_scale
        if exponent < 0:
            raise ValueError(f"{self.symbol}: the quote asset is finer than price x quantity")
        return int(10**exponent)


def check_instrument(instrument: Instrument) -> Instrument:
    """Return it when it keeps the rules of the class; raise ValueError saying which one it breaks."""
    if SYMBOL.fullmatch(instrument.symbol) is None:
        raise ValueError(f"{instrument.symbol!r} is no symbol: A-Z, 0-9 and -, at most 24 characters")
    if instrument.tick_size <= 0 or instrument.lot_size <= 0:
        raise ValueError(f"{instrument.symbol}: tick and lot are positive")
    if instrument.tick_size * instrument.lot_size % instrument.notional_divisor:
        raise ValueError(
            f"{instrument.symbol}: tick x lot is no whole number of {instrument.quote_asset} units"
        )
    return instrument


def _sim(
    symbol: str, name: str, asset_class: str, *, tick: int, lot: int, scales: tuple[int, int]
) -> Instrument:
    base, _, quote = symbol.partition("-")
    price_scale, quantity_scale = scales
    return check_instrument(
        Instrument(
            symbol=symbol,
            name=name,
            venue=SIM,
            base_asset=base,
            quote_asset=quote,
            tick_size=tick,
            lot_size=lot,
            price_scale=price_scale,
            quantity_scale=quantity_scale,
            quote_scale=USD_SCALE,
            calendar=ALWAYS,
            asset_class=asset_class,
        )
    )


SIM_INSTRUMENTS: Final = (
    _sim("BTC-USD", "Bitcoin", "crypto", tick=100, lot=1_000_000, scales=(2, 8)),
    _sim("ETH-USD", "Ether", "crypto", tick=10, lot=10_000_000, scales=(2, 8)),
    _sim("EUR-USD", "Euro", "currency", tick=1, lot=10_000, scales=(4, 2)),
    _sim("ACME-USD", "Acme Corporation", "stock", tick=1, lot=1, scales=(2, 0)),
)
"""What the simulated exchange trades."""


def tape_instrument(symbol: str, price_scale: int, quantity_scale: int) -> Instrument:
    """The instrument of a recorded tape whose prices and sizes have these decimals, quoted in USD.

    The tick is the tape's precision; the lot is the smallest quantity whose notional is whole cents.
    """
    finer = price_scale + quantity_scale - USD_SCALE
    if finer < 0:
        price_scale -= finer
        finer = 0
    return check_instrument(
        Instrument(
            symbol=symbol,
            name=symbol,
            venue=TAPE,
            base_asset=symbol,
            quote_asset="USD",
            tick_size=1,
            lot_size=10**finer,
            price_scale=price_scale,
            quantity_scale=quantity_scale,
            quote_scale=USD_SCALE,
            calendar=ALWAYS,
            asset_class="future",
        )
    )


class Session(msgspec.Struct, frozen=True):
    """One opening of the week in local time; `closes` at or before `opens` means on the next day."""

    weekday: int
    """0 is Monday."""
    opens: str
    """`HH:MM`"""
    closes: str


class Calendar(msgspec.Struct, frozen=True):
    """When a market is open. Without sessions it never closes, and its days end at midnight of the zone."""

    name: str
    time_zone: str
    sessions: tuple[Session, ...] = ()
    holidays: tuple[date, ...] = ()
    """Local dates on which no session opens."""

    def is_open(self, instant: datetime) -> bool:
        return not self.sessions or self._session_end(instant) is not None

    def day_end(self, instant: datetime) -> datetime:
        """When a `day` order entered at `instant` expires: the end of the present or the next session."""
        if not self.sessions:
            local = instant.astimezone(ZoneInfo(self.time_zone))
            midnight = datetime.combine(local.date() + timedelta(days=1), time_of_day(), local.tzinfo)
            return midnight.astimezone(UTC)
        current = self._session_end(instant)
        if current is not None:
            return current
        return min(end for start, end in self._around(instant) if start > instant)

    def _session_end(self, instant: datetime) -> datetime | None:
        return next((end for start, end in self._around(instant) if start <= instant < end), None)

    def _around(self, instant: datetime) -> list[tuple[datetime, datetime]]:
        """Sessions that open from the day before until a fortnight after."""
        zone = ZoneInfo(self.time_zone)
        today = instant.astimezone(zone).date()
        return [
            _span(day, session, zone)
            for offset in range(-1, 15)
            for day in [today + timedelta(days=offset)]
            for session in self.sessions
            if session.weekday == day.weekday() and day not in self.holidays
        ]


CALENDARS: Final = (
    Calendar(ALWAYS, "UTC"),
    Calendar(
        "US-EQUITY",
        "America/New_York",
        tuple(Session(weekday, "09:30", "16:00") for weekday in range(5)),
    ),
)


def _span(day: date, session: Session, zone: ZoneInfo) -> tuple[datetime, datetime]:
    opens, closes = time_of_day.fromisoformat(session.opens), time_of_day.fromisoformat(session.closes)
    last_day = day if closes > opens else day + timedelta(days=1)
    start = datetime.combine(day, opens, zone).astimezone(UTC)
    return start, datetime.combine(last_day, closes, zone).astimezone(UTC)
