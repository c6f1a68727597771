"""The fold of fills into positions: average cost, realised and unrealised profit, exact to 1e-9 of a cent.

Convention: the average cost is the average price paid, fees left out. Every fee counts against the realised
profit when it is paid. So flows + realised + unrealised = equity, always.
"""

from typing import Literal

import msgspec

COST_UNITS = 10**9
"""Costs are kept in this fraction of the quote asset's smallest unit."""


class Fill(msgspec.Struct, frozen=True, gc=False):
    """One execution: quantity in the asset's smallest unit, notional and fee in the base currency's."""

    asset: str
    side: Literal["buy", "sell"]
    quantity: int
    notional: int
    fee: int
    at_us: int


class CostBasis(msgspec.Struct):
    """What is held of one instrument, and what it cost."""

    quantity: int = 0
    cost: int = 0
    """Cost of what is held, in 1/COST_UNITS of the smallest quote unit; negative for a short position."""
    realised: int = 0
    """Same unit; fees not yet deducted."""
    fees: int = 0
    """Smallest quote unit."""
    is_cost_known: bool = True
    """False after securities arrived whose value nobody knew, until the position is closed."""

    def add(self, fill: Fill) -> None:
        signed = fill.quantity if fill.side == "buy" else -fill.quantity
        self.fees += fill.fee
        self._move(signed, (fill.notional if fill.side == "buy" else -fill.notional) * COST_UNITS)

    def transfer(self, quantity: int, value: int | None) -> None:
        """Securities came in (positive) or went out at their market value; a value of None is unknown."""
        if value is None:
            self.is_cost_known = False
            value = 0
        self._move(quantity, value * COST_UNITS)

    @property
    def realised_net(self) -> int:
        """Realised profit after all fees, in 1/COST_UNITS of the smallest quote unit."""
        return self.realised - self.fees * COST_UNITS

    def _move(self, signed: int, value: int) -> None:
        """Enlarge the position at `value`, or close part of it against its average cost."""
        if self.quantity == 0 or (self.quantity > 0) == (signed > 0):
            self.quantity += signed
            self.cost += value
            return
        closing = -signed if abs(signed) <= abs(self.quantity) else self.quantity
        closing_value = divide_even(-value * abs(closing), abs(signed))
        released = divide_even(self.cost * abs(closing), abs(self.quantity))
        self.realised += closing_value - released
        self.quantity -= closing
        self.cost -= released
        if self.quantity == 0:
            self.is_cost_known = True
        rest = signed + closing
        if rest:
            self.quantity, self.cost = rest, value + closing_value


def divide_even(numerator: int, denominator: int) -> int:
    """Integer division rounded half to even; the denominator is positive."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    return quotient + (1 if twice > denominator or (twice == denominator and quotient % 2) else 0)
