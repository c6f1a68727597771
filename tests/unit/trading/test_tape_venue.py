from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agio.kernel.ids import AccountId, OrderId
from agio.trading.ports import (
    Canceled,
    Entered,
    Expired,
    Filled,
    OrderType,
    Rejected,
    Report,
    Side,
    TimeInForce,
    WorkingOrder,
)
from agio.trading.providers.tape import TapeTrade, TapeVenue


def working_order(
    number: int,
    side: Side = "buy",
    quantity: int = 10,
    limit: int = 100,
    type: OrderType = "limit",  # noqa: A002 - the field's name
    time_in_force: TimeInForce = "day",
    symbol: str = "ES",
) -> WorkingOrder:
    return WorkingOrder(
        order_id=OrderId(f"ord_{number}"),
        account_id=AccountId("acc_a"),
        symbol=symbol,
        side=side,
        type=type,
        time_in_force=time_in_force,
        leaves_quantity=quantity,
        limit_price=limit,
        entered_no=number,
    )


def prints(*trades: tuple[int, int]) -> list[TapeTrade]:
    return [TapeTrade(1_000 + index, price, size) for index, (price, size) in enumerate(trades)]


def fills(reports: list[Report]) -> list[tuple[str, int, int, int | None]]:
    return [(r.order_id, r.quantity, r.price, r.trade_seq) for r in reports if isinstance(r, Filled)]


@dataclass
class NaiveVenue:
    """The rules spelled out over one list of open orders in order of arrival."""

    lot: int = 1
    seq: int = 0
    open: list[WorkingOrder] = field(default_factory=list)
    leaves: dict[str, int] = field(default_factory=dict)

    def submit(self, order: WorkingOrder) -> None:
        self.open.append(order)
        self.leaves[order.order_id] = order.leaves_quantity

    def trade(self, price: int, size: int) -> list[tuple[Any, ...]]:
        self.seq += 1
        left = size // self.lot * self.lot
        events: list[tuple[Any, ...]] = []
        for order in self.open:
            is_reached = price <= order.limit_price if order.side == "buy" else price >= order.limit_price
            quantity = min(left, self.leaves[order.order_id]) if is_reached else 0
            if quantity:
                left -= quantity
                self.leaves[order.order_id] -= quantity
                events.append(("fill", order.order_id, quantity, price, self.seq))
        for order in self.open:
            is_passed = price > order.limit_price if order.side == "buy" else price < order.limit_price
            if not self.leaves[order.order_id]:
                continue
            if order.time_in_force == "ioc":
                events.append(("cancel", order.order_id, "ioc_remainder"))
                self.leaves[order.order_id] = 0
            elif order.type == "market" and is_passed:
                events.append(("cancel", order.order_id, "protection_price"))
                self.leaves[order.order_id] = 0
        self.open = [order for order in self.open if self.leaves[order.order_id]]
        return events


def as_events(reports: list[Report]) -> list[tuple[Any, ...]]:
    events: list[tuple[Any, ...]] = []
    for report in reports:
        match report:
            case Filled():
                assert report.trade_id == str(report.trade_seq)
                events.append(("fill", report.order_id, report.quantity, report.price, report.trade_seq))
            case Canceled():
                events.append(("cancel", report.order_id, report.reason))
    return events


SUBMIT = st.tuples(
    st.just("submit"),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 15),
    st.integers(98, 102),
    st.sampled_from(
        [("limit", "day"), ("limit", "gtc"), ("limit", "ioc"), ("market", "day"), ("market", "ioc")]
    ),
)
TAPE = st.tuples(
    st.just("tape"), st.lists(st.tuples(st.integers(97, 103), st.integers(1, 30)), min_size=1, max_size=6)
)
CANCEL = st.tuples(st.just("cancel"), st.integers(0, 30))
JOURNEY = st.lists(st.one_of(SUBMIT, SUBMIT, TAPE, CANCEL), max_size=50)


