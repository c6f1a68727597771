"""One instrument's order book with users' orders in it, and the record of what happened there."""

from collections.abc import Callable

from agio.kernel.ids import OrderId
from agio.trading.matching import Match, OrderBook, Placement
from agio.trading.ports import Canceled, Entered, Expired, Filled, Rejected, Report, Side, WorkingOrder
from agio.trading.providers.register import OrderRegister
from agio.trading.providers.simulator.model import BookChange, MarketTrade, Quote, SimulatedInstrument


class Floor:
    """Let users' and agents' orders meet, and keep trades, changes and reports until they are taken."""

    def __init__(
        self, instrument: SimulatedInstrument, register: OrderRegister, next_trade_id: Callable[[], str]
    ) -> None:
        self.instrument = instrument
        self.book = OrderBook()
        self.time_ns = 0
        self.signed_flow = 0
        """Bought minus sold by takers, users' and agents', since the crowd last looked."""
        self._register = register
        self._next_trade_id = next_trade_id
        self._trades: list[MarketTrade] = []
        self._reports: list[Report] = []
        self._quote = Quote(instrument.symbol, 0, 0, 0, 0)

    def restore_user(self, order: WorkingOrder) -> bool:
        """Put a resting order back without trading. One that cannot simply rest is left to its submit."""
        opposite = self.book.best_ask() if order.side == "buy" else self.book.best_bid()
        is_crossing = opposite is not None and (
            order.limit_price >= opposite if order.side == "buy" else order.limit_price <= opposite
        )
        if order.type == "market" or order.time_in_force == "ioc" or is_crossing:
            return False
        self.book.place(
            order.order_id, order.side, order.leaves_quantity, order.limit_price, owner=order.account_id
        )
        return True

    def enter_user(self, order: WorkingOrder) -> list[Report]:
        """Match a new order; resting orders of other users that it meets are reported too."""
        fault = self._fault(order)
        if fault:
            self._register.finish(order.order_id)
            return [Rejected(order_id=order.order_id, reason=fault)]
        self._register.add(order)
        placement = self.book.place(
            order.order_id,
            order.side,
            order.leaves_quantity,
            order.limit_price,
            rests=order.type == "limit" and order.time_in_force != "ioc",
            owner=order.account_id,
        )
        reports: list[Report] = [Entered(order_id=order.order_id), *self._record(placement.matches)]
        if placement.is_self_trade:
            reports.append(Expired(order_id=order.order_id, reason="self_trade"))
        elif placement.dropped:
            reports.append(Canceled(order_id=order.order_id, reason=self._drop_reason(order)))
        if not placement.rested:
            self._register.finish(order.order_id)
        return reports

    def cancel_user(self, order_id: OrderId) -> None:
        self.book.cancel(order_id)
        self._register.finish(order_id)

    def place_agent(self, order_id: str, side: Side, quantity: int, limit: int, rests: bool) -> Placement:
        placement = self.book.place(order_id, side, quantity, limit, rests=rests)
        if placement.matches:
            self._reports += self._record(placement.matches)
        return placement

    def take_trades(self) -> list[MarketTrade]:
        trades, self._trades = self._trades, []
        return trades

    def take_reports(self) -> list[Report]:
        reports, self._reports = self._reports, []
        return reports

    def take_book_change(self) -> BookChange | None:
        changes = self.book.take_changes()
        if not changes.bids and not changes.asks:
            return None
        return BookChange(self.instrument.symbol, changes.bids, changes.asks)

    def take_quote(self) -> Quote | None:
        """The best bid and offer if they differ from those last taken."""
        quote = self.quote()
        if quote == self._quote:
            return None
        self._quote = quote
        return quote

    def quote(self) -> Quote:
        top = self.book.depth(1)
        bid, bid_size = top.bids[0] if top.bids else (0, 0)
        ask, ask_size = top.asks[0] if top.asks else (0, 0)
        return Quote(self.instrument.symbol, bid, bid_size, ask, ask_size)

    def _fault(self, order: WorkingOrder) -> str:
        if order.leaves_quantity < 1 or order.limit_price < 1:
            return "not_positive"
        if order.leaves_quantity % self.instrument.lot:
            return "quantity_off_lot"
        if order.type == "limit" and order.limit_price % self.instrument.tick:
            return "price_off_tick"
        return ""

    def _drop_reason(self, order: WorkingOrder) -> str:
        if order.type == "limit":
            return "ioc_remainder"
        opposite: Side = "sell" if order.side == "buy" else "buy"
        return "protection_price" if self.book.level_count(opposite) else "no_liquidity"

    def _record(self, matches: list[Match]) -> list[Report]:
        """Note the trades; report users' sides of them, the maker's first."""
        reports: list[Report] = []
        for match in matches:
            trade_id = self._next_trade_id()
            maker, taker = self._register.get(match.maker_id), self._register.get(match.taker_id)
            self._trades.append(
                MarketTrade(
                    symbol=self.instrument.symbol,
                    price=match.price,
                    size=match.quantity,
                    aggressor=match.taker_side,
                    trade_id=trade_id,
                    venue_time_ns=self.time_ns,
                    maker_order_id=maker.order_id if maker else None,
                    taker_order_id=taker.order_id if taker else None,
                )
            )
            self.signed_flow += match.quantity if match.taker_side == "buy" else -match.quantity
            if maker:
                reports.append(self._maker_fill(maker, match, trade_id))
            if taker:
                reports.append(
                    Filled(taker.order_id, match.quantity, match.price, "taker", self.time_ns, trade_id)
                )
        return reports

    def _maker_fill(self, maker: WorkingOrder, match: Match, trade_id: str) -> Filled:
        self._register.note_fill(maker.order_id)
        if maker.order_id not in self.book:
            self._register.finish(maker.order_id)
        return Filled(maker.order_id, match.quantity, match.price, "maker", self.time_ns, trade_id)
