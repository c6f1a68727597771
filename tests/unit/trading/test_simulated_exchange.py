import hashlib
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agio.kernel.ids import AccountId, OrderId
from agio.trading.matching import BookDepth
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
from agio.trading.providers.simulator import SimulatedExchange, SimulatedInstrument, SimulatedMarket

ACME = SimulatedInstrument(symbol="ACME-USD", tick=1, lot=1, start_price=15_000)
BTC = SimulatedInstrument(symbol="BTC-USD", tick=100, lot=1_000_000, start_price=6_000_000, volatility=0.5)
EUR = SimulatedInstrument(symbol="EUR-USD", tick=1, lot=10_000, start_price=10_850, volatility=0.08)
START_NS = 1_790_000_000_000_000_000
STEP_NS = 100_000_000


def quiet(instrument: SimulatedInstrument = ACME) -> SimulatedInstrument:
    """Makers only, and a value that stands still."""
    return msgspec.structs.replace(instrument, activity=0.0, volatility=0.0)


def working_order(
    number: int,
    side: Side = "buy",
    quantity: int = 10,
    limit: int = 15_000,
    type: OrderType = "limit",  # noqa: A002 - the field's name
    time_in_force: TimeInForce = "gtc",
    account: str = "acc_a",
    symbol: str = "ACME-USD",
) -> WorkingOrder:
    return WorkingOrder(
        order_id=OrderId(f"ord_{number}"),
        account_id=AccountId(account),
        symbol=symbol,
        side=side,
        type=type,
        time_in_force=time_in_force,
        leaves_quantity=quantity,
        limit_price=limit,
        entered_no=number,
    )


def opened(*instruments: SimulatedInstrument, seed: int = 7, prefix: str = "t") -> SimulatedExchange:
    exchange = SimulatedExchange(instruments or (ACME,), seed, trade_prefix=prefix)
    exchange.step(START_NS)
    return exchange


def run(
    exchange: SimulatedExchange, steps: int, start: int = 1, step_ns: int = STEP_NS
) -> list[SimulatedMarket]:
    return [exchange.step(START_NS + number * step_ns) for number in range(start, start + steps)]


def filled(reports: list[Report], order_id: str) -> int:
    return sum(r.quantity for r in reports if isinstance(r, Filled) and r.order_id == order_id)


def is_crossed(depth: BookDepth) -> bool:
    return bool(depth.bids and depth.asks) and depth.bids[0][0] >= depth.asks[0][0]


def event_hash(seed: int, command_seed: int) -> str:
    """A minute of market with users who submit and cancel, as one hash of everything told."""
    exchange, rng = opened(ACME, BTC, seed=seed), random.Random(command_seed)
    digest = hashlib.sha256()
    for number in range(1, 601):
        events: list[object] = [exchange.step(START_NS + number * STEP_NS)]
        if number % 5 == 0:
            side: Side = "buy" if rng.random() < 0.5 else "sell"
            limit = 15_000 + rng.randint(-20, 20)
            events.append(exchange.submit(working_order(number, side, rng.randint(1, 200), limit)))
        if number % 25 == 0:
            events.append(exchange.cancel(OrderId(f"ord_{number - 20}")))
        digest.update(msgspec.msgpack.encode(events))
    return digest.hexdigest()


class TestDeterminism:
    def test_same_seed_and_commands_give_the_same_events(self) -> None:
        assert event_hash(7, 1) == event_hash(7, 1)

    def test_another_seed_or_other_commands_give_other_events(self) -> None:
        assert len({event_hash(7, 1), event_hash(8, 1), event_hash(7, 2)}) == 3

    def test_a_command_on_one_instrument_leaves_the_others_alone(self) -> None:
        left, right = opened(ACME, EUR), opened(ACME, EUR)
        right.submit(working_order(1, "buy", 5_000, 16_000))
        left_trades = [(t.price, t.size) for m in run(left, 300) for t in m.trades if t.symbol == "EUR-USD"]
        right_trades = [(t.price, t.size) for m in run(right, 300) for t in m.trades if t.symbol == "EUR-USD"]
        assert left_trades == right_trades != []


