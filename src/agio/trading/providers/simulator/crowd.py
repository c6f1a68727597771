"""The agents of one instrument: market makers, takers of three minds, and passing limit orders."""

import heapq
import math
import random

from agio.trading.ports import Side
from agio.trading.providers.simulator.floor import Floor
from agio.trading.providers.simulator.maker import LadderShape, MarketMaker
from agio.trading.providers.simulator.model import Quote, SimulatedInstrument
from agio.trading.providers.simulator.value import FundamentalValue

ARRIVALS_PER_SECOND = 7.5
LONGEST_BURST_SECONDS = 1.0
"""A long step brings no more orders than this: after a pause the market does not explode."""
KINDS = ("noise", "trend", "reversion", "passive")
KIND_WEIGHTS = (0.55, 0.1, 0.1, 0.25)
FAST_SECONDS, SLOW_SECONDS = 15.0, 120.0
HALF_SPREAD_FRACTION = 0.00005
IMPACT_HALF_SPREADS = 0.3
"""How far one typical order's worth of flow moves beliefs."""
TAKER_SIZE_FRACTION = 0.25
TAKER_PRICE_LIMIT = 0.01
"""Agents do not take further than this from what they believe in."""
PASSING_ORDERS_LIMIT = 30
PASSING_ORDER_SECONDS = 8.0


class Crowd:
    """Act for all agents of a floor, step by step."""

    def __init__(self, floor: Floor, rng: random.Random, start_price: int) -> None:
        instrument = floor.instrument
        self._floor = floor
        self._random = rng
        self._order_count = 0
        self._half_spread = _half_spread_ticks(instrument)
        self._value = FundamentalValue(instrument.start_price, start_price, instrument.volatility, rng)
        self._fast = self._slow = self._value.price()
        self._passing: list[tuple[int, str]] = []
        self._makers = [
            MarketMaker(floor, shape, rng, self._next_id)
            for shape in _inner_shapes(self._half_spread, instrument.depth_lots)
        ]
        # The last one guarantees depth: it quotes after everybody else and never trades on arrival.
        self._backstop = MarketMaker(
            floor, _backstop_shape(self._half_spread, instrument.depth_lots), rng, self._next_id
        )

    def act(self, seconds: float) -> None:
        """Let `seconds` pass: beliefs move, makers requote, takers and passing orders arrive."""
        self._value.advance(seconds)
        self._feel_flow()
        middle_ticks = self._value.belief() / self._floor.instrument.tick
        for maker in (*self._makers, self._backstop):
            maker.withdraw(middle_ticks)
        self._expire_passing()
        for maker in self._makers:
            maker.quote()
        self._follow_trend(seconds)
        for _ in range(self._arrivals(min(seconds, LONGEST_BURST_SECONDS))):
            self._arrive()
        self._backstop.quote_behind()

    def _feel_flow(self) -> None:
        instrument, floor = self._floor.instrument, self._floor
        typical_orders = floor.signed_flow / (instrument.depth_lots * instrument.lot)
        half_spread = self._half_spread * instrument.tick / self._value.price()
        self._value.press(typical_orders * IMPACT_HALF_SPREADS * half_spread)
        floor.signed_flow = 0

    def _follow_trend(self, seconds: float) -> None:
        belief = self._value.belief()
        self._fast += (belief - self._fast) * (1.0 - math.exp(-seconds / FAST_SECONDS))
        self._slow += (belief - self._slow) * (1.0 - math.exp(-seconds / SLOW_SECONDS))

    def _arrivals(self, seconds: float) -> int:
        """A Poisson number (Knuth's method, fit for the small means here)."""
        threshold = math.exp(-ARRIVALS_PER_SECOND * self._floor.instrument.activity * seconds)
        count, product = 0, self._random.random()
        while product > threshold:
            count += 1
            product *= self._random.random()
        return count

    def _arrive(self) -> None:
        quote = self._floor.quote()
        if not quote.bid or not quote.ask:
            return
        kind = self._random.choices(KINDS, KIND_WEIGHTS)[0]
        if kind == "passive":
            self._rest_near(quote)
        else:
            self._take(quote, self._choose_side(kind, quote))

    def _choose_side(self, kind: str, quote: Quote) -> Side:
        if kind == "trend":
            return "buy" if self._fast > self._slow else "sell"
        if kind == "reversion":
            return "buy" if (quote.bid + quote.ask) / 2 < self._value.price() else "sell"
        return "buy" if self._random.random() < 0.5 else "sell"

    def _take(self, quote: Quote, side: Side) -> None:
        reach = 2 * self._half_spread * self._floor.instrument.tick
        belief = self._value.belief()
        if side == "buy":
            limit = min(quote.ask + reach, int(belief * (1.0 + TAKER_PRICE_LIMIT)))
        else:
            limit = max(quote.bid - reach, int(belief * (1.0 - TAKER_PRICE_LIMIT)))
        self._floor.place_agent(self._next_id(), side, self._size(), limit, rests=False)

    def _rest_near(self, quote: Quote) -> None:
        """Join or better the best price for a while, never trading on arrival."""
        if len(self._passing) >= PASSING_ORDERS_LIMIT:
            return
        tick = self._floor.instrument.tick
        steps = self._random.randint(-3, self._half_spread)
        side: Side = "buy" if self._random.random() < 0.5 else "sell"
        if side == "buy":
            price = min(quote.bid + steps * tick, quote.ask - tick)
        else:
            price = max(quote.ask - steps * tick, quote.bid + tick)
        if price <= 0:
            return
        order_id = self._next_id()
        self._floor.place_agent(order_id, side, self._size(), price, rests=True)
        lifetime_ns = int(self._random.expovariate(1.0 / PASSING_ORDER_SECONDS) * 1e9)
        heapq.heappush(self._passing, (self._floor.time_ns + lifetime_ns, order_id))

    def _expire_passing(self) -> None:
        while self._passing and self._passing[0][0] <= self._floor.time_ns:
            self._floor.book.cancel(heapq.heappop(self._passing)[1])

    def _size(self) -> int:
        instrument = self._floor.instrument
        mean = instrument.depth_lots * TAKER_SIZE_FRACTION
        lots = 1 + int(self._random.expovariate(1.0 / mean))
        return min(lots, 3 * instrument.depth_lots) * instrument.lot

    def _next_id(self) -> str:
        self._order_count += 1
        return f"~{self._order_count}"


def _half_spread_ticks(instrument: SimulatedInstrument) -> int:
    derived = round(instrument.start_price * HALF_SPREAD_FRACTION / instrument.tick)
    return instrument.half_spread_ticks or max(1, derived)


def _inner_shapes(half_spread: int, depth_lots: int) -> list[LadderShape]:
    wander = half_spread / 3
    return [
        LadderShape(offset=half_spread, levels=6, spacing=1, size_lots=depth_lots, belief_spread=wander),
        LadderShape(
            offset=half_spread + half_spread // 2,
            levels=6,
            spacing=max(1, half_spread // 2),
            size_lots=1.5 * depth_lots,
            belief_spread=wander,
        ),
    ]


def _backstop_shape(half_spread: int, depth_lots: int) -> LadderShape:
    return LadderShape(
        offset=3 * half_spread + 2,
        levels=14,
        spacing=half_spread,
        size_lots=4.0 * depth_lots,
        belief_spread=0.0,
    )
