"""A market maker: a ladder of orders on both sides of what it believes the instrument is worth."""

import math
import random
from collections.abc import Callable

import msgspec

from agio.trading.ports import Side
from agio.trading.providers.simulator.floor import Floor

BELIEF_CHANGE_PROBABILITY = 0.05
REFRESH_PROBABILITY = 0.1


class LadderShape(msgspec.Struct, frozen=True, kw_only=True):
    """Where a maker quotes, in ticks from the middle, and how much at each level."""

    offset: int
    levels: int
    spacing: int
    size_lots: float
    belief_spread: float
    """How far its own middle wanders from the common one, in ticks."""


class MarketMaker:
    """Keep a ladder around a moving middle, touching only the levels that must change.

    In each step call `withdraw` on every maker before `quote` on any: orders at a belief of the past
    are gone before somebody else's new ones could trade with them.

    Levels are kept by rank (ticks for bids, minus ticks for asks), so that one code serves both sides.
    """

    __slots__ = ("_bias", "_floor", "_next_id", "_orders", "_random", "_shape", "_tops")

    def __init__(
        self, floor: Floor, shape: LadderShape, rng: random.Random, next_id: Callable[[], str]
    ) -> None:
        self._floor = floor
        self._shape = shape
        self._random = rng
        self._next_id = next_id
        self._bias = 0.0
        self._orders: dict[Side, dict[int, str]] = {"buy": {}, "sell": {}}
        self._tops: dict[Side, int] = {"buy": 0, "sell": 0}

    def withdraw(self, middle_ticks: float) -> None:
        """Decide where to quote now and cancel what is elsewhere."""
        rng, shape = self._random, self._shape
        if rng.random() < BELIEF_CHANGE_PROBABILITY:
            self._bias = rng.uniform(-shape.belief_spread, shape.belief_spread)
        middle = middle_ticks + self._bias
        self._tops["buy"] = math.floor(middle - shape.offset)
        self._tops["sell"] = math.floor(-middle - shape.offset)
        self._keep_only("buy", self._ranks("buy"))
        self._keep_only("sell", self._ranks("sell"))

    def quote(self) -> None:
        """Fill the ladder up. Meets users' orders that are better than its own price."""
        for side in ("buy", "sell"):
            if self._random.random() < REFRESH_PROBABILITY:
                self._renew_one(side)
            self._place_missing(side, self._ranks(side))

    def quote_behind(self) -> None:
        """Fill the ladder up without ever trading: it starts behind the other side's best price."""
        book = self._floor.book
        tick = self._floor.instrument.tick
        ask, bid = book.best_ask(), book.best_bid()
        if ask is not None:
            self._tops["buy"] = min(self._tops["buy"], -(-ask // tick) - 1)
        self._keep_only("buy", self._ranks("buy"))
        self._place_missing("buy", self._ranks("buy"))
        if bid is not None:
            self._tops["sell"] = min(self._tops["sell"], -(bid // tick) - 1)
        self._keep_only("sell", self._ranks("sell"))
        self._place_missing("sell", self._ranks("sell"))

    def _ranks(self, side: Side) -> list[int]:
        """The top and then multiples of the spacing: most levels stay when the top moves a little."""
        top, spacing = self._tops[side], self._shape.spacing
        second = (top - 1) // spacing * spacing
        return [top, *range(second, second - spacing * (self._shape.levels - 1), -spacing)]

    def _keep_only(self, side: Side, ranks: list[int]) -> None:
        orders, book = self._orders[side], self._floor.book
        for rank in [rank for rank, order_id in orders.items() if rank not in ranks or order_id not in book]:
            book.cancel(orders.pop(rank))

    def _renew_one(self, side: Side) -> None:
        orders = self._orders[side]
        if orders:
            rank = self._random.choice(list(orders))
            self._floor.book.cancel(orders.pop(rank))

    def _place_missing(self, side: Side, ranks: list[int]) -> None:
        orders, instrument = self._orders[side], self._floor.instrument
        sign = 1 if side == "buy" else -1
        for rank in ranks:
            if rank in orders or rank * sign <= 0:
                continue
            lots = 1 + int(self._shape.size_lots * self._random.uniform(0.4, 1.6))
            order_id = self._next_id()
            price = rank * sign * instrument.tick
            placement = self._floor.place_agent(order_id, side, lots * instrument.lot, price, rests=True)
            if placement.rested:
                orders[rank] = order_id