class TestMarketQuality:
    def test_two_minutes_show_a_live_and_deep_market(self) -> None:
        exchange = opened(ACME, BTC, EUR)
        counts = dict.fromkeys(("ACME-USD", "BTC-USD", "EUR-USD"), 0)
        for market in run(exchange, 1_200):
            for trade in market.trades:
                counts[trade.symbol] += 1
            for symbol in counts:
                depth = exchange.depth(symbol, 100)
                assert min(len(depth.bids), len(depth.asks)) >= 10
                assert not is_crossed(depth)
        assert all(5 <= count / 120 <= 10 for count in counts.values()), counts

    def test_a_virtual_day_in_coarse_steps_stays_deep_and_near_its_value(self) -> None:
        exchange = opened(ACME, BTC, EUR)
        for number in range(1, 1_441):
            exchange.step(START_NS + number * 60_000_000_000)
            for instrument in (ACME, BTC, EUR):
                depth = exchange.depth(instrument.symbol, 100)
                assert min(len(depth.bids), len(depth.asks)) >= 10
                assert not is_crossed(depth)
                middle = (depth.bids[0][0] + depth.asks[0][0]) / 2
                assert 0.8 < middle / instrument.start_price < 1.25
                assert (depth.asks[0][0] - depth.bids[0][0]) / middle < 0.005

    def test_a_sweep_of_the_whole_book_is_refilled_in_the_next_step(self) -> None:
        exchange = opened()
        reports = exchange.submit(working_order(1, "buy", 1_000_000, 20_000, "market"))
        assert isinstance(reports[-1], Canceled)
        assert exchange.depth("ACME-USD", 1).asks == []
        run(exchange, 1)
        assert len(exchange.depth("ACME-USD", 100).asks) >= 10

    def test_pressure_of_users_fades(self) -> None:
        exchange = opened(quiet())
        for number in range(1, 40):
            exchange.submit(working_order(number, "buy", 500, 16_000, time_in_force="ioc"))
            exchange.step(START_NS + number * STEP_NS)
        pushed = exchange.quote("ACME-USD").bid
        run(exchange, 60, start=40, step_ns=10_000_000_000)
        assert 15_000 < pushed <= 15_000 * 1.006
        assert abs(exchange.quote("ACME-USD").bid - 15_000) <= 5


class TestPublishedBook:
    def test_a_follower_of_changes_and_quotes_holds_the_exchanges_book(self) -> None:
        exchange = SimulatedExchange([ACME], 3)
        bids: dict[int, int] = {}
        asks: dict[int, int] = {}
        quote = None
        for number in range(300):
            market = exchange.step(START_NS + number * STEP_NS)
            for change in market.books:
                bids.update(change.bids)
                asks.update(change.asks)
            quote = market.quotes[-1] if market.quotes else quote
            depth = exchange.depth("ACME-USD", 200)
            assert {p: s for p, s in bids.items() if s} == dict(depth.bids)
            assert {p: s for p, s in asks.items() if s} == dict(depth.asks)
            assert quote == exchange.quote("ACME-USD")


