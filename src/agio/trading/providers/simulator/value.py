"""What an instrument is worth in the eyes of its agents.

The only floats of the exchange: beliefs. Orders, trades and books are integers.
"""

import math
import random

SECONDS_A_YEAR = 365 * 86_400
REVERSION_HALF_LIFE_SECONDS = 6 * 3_600
PRESSURE_HALF_LIFE_SECONDS = 30.0
PRESSURE_LIMIT = 0.005
"""Order flow moves beliefs by half a percent at most, whatever users send."""
START_LIMIT = math.log(2.0)


class FundamentalValue:
    """An Ornstein-Uhlenbeck process in the logarithm of price around the anchor, sampled exactly.

    Exact sampling makes any step size valid: a day in one step has the right spread, and the value
    can neither reach zero nor run away.
    """

    __slots__ = ("_anchor", "_deviation", "_pressure", "_random", "_rate", "_sigma")

    def __init__(self, anchor: float, start: float, volatility: float, rng: random.Random) -> None:
        """A start further than a factor of two from the anchor is taken as that far."""
        self._anchor = anchor
        self._deviation = max(-START_LIMIT, min(START_LIMIT, math.log(start / anchor)))
        self._pressure = 0.0
        self._random = rng
        self._rate = math.log(2.0) / REVERSION_HALF_LIFE_SECONDS
        self._sigma = volatility / math.sqrt(SECONDS_A_YEAR)

    def advance(self, seconds: float) -> None:
        if seconds <= 0:
            return
        decay = math.exp(-self._rate * seconds)
        spread = self._sigma * math.sqrt((1.0 - decay * decay) / (2.0 * self._rate))
        self._deviation = self._deviation * decay + spread * self._random.gauss(0.0, 1.0)
        self._pressure *= 0.5 ** (seconds / PRESSURE_HALF_LIFE_SECONDS)

    def press(self, fraction: float) -> None:
        """Let order flow move the belief by a fraction of the price; it fades again."""
        self._pressure = max(-PRESSURE_LIMIT, min(PRESSURE_LIMIT, self._pressure + fraction))

    def price(self) -> float:
        """Fundamental value without the pressure of flow."""
        return self._anchor * math.exp(self._deviation)

    def belief(self) -> float:
        """Where market makers put the middle of their quotes."""
        return self._anchor * math.exp(self._deviation) * (1.0 + self._pressure)