class TestAgainstNaiveVenue:
    @given(JOURNEY, st.sampled_from([1, 1, 5]))
    @settings(max_examples=400, deadline=None)
    def test_same_fills_and_endings(self, journey: list[tuple[Any, ...]], lot: int) -> None:
        venue, naive = TapeVenue(lots={"ES": lot}), NaiveVenue(lot)
        for number, action in enumerate(journey):
            match action:
                case ("submit", side, quantity, limit, (kind, time_in_force)):
                    order = working_order(number, side, quantity * lot, limit, kind, time_in_force)
                    assert venue.submit(order) == [Entered(order.order_id)]
                    naive.submit(order)
                case ("cancel", target):
                    order_id = OrderId(f"ord_{target}")
                    was_open = any(order.order_id == order_id for order in naive.open)
                    if was_open:
                        assert venue.cancel(order_id) == [Canceled(order_id, "requested")]
                        naive.open = [order for order in naive.open if order.order_id != order_id]
                case ("tape", trades):
                    first_seq = naive.seq + 1
                    expected = [event for price, size in trades for event in naive.trade(price, size)]
                    reports = venue.on_trades("ES", first_seq, prints(*trades))
                    # Fills come in time order; which of two endings on one trade is told first is open.
                    assert sorted(as_events(reports)) == sorted(expected)
                    assert [e for e in as_events(reports) if e[0] == "fill"] == [
                        e for e in expected if e[0] == "fill"
                    ]

    @given(JOURNEY)
    @settings(max_examples=200, deadline=None)
    def test_never_worse_than_limit_never_more_than_traded_never_before_acceptance(
        self, journey: list[tuple[Any, ...]]
    ) -> None:
        venue, seq = TapeVenue(), 0
        orders: dict[str, WorkingOrder] = {}
        accepted_after: dict[str, int] = {}
        filled: dict[str, int] = {}
        for number, action in enumerate(journey):
            match action:
                case ("submit", side, quantity, limit, (kind, time_in_force)):
                    order = working_order(number, side, quantity, limit, kind, time_in_force)
                    orders[order.order_id], accepted_after[order.order_id] = order, seq
                    venue.submit(order)
                case ("tape", trades):
                    used: dict[int, int] = {}
                    for fill in venue.on_trades("ES", seq + 1, prints(*trades)):
                        if not isinstance(fill, Filled) or fill.trade_seq is None:
                            continue
                        order = orders[fill.order_id]
                        price, _ = trades[fill.trade_seq - seq - 1]
                        assert fill.price == price
                        assert (
                            (price <= order.limit_price)
                            if order.side == "buy"
                            else (price >= order.limit_price)
                        )
                        assert fill.trade_seq > accepted_after[fill.order_id]
                        used[fill.trade_seq] = used.get(fill.trade_seq, 0) + fill.quantity
                        filled[fill.order_id] = filled.get(fill.order_id, 0) + fill.quantity
                    assert all(total <= trades[at - seq - 1][1] for at, total in used.items())
                    seq += len(trades)
        assert all(filled[order_id] <= orders[order_id].leaves_quantity for order_id in filled)

    @given(JOURNEY, st.integers(1, 10))
    @settings(max_examples=150, deadline=None)
    def test_a_restart_between_any_two_actions_changes_no_fill(
        self, journey: list[tuple[Any, ...]], at: int
    ) -> None:
        """Open orders and positions are all that a venue needs to go on."""
        steady, restarted = TapeVenue(), TapeVenue()
        steady_log: list[Report] = []
        restarted_log: list[Report] = []
        orders: dict[OrderId, WorkingOrder] = {}
        seq = 0
        for number, action in enumerate(journey):
            if number == at:
                restarted = TapeVenue(positions={"ES": seq})
                restarted.restore(list(reversed(still_open(orders, restarted_log))))
            match action:
                case ("submit", side, quantity, limit, (kind, time_in_force)):
                    order = working_order(number, side, quantity, limit, kind, time_in_force)
                    orders[order.order_id] = order
                    steady_log += steady.submit(order)
                    restarted_log += restarted.submit(order)
                case ("tape", trades):
                    steady_log += steady.on_trades("ES", seq + 1, prints(*trades))
                    restarted_log += restarted.on_trades("ES", seq + 1, prints(*trades))
                    seq += len(trades)
        assert steady_log == restarted_log


