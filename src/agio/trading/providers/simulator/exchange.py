"""The simulated exchange: several instruments, each a book with users and a crowd of seeded agents."""

import random
from collections.abc import Mapping, Sequence

from agio.kernel.ids import OrderId
from agio.trading.matching import BookDepth
from agio.trading.ports import Canceled, Expired, Rejected, Report, WorkingOrder
from agio.trading.providers.register import OrderRegister
from agio.trading.providers.simulator.crowd import Crowd
from agio.trading.providers.simulator.floor import Floor
from agio.trading.providers.simulator.model import Quote, SimulatedInstrument, SimulatedMarket

NO_PRICES: Mapping[str, int] = {}


class SimulatedExchange:
    """A venue whose market is made by agents; the same seed and commands give the same events.

    Call `restore` first, then `step` once so that agents quote, then commands and steps in any order.
    Time is what `step` and `advance_to` say; a submit trades at the latest of them.
    """

    def __init__(
        self,
        instruments: Sequence[SimulatedInstrument],
        seed: int,
        *,
        name: str = "SIM",
        trade_prefix: str = "",
        last_prices: Mapping[str, int] = NO_PRICES,
    ) -> None:
        """`trade_prefix` must be new for every run: trade ids are the prefix and a count from 1.

        `last_prices`: by symbol, where the market continues (default: the instrument's start price).
        """
        self.name = name
        self._trade_prefix = trade_prefix
        self._trade_count = 0
        self._time_ns: int | None = None
        self._register = OrderRegister()
        self._floors: dict[str, Floor] = {}
        self._crowds: list[Crowd] = []
        for instrument in instruments:
            floor = Floor(instrument, self._register, self._next_trade_id)
            # One source of randomness per instrument: a command on one leaves the others' course alone.
            rng = random.Random(f"{seed}:{instrument.symbol}")  # noqa: S311 - a simulation must repeat
            start = last_prices.get(instrument.symbol, instrument.start_price)
            self._floors[instrument.symbol] = floor
            self._crowds.append(Crowd(floor, rng, start))

    def restore(self, orders: Sequence[WorkingOrder]) -> None:
        """Put users' resting orders back in order of acceptance, before any agent quotes.

        Orders that never rest (market, ioc) or that would trade are passed over: they cannot have been
        entered, so their submit is still to come.
        """
        for order in sorted(orders, key=lambda order: order.entered_no):
            floor = self._floors.get(order.symbol)
            if floor is not None and floor.restore_user(order):
                self._register.restore(order)

    def submit(self, order: WorkingOrder) -> list[Report]:
        """Enter the order. Reports may name other users' orders too: those it traded with."""
        repeat = self._register.answer_repeat(order.order_id)
        if repeat is not None:
            return repeat
        floor = self._floors.get(order.symbol)
        if floor is None:
            self._register.finish(order.order_id)
            return [Rejected(order_id=order.order_id, reason="unknown_symbol")]
        return floor.enter_user(order)

    def cancel(self, order_id: OrderId) -> list[Report]:
        order = self._register.get(order_id)
        if order is None:
            return self._register.answer_unknown(order_id)
        self._floors[order.symbol].cancel_user(order_id)
        return [Canceled(order_id=order_id, reason="requested")]

    def end_of_day(self, symbol: str) -> list[Report]:
        """Expire the symbol's `day` orders, oldest first."""
        ending = [
            order for order in self._register if order.symbol == symbol and order.time_in_force == "day"
        ]
        for order in ending:
            self._floors[symbol].cancel_user(order.order_id)
        return [Expired(order_id=order.order_id, reason="end_of_day") for order in ending]

    def advance_to(self, now_ns: int) -> None:
        """Set the time at which following commands trade; agents stay still. Never goes back."""
        for floor in self._floors.values():
            floor.time_ns = max(floor.time_ns, now_ns)

    def step(self, now_ns: int) -> SimulatedMarket:
        """Let the agents act up to `now_ns`, then return everything since the market was last taken."""
        previous_ns = now_ns if self._time_ns is None else self._time_ns
        self._time_ns = max(previous_ns, now_ns)
        self.advance_to(now_ns)
        seconds = (self._time_ns - previous_ns) / 1e9
        for crowd in self._crowds:
            crowd.act(seconds)
        return self.take_market()

    def take_market(self) -> SimulatedMarket:
        """What happened since the last call (or step): after a submit, the trades that it caused."""
        floors = self._floors.values()
        changes = [floor.take_book_change() for floor in floors]
        quotes = [floor.take_quote() for floor, change in zip(floors, changes, strict=True) if change]
        return SimulatedMarket(
            venue_time_ns=max((floor.time_ns for floor in floors), default=0),
            trades=[trade for floor in floors for trade in floor.take_trades()],
            books=[change for change in changes if change],
            quotes=[quote for quote in quotes if quote],
            reports=[report for floor in floors for report in floor.take_reports()],
        )

    def depth(self, symbol: str, levels: int) -> BookDepth:
        """The best `levels` levels of each side. Raises KeyError for a symbol not traded here."""
        return self._floors[symbol].book.depth(levels)

    def quote(self, symbol: str) -> Quote:
        """Raises KeyError for a symbol not traded here."""
        return self._floors[symbol].quote()

    def _next_trade_id(self) -> str:
        self._trade_count += 1
        return f"{self._trade_prefix}{self._trade_count}"
