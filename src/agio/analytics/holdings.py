"""Positions and totals of a book at one instant."""

from collections.abc import Mapping

import msgspec

from agio.analytics.book import Book
from agio.analytics.model.blocks import Holding
from agio.analytics.model.history import Worth
from agio.analytics.model.positions import COST_UNITS, CostBasis, divide_even
from agio.analytics.model.valuation import Mark, PriceSource
from agio.analytics.schemas import Position, Totals
from agio.kernel.money import format_decimal
from agio.kernel.time import format_micros

_EXTRA_DIGITS = 4
"""Decimals that an average cost has beyond those of a price."""


class Line(msgspec.Struct, frozen=True):
    """One asset other than cash. Amounts of money are in the base currency's smallest unit."""

    asset: str
    source: PriceSource | None
    quantity: int
    basis: CostBasis
    mark: Mark | None
    market_value: int | None
    """None while something is held that has no price."""


class Holdings(msgspec.Struct, frozen=True):
    """A book at one instant."""

    lines: list[Line]
    cash: int
    at_us: int

    @property
    def equity(self) -> int | None:
        """Cash plus market values; None while something held has no price."""
        values = [line.market_value for line in self.lines]
        return None if None in values else self.cash + sum(value or 0 for value in values)

    @property
    def price_time_ns(self) -> int | None:
        """Venue time of the newest price that values something held."""
        return max(
            (line.mark.venue_time_ns for line in self.lines if line.mark and line.quantity), default=None
        )


def take_holdings(
    book: Book, costs: Mapping[str, CostBasis], worth: Worth, marks: Mapping[str, Mark], at_us: int
) -> Holdings:
    """Balances from the ledger, costs from the fold of fills, prices from `marks` (by symbol)."""
    base = book.portfolio.base_currency
    balances: dict[str, int] = {}
    for history in book.histories:
        for asset, curve in history.curves.items():
            balances[asset] = balances.get(asset, 0) + curve.through(at_us)
    lines = []
    for asset in sorted(balances.keys() - {base}):
        source = book.sources.get(asset)
        mark = marks.get(source.symbol) if source is not None else None
        quantity = balances[asset]
        value = market_value(quantity, mark, worth.divisors.get(asset))
        lines.append(Line(asset, source, quantity, costs.get(asset, CostBasis()), mark, value))
    lines.sort(key=symbol_of)
    return Holdings(lines, balances.get(base, 0), at_us)


def market_value(quantity: int, mark: Mark | None, divisor: int | None) -> int | None:
    """Quantity x price in the smallest unit, exact for tradable quantities (tick x lot is a whole unit)."""
    if quantity == 0:
        return 0
    if mark is None or divisor is None:
        return None
    return divide_even(quantity * mark.price, divisor)


def divisors_of(book: Book) -> dict[str, int]:
    """By asset, what quantity x price must be divided by to be in the base currency's smallest unit."""
    return {
        asset: 10 ** max(0, source.price_scale + source.quantity_scale - book.base_scale)
        for asset, source in book.sources.items()
    }


def symbol_of(line: Line) -> str:
    return line.source.symbol if line.source is not None else line.asset


def unrealised(line: Line) -> int | None:
    """Market value less cost, in 1/COST_UNITS of the smallest unit."""
    if line.market_value is None or not line.basis.is_cost_known:
        return None
    return line.market_value * COST_UNITS - line.basis.cost


def view_position(line: Line, base_scale: int) -> Position:
    source = line.source
    gain = unrealised(line)
    mark = line.mark
    return Position(
        symbol=symbol_of(line),
        asset=line.asset,
        quantity=format_decimal(line.quantity, source.quantity_scale) if source else str(line.quantity),
        average_cost=_average_cost(line, base_scale),
        price=format_decimal(mark.price, source.price_scale) if mark and source else None,
        price_time=format_micros(mark.venue_time_ns // 1000) if mark else None,
        market_value=None if line.market_value is None else format_decimal(line.market_value, base_scale),
        unrealized_pnl=None if gain is None else _money(gain, base_scale),
        realized_pnl=_money(line.basis.realised_net, base_scale),
        fees=format_decimal(line.basis.fees, base_scale),
    )


def view_totals(holdings: Holdings, base_scale: int) -> Totals:
    """Sums over all lines; null when a part of the sum is unknown."""
    gains = [unrealised(line) for line in holdings.lines]
    equity = holdings.equity
    return Totals(
        equity=None if equity is None else format_decimal(equity, base_scale),
        cash=format_decimal(holdings.cash, base_scale),
        unrealized_pnl=None if None in gains else _money(sum(gain or 0 for gain in gains), base_scale),
        realized_pnl=_money(sum(line.basis.realised_net for line in holdings.lines), base_scale),
        fees=format_decimal(sum(line.basis.fees for line in holdings.lines), base_scale),
    )


def to_exposure(holdings: Holdings, base_scale: int) -> tuple[list[Holding], float]:
    """Open positions and cash as floating-point numbers of the base currency."""
    unit = 10**base_scale
    open_lines = [line for line in holdings.lines if line.quantity]
    rows = [
        Holding(symbol_of(line), line.asset, None if line.market_value is None else line.market_value / unit)
        for line in open_lines
    ]
    return rows, holdings.cash / unit


def _money(amount: int, base_scale: int) -> str:
    return format_decimal(divide_even(amount, COST_UNITS), base_scale)


def _average_cost(line: Line, base_scale: int) -> str | None:
    """Cost per unit with four decimals more than a price, rounded half to even."""
    basis, source = line.basis, line.source
    if source is None or not basis.is_cost_known or basis.quantity == 0 or basis.quantity != line.quantity:
        return None
    digits = source.price_scale + _EXTRA_DIGITS
    numerator = abs(basis.cost) * 10 ** (digits + source.quantity_scale)
    return format_decimal(divide_even(numerator, COST_UNITS * 10**base_scale * abs(basis.quantity)), digits)