def still_open(orders: dict[OrderId, WorkingOrder], log: list[Report]) -> list[WorkingOrder]:
    left = {order_id: order.leaves_quantity for order_id, order in orders.items()}
    for report in log:
        if isinstance(report, Filled):
            left[report.order_id] -= report.quantity
        elif isinstance(report, Canceled):
            left[report.order_id] = 0
    return [rebuilt(order, left[order_id]) for order_id, order in orders.items() if left[order_id]]


def rebuilt(order: WorkingOrder, leaves: int) -> WorkingOrder:
    return working_order(
        order.entered_no, order.side, leaves, order.limit_price, order.type, order.time_in_force
    )


class TestMarket:
    def test_fills_from_the_next_trades_until_done(self) -> None:
        venue = TapeVenue()
        venue.on_trades("ES", 1, prints((99, 50)))
        venue.submit(working_order(1, quantity=10, limit=105, type="market"))
        reports = venue.on_trades("ES", 2, prints((100, 4), (101, 5), (100, 9)))
        assert fills(reports) == [("ord_1", 4, 100, 2), ("ord_1", 5, 101, 3), ("ord_1", 1, 100, 4)]
        assert venue.on_trades("ES", 5, prints((100, 9))) == []

    def test_the_first_trade_past_its_protection_price_cancels_the_rest(self) -> None:
        venue = TapeVenue()
        venue.submit(working_order(1, quantity=10, limit=105, type="market"))
        reports = venue.on_trades("ES", 1, prints((105, 4), (106, 5), (100, 9)))
        assert fills(reports) == [("ord_1", 4, 105, 1)]
        assert reports[-1] == Canceled(OrderId("ord_1"), "protection_price")


class TestLimit:
    def test_fills_at_the_tape_price_when_it_is_better(self) -> None:
        venue = TapeVenue()
        venue.submit(working_order(1, "sell", 10, 100))
        reports = venue.on_trades("ES", 1, prints((99, 5), (103, 4)))
        assert fills(reports) == [("ord_1", 4, 103, 2)]
        assert isinstance(reports[0], Filled)
        assert (reports[0].liquidity, reports[0].venue_time_ns) == ("maker", 1_001)

    def test_one_trade_is_shared_by_buys_and_sells_in_order_of_arrival(self) -> None:
        venue = TapeVenue()
        venue.submit(working_order(1, "buy", 3, 100))
        venue.submit(working_order(2, "sell", 3, 100))
        venue.submit(working_order(3, "buy", 3, 105))
        assert fills(venue.on_trades("ES", 1, prints((100, 7)))) == [
            ("ord_1", 3, 100, 1),
            ("ord_2", 3, 100, 1),
            ("ord_3", 1, 100, 1),
        ]

    def test_arrival_counts_across_price_levels(self) -> None:
        venue = TapeVenue()
        for number, limit in enumerate((105, 103, 105, 103, 104), start=1):
            venue.submit(working_order(number, "buy", 2, limit))
        reports = venue.on_trades("ES", 1, prints((100, 9)))
        assert [f[:2] for f in fills(reports)] == [
            ("ord_1", 2),
            ("ord_2", 2),
            ("ord_3", 2),
            ("ord_4", 2),
            ("ord_5", 1),
        ]

    def test_only_whole_lots_are_filled(self) -> None:
        venue = TapeVenue()
        venue.list_symbol("ES", 5)
        venue.submit(working_order(1, "buy", 20, 100))
        assert fills(venue.on_trades("ES", 1, prints((100, 4), (100, 14)))) == [("ord_1", 10, 100, 2)]


