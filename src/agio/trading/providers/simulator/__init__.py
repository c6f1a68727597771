"""The simulated exchange: an order book that seeded agents keep alive and users trade in."""

from agio.trading.providers.simulator.exchange import SimulatedExchange
from agio.trading.providers.simulator.model import (
    BookChange,
    MarketTrade,
    Quote,
    SimulatedInstrument,
    SimulatedMarket,
)

__all__ = [
    "BookChange",
    "MarketTrade",
    "Quote",
    "SimulatedExchange",
    "SimulatedInstrument",
    "SimulatedMarket",
]