class TestUsersOrders:
    def test_a_market_order_fills_against_agents_and_prints_on_the_market(self) -> None:
        exchange = opened()
        exchange.advance_to(START_NS + 5)
        reports = exchange.submit(working_order(1, "buy", 20, 15_750, "market"))
        trades = exchange.take_market().trades
        assert reports[0] == Entered(OrderId("ord_1"))
        assert filled(reports, "ord_1") == 20 == sum(t.size for t in trades)
        assert {r.trade_id for r in reports if isinstance(r, Filled)} == {t.trade_id for t in trades}
        assert all(t.taker_order_id == "ord_1" and t.aggressor == "buy" for t in trades)
        assert all(t.venue_time_ns == START_NS + 5 for t in trades)

    def test_a_resting_order_is_filled_by_agents(self) -> None:
        exchange = opened()
        quote = exchange.quote("ACME-USD")
        price = quote.bid + 1 if quote.ask - quote.bid > 1 else quote.bid
        assert exchange.submit(working_order(1, "buy", 30, price)) == [Entered(OrderId("ord_1"))]
        markets = run(exchange, 600)
        reports = [report for market in markets for report in market.reports]
        assert filled(reports, "ord_1") == 30
        assert all(r.liquidity == "maker" and r.price == price for r in reports if isinstance(r, Filled))
        own = [t for market in markets for t in market.trades if t.maker_order_id == "ord_1"]
        assert sum(t.size for t in own) == 30

    def test_two_users_trade_with_each_other_and_both_are_reported(self) -> None:
        exchange = SimulatedExchange([ACME], 1, trade_prefix="t")
        exchange.submit(working_order(1, "sell", 10, 15_000, account="acc_a"))
        reports = exchange.submit(working_order(2, "buy", 4, 15_001, account="acc_b"))
        assert reports == [
            Entered(OrderId("ord_2")),
            Filled(OrderId("ord_1"), 4, 15_000, "maker", 0, "t1"),
            Filled(OrderId("ord_2"), 4, 15_000, "taker", 0, "t1"),
        ]

    def test_orders_of_one_account_never_trade(self) -> None:
        exchange = SimulatedExchange([ACME], 1)
        exchange.submit(working_order(1, "sell", 10, 15_000))
        assert exchange.submit(working_order(2, "buy", 4, 15_001)) == [
            Entered(OrderId("ord_2")),
            Expired(OrderId("ord_2"), "self_trade"),
        ]
        assert exchange.cancel(OrderId("ord_1")) == [Canceled(OrderId("ord_1"), "requested")]

    @pytest.mark.parametrize(
        ("order", "reason"),
        [
            (working_order(1, "buy", 5, 14_000, time_in_force="ioc"), "ioc_remainder"),
            (working_order(1, "buy", 5, 14_000, "market"), "protection_price"),
        ],
    )
    def test_what_cannot_trade_at_once_is_canceled(self, order: WorkingOrder, reason: str) -> None:
        assert opened().submit(order) == [Entered(order.order_id), Canceled(order.order_id, reason)]

    def test_a_market_order_in_an_empty_book_is_canceled(self) -> None:
        order = working_order(1, type="market")
        reports = SimulatedExchange([ACME], 1).submit(order)
        assert reports[-1] == Canceled(order.order_id, "no_liquidity")

    @pytest.mark.parametrize(
        ("order", "reason"),
        [
            (working_order(1, symbol="NOPE"), "unknown_symbol"),
            (working_order(1, quantity=0), "not_positive"),
            (working_order(1, quantity=1_500_000, limit=6_000_000, symbol="BTC-USD"), "quantity_off_lot"),
            (working_order(1, quantity=1_000_000, limit=6_000_050, symbol="BTC-USD"), "price_off_tick"),
        ],
    )
    def test_an_order_that_does_not_fit_is_rejected_once(self, order: WorkingOrder, reason: str) -> None:
        exchange = opened(ACME, BTC)
        assert exchange.submit(order) == [Rejected(order.order_id, reason)]
        assert exchange.submit(order) == []

    def test_commands_again_say_nothing_again(self) -> None:
        exchange = opened()
        order = working_order(1, "buy", 10, 14_000)
        assert exchange.submit(order) == [Entered(order.order_id)]
        assert exchange.submit(order) == []
        assert exchange.cancel(order.order_id) == [Canceled(order.order_id, "requested")]
        assert exchange.cancel(order.order_id) == []
        assert exchange.submit(order) == []

    def test_day_orders_expire_at_the_end_of_their_symbols_day(self) -> None:
        exchange = opened(ACME, EUR)
        exchange.submit(working_order(1, limit=14_000, time_in_force="day"))
        exchange.submit(working_order(2, limit=14_000, time_in_force="gtc"))
        exchange.submit(working_order(3, quantity=10_000, limit=9_000, time_in_force="day", symbol="EUR-USD"))
        assert exchange.end_of_day("ACME-USD") == [Expired(OrderId("ord_1"), "end_of_day")]
        assert exchange.end_of_day("ACME-USD") == []
        assert exchange.end_of_day("EUR-USD") == [Expired(OrderId("ord_3"), "end_of_day")]