class TestIoc:
    def test_takes_its_share_of_the_next_trade_and_cancels_the_rest(self) -> None:
        venue = TapeVenue()
        venue.submit(working_order(1, "buy", 10, 100, time_in_force="ioc"))
        reports = venue.on_trades("ES", 1, prints((99, 4), (99, 50)))
        assert fills(reports) == [("ord_1", 4, 99, 1)]
        assert reports[-1] == Canceled(OrderId("ord_1"), "ioc_remainder")

    def test_is_canceled_when_the_next_trade_is_out_of_reach(self) -> None:
        venue = TapeVenue()
        venue.submit(working_order(1, "buy", 10, 100, time_in_force="ioc"))
        reports = venue.on_trades("ES", 1, prints((101, 4), (99, 50)))
        assert reports == [Canceled(OrderId("ord_1"), "ioc_remainder")]


class TestCommandsAgain:
    def test_a_repeated_submit_says_nothing_and_queues_nothing(self) -> None:
        venue = TapeVenue()
        order = working_order(1, quantity=10)
        assert venue.submit(order) == [Entered(order.order_id)]
        assert venue.submit(order) == []
        assert len(fills(venue.on_trades("ES", 1, prints((100, 50))))) == 1
        assert venue.submit(order) == []
        assert venue.on_trades("ES", 2, prints((100, 50))) == []

    def test_a_repeated_cancel_says_nothing(self) -> None:
        venue = TapeVenue()
        order = working_order(1)
        venue.submit(order)
        assert venue.cancel(order.order_id) == [Canceled(order.order_id, "requested")]
        assert venue.cancel(order.order_id) == []

    def test_a_cancel_of_an_order_never_seen_is_answered_and_voids_a_later_submit(self) -> None:
        venue = TapeVenue()
        order = working_order(1)
        assert venue.cancel(order.order_id) == [Canceled(order.order_id, "unknown_order")]
        assert venue.cancel(order.order_id) == []
        assert venue.submit(order) == []

    def test_a_cancel_after_the_fill_says_nothing(self) -> None:
        venue = TapeVenue()
        order = working_order(1, quantity=5)
        venue.submit(order)
        venue.on_trades("ES", 1, prints((100, 50)))
        assert venue.cancel(order.order_id) == []

    def test_a_restored_order_that_is_submitted_yet_is_entered_once(self) -> None:
        venue = TapeVenue()
        order = working_order(1)
        venue.restore([order])
        assert venue.submit(order) == [Entered(order.order_id)]
        assert venue.submit(order) == []

    def test_restored_orders_keep_their_order_of_acceptance(self) -> None:
        venue = TapeVenue()
        venue.restore([working_order(2), working_order(1)])
        assert fills(venue.on_trades("ES", 1, prints((100, 12)))) == [
            ("ord_1", 10, 100, 1),
            ("ord_2", 2, 100, 1),
        ]

    def test_a_batch_handed_over_twice_fills_once(self) -> None:
        venue = TapeVenue()
        venue.submit(working_order(1, quantity=10))
        venue.on_trades("ES", 1, prints((100, 2), (100, 3)))
        assert venue.on_trades("ES", 1, prints((100, 2), (100, 3))) == []
        assert fills(venue.on_trades("ES", 2, prints((100, 3), (100, 1)))) == [("ord_1", 1, 100, 3)]
        assert venue.position("ES") == 3

    def test_nonsense_is_rejected(self) -> None:
        order = working_order(1, quantity=0)
        assert TapeVenue().submit(order) == [Rejected(order.order_id, "not_positive")]


class TestEndOfDay:
    def test_day_orders_of_the_symbol_expire_and_others_stay(self) -> None:
        venue = TapeVenue()
        venue.submit(working_order(1))
        venue.submit(working_order(2, time_in_force="gtc"))
        venue.submit(working_order(3, symbol="NQ"))
        assert venue.end_of_day("ES") == [Expired(OrderId("ord_1"), "end_of_day")]
        assert venue.end_of_day("ES") == []
        assert [f[0] for f in fills(venue.on_trades("ES", 1, prints((100, 50))))] == ["ord_2"]
        assert [f[0] for f in fills(venue.on_trades("NQ", 1, prints((100, 50))))] == ["ord_3"]
