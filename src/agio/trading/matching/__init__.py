"""Price-time priority matching over integers: pure, synchronous, deterministic."""

from agio.trading.matching.book import BookDepth, Match, OrderBook, Placement
from agio.trading.matching.ladder import Ladder, Level, RestingOrder

__all__ = ["BookDepth", "Ladder", "Level", "Match", "OrderBook", "Placement", "RestingOrder"]