class TestRestore:
    def test_users_orders_come_first_in_order_of_acceptance(self) -> None:
        exchange = SimulatedExchange([quiet()], 1)
        later, earlier = working_order(2, "buy", 5, 14_999), working_order(1, "buy", 5, 14_999)
        exchange.restore([later, earlier])
        exchange.step(START_NS)
        reports = exchange.submit(working_order(3, "sell", 7, 14_999, account="acc_b"))
        assert [
            (r.order_id, r.quantity) for r in reports if isinstance(r, Filled) and r.liquidity == "maker"
        ] == [
            ("ord_1", 5),
            ("ord_2", 2),
        ]

    def test_agents_trade_with_a_restored_order_that_is_better_than_they_are(self) -> None:
        exchange = SimulatedExchange([ACME], 1)
        exchange.restore([working_order(1, "buy", 5, 15_100)])
        reports = exchange.step(START_NS).reports
        assert filled(reports, "ord_1") == 5

    def test_orders_never_entered_wait_for_their_submit(self) -> None:
        exchange = SimulatedExchange([ACME], 1)
        resting = working_order(1, "sell", 5, 15_000)
        crossing = working_order(2, "buy", 5, 15_000, account="acc_b")
        market = working_order(3, "buy", 5, 15_900, "market")
        exchange.restore([market, crossing, resting])
        assert exchange.submit(resting) == [Entered(resting.order_id)]
        assert filled(exchange.submit(crossing), "ord_1") == 5
        exchange.step(START_NS)
        assert filled(exchange.submit(market), "ord_3") == 5

    def test_the_market_continues_from_the_last_price_under_new_trade_ids(self) -> None:
        first = SimulatedExchange([ACME], 1, trade_prefix="a-")
        second = SimulatedExchange([ACME], 1, trade_prefix="b-", last_prices={"ACME-USD": 15_600})
        first_ids = {t.trade_id for m in run(first, 100) for t in m.trades}
        markets = run(second, 100)
        assert abs(markets[0].quotes[0].bid - 15_600) < 20
        assert first_ids.isdisjoint({t.trade_id for m in markets for t in m.trades})


USER_ACTION = st.one_of(
    st.tuples(
        st.just("submit"),
        st.sampled_from(["buy", "sell"]),
        st.integers(1, 400),
        st.integers(14_950, 15_050),
        st.sampled_from([("limit", "gtc"), ("limit", "day"), ("limit", "ioc"), ("market", "day")]),
        st.sampled_from(["acc_a", "acc_b"]),
    ),
    st.tuples(st.just("cancel"), st.integers(0, 40)),
    st.tuples(st.just("step"), st.integers(1, 2_000)),
)


class TestInvariants:
    @given(st.lists(USER_ACTION, max_size=40), st.integers(0, 3))
    @settings(max_examples=60, deadline=None)
    def test_users_fills_are_exact_and_orders_end_once(
        self, actions: list[tuple[Any, ...]], seed: int
    ) -> None:
        exchange = opened(seed=seed)
        orders: dict[str, WorkingOrder] = {}
        log: list[Report] = []
        trades = []
        now_ns = START_NS
        for number, action in enumerate(actions):
            match action:
                case ("submit", side, quantity, limit, (kind, time_in_force), account):
                    order = working_order(number, side, quantity, limit, kind, time_in_force, account)
                    orders[order.order_id] = order
                    log += exchange.submit(order)
                case ("cancel", target) if f"ord_{target}" in orders:
                    log += exchange.cancel(OrderId(f"ord_{target}"))
                case ("step", milliseconds):
                    now_ns += milliseconds * 1_000_000
                    market = exchange.step(now_ns)
                    log += market.reports
                    trades += market.trades
            assert not is_crossed(exchange.depth("ACME-USD", 1))
        trades += exchange.take_market().trades
        check_log(orders, log)
        on_market = sum(
            t.size * ((t.maker_order_id is not None) + (t.taker_order_id is not None)) for t in trades
        )
        assert on_market == sum(r.quantity for r in log if isinstance(r, Filled))
        assert len({t.trade_id for t in trades}) == len(trades)


def check_log(orders: dict[str, WorkingOrder], log: list[Report]) -> None:
    """Every order is entered first, never over-filled or worse than its limit, and silent after its end."""
    left: dict[str, int] = {}
    ended: set[str] = set()
    for report in log:
        order = orders[report.order_id]
        assert report.order_id not in ended
        if isinstance(report, Entered):
            assert report.order_id not in left
            left[report.order_id] = order.leaves_quantity
            continue
        assert report.order_id in left
        if isinstance(report, Filled):
            left[report.order_id] -= report.quantity
            assert report.quantity > 0
            assert left[report.order_id] >= 0
            assert (
                report.price <= order.limit_price
                if order.side == "buy"
                else report.price >= order.limit_price
            )
        if not isinstance(report, Filled) or left[report.order_id] == 0:
            ended.add(report.order_id)


class TestInstrument:
    @pytest.mark.parametrize(
        "change", [{"tick": 0}, {"lot": 0}, {"start_price": 100}, {"volatility": -1.0}, {"activity": -1.0}]
    )
    def test_senseless_parameters_are_refused(self, change: dict[str, int]) -> None:
        with pytest.raises(ValueError, match="ACME-USD"):
            SimulatedInstrument(**{**msgspec.structs.asdict(ACME), **change})
