"""The order state machine and its arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.trading.orders import NOW, make_order

from agio.kernel.ids import OrderId, is_id, new_id
from agio.trading.model import (
    CLOSED,
    OPEN,
    TRANSITIONS,
    IllegalTransition,
    OrderAction,
    OrderStatus,
    act,
    average_price,
    execution_id,
    fee_on,
    fill,
    hold_of,
    journal_id_of,
    next_status,
)


class TestNextStatus:
    def test_closed_states_have_no_way_out(self) -> None:
        assert not [start for start, _ in TRANSITIONS if start in CLOSED]

    def test_every_open_state_can_be_filled_canceled_and_expired(self) -> None:
        for status in OPEN:
            for action in (OrderAction.FILL_REST, OrderAction.CANCEL, OrderAction.EXPIRE):
                assert next_status(status, action) in CLOSED

    def test_nothing_returns_to_pending_new(self) -> None:
        assert OrderStatus.PENDING_NEW not in TRANSITIONS.values()

    @pytest.mark.parametrize("status", sorted(CLOSED))
    @pytest.mark.parametrize("action", list(OrderAction))
    def test_nothing_happens_to_a_closed_order(self, status: OrderStatus, action: OrderAction) -> None:
        with pytest.raises(IllegalTransition):
            next_status(status, action)

    def test_a_working_order_is_not_rejected(self) -> None:
        with pytest.raises(IllegalTransition):
            next_status(OrderStatus.NEW, OrderAction.REJECT)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[OrderAction, int, int]]:
    action = st.sampled_from(list(OrderAction))
    step = st.tuples(action, st.integers(1, 12), st.integers(163000, 164025))
    return draw(st.lists(step, max_size=25))


class TestAnyHistory:
    @given(histories())
    def test_invariants_hold_whatever_happens(self, history: list[tuple[OrderAction, int, int]]) -> None:
        order = make_order()
        paid = charged = 0
        for action, quantity, price in history:
            was = order
            try:
                if action in (OrderAction.FILL_PART, OrderAction.FILL_REST):
                    order, notional, fee = fill(order, quantity, price, NOW)
                    assert 0 <= fee <= notional
                    paid, charged = paid + notional, charged + fee
                else:
                    order = act(order, action, NOW)
            except IllegalTransition:
                assert order is was
                continue
            assert was.is_open
            assert order.version == was.version + 1
            assert (order.status is OrderStatus.FILLED) == (order.filled_quantity == order.quantity)
            assert order.leaves_quantity == (order.quantity - order.filled_quantity if order.is_open else 0)
            assert (order.filled_notional, order.fees) == (paid, charged)
            assert paid + charged <= hold_of(order)[1]


class TestFill:
    def test_more_than_is_left_is_refused(self) -> None:
        with pytest.raises(IllegalTransition):
            fill(make_order(), 11, 164025, NOW)

    def test_price_beyond_the_limit_is_refused(self) -> None:
        with pytest.raises(IllegalTransition):
            fill(make_order(), 1, 164050, NOW)
        with pytest.raises(IllegalTransition):
            fill(make_order(side="sell"), 1, 164000, NOW)

    def test_partial_fills_of_an_order_being_canceled_leave_it_pending_cancel(self) -> None:
        order = act(make_order(), OrderAction.REQUEST_CANCEL, NOW)
        order, _, _ = fill(order, 4, 164000, NOW)
        assert (order.status, order.leaves_quantity) == (OrderStatus.PENDING_CANCEL, 6)

    def test_fee_is_rounded_up_once_and_not_per_fill(self) -> None:
        order, fees = make_order(), []
        for _ in range(10):
            order, _, fee = fill(order, 1, 164025, NOW)
            fees.append(fee)
        assert order.fees == sum(fees) == fee_on(1640250, 5) == 821
        assert set(fees) == {82, 83}

    def test_average_price_is_finer_than_the_tick(self) -> None:
        order, _, _ = fill(make_order(), 1, 164000, NOW)
        order, _, _ = fill(order, 2, 164025, NOW)
        assert str(average_price(order)) == "1640.166667"
        assert average_price(make_order()) is None


class TestFee:
    @given(st.lists(st.integers(1, 10**12), min_size=1, max_size=20), st.integers(0, 10_000))
    def test_no_fill_is_charged_more_than_its_notional(self, notionals: list[int], points: int) -> None:
        total = 0
        for notional in notionals:
            fee = fee_on(total + notional, points) - fee_on(total, points)
            assert 0 <= fee <= notional
            total += notional


class TestHold:
    def test_buy_reserves_worst_price_and_whole_fee(self) -> None:
        assert hold_of(make_order()) == ("acc_00000000000000000001:USD", 1640250 + 821)

    def test_sale_reserves_the_securities(self) -> None:
        assert hold_of(make_order(side="sell")) == ("acc_00000000000000000001:ES", 10)


class TestExecutionId:
    def test_is_well_formed_repeatable_and_distinct(self) -> None:
        order_id = OrderId(new_id("ord"))
        ids = [execution_id(order_id, number) for number in range(1, 2000)]
        assert len(set(ids)) == len(ids)
        assert all(is_id(item, "exe") for item in ids)
        assert ids[6] == execution_id(order_id, 7)
        assert is_id(journal_id_of(ids[0]), "jnl")
