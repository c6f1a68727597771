"""Numbers that govern acceptance; every order keeps those that it was accepted with."""

import msgspec

BASIS_POINTS = 10_000


class TradingSettings(msgspec.Struct, frozen=True, kw_only=True):
    fee_basis_points: int = 5
    """Fee on the cumulative notional of an order, rounded up to the quote asset's smallest unit."""
    collar_basis_points: int = 500
    """How far from the last price a market order may trade; the rest of it is canceled."""
    maximum_quantity: int = 1_000_000_000
    """Largest order in whole units of the base asset."""
    maximum_notional: int = 100_000_000
    """Largest order in whole units of the quote asset, at its limit or protection price."""
    acceptance_deadline_seconds: float = 8.0
    """How long a lost acknowledgement is pursued before the caller is told to retry."""
