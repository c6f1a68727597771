"""From a venue's reports to states, executions, journals and events."""

from collections import Counter
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.trading.orders import NOW, ORDER_ID, make_order

from agio.ledger.api import PostJournal, ReleaseHold
from agio.trading.model import IllegalTransition, Order, OrderStatus
from agio.trading.ports import Canceled, Entered, Expired, Filled, Rejected, Report
from agio.trading.settlement import Settlement, fold

DAY_END = datetime(2026, 3, 3, tzinfo=UTC)


def settle(order: Order, *reports: Report, canceled: bool = False) -> Settlement:
    names = [order.order_id] if canceled else []
    return fold({order.order_id: order}, reports, names, NOW, lambda _: DAY_END)


def filled(quantity: int, price: int = 164000) -> Filled:
    return Filled(ORDER_ID, quantity, price, "taker", 1_378_080_000_083_000_000, "7", 7)


class TestFold:
    def test_entry_of_a_day_order_sets_its_expiry_and_moves_no_money(self) -> None:
        settlement = settle(make_order(), Entered(ORDER_ID))
        order = settlement.changed[ORDER_ID]
        assert (order.status, order.expires_at, settlement.commands) == (OrderStatus.NEW, DAY_END, [])

    def test_good_till_canceled_never_expires(self) -> None:
        order = settle(make_order(time_in_force="gtc"), Entered(ORDER_ID)).changed[ORDER_ID]
        assert order.expires_at is None

    def test_repeated_entry_changes_nothing(self) -> None:
        assert settle(make_order(status=OrderStatus.NEW), Entered(ORDER_ID)).changed == {}

    def test_partial_buy_keeps_the_hold_and_last_fill_releases_the_rest(self) -> None:
        settlement = settle(make_order(), Entered(ORDER_ID), filled(4), filled(6))
        first, last = settlement.commands
        assert isinstance(first, PostJournal)
        assert isinstance(last, PostJournal)
        assert (first.releases, last.releases) == ((), (make_order().hold_id,))
        assert {leg.hold_id for leg in first.legs if leg.account.startswith("acc_") and leg.amount < 0} == {
            make_order().hold_id
        }

    def test_sale_pays_its_fee_from_its_proceeds(self) -> None:
        settlement = settle(make_order(side="sell", limit_price=1, protection_price=1), filled(10, 1))
        (journal,) = settlement.commands
        assert isinstance(journal, PostJournal)
        cash = [leg for leg in journal.legs if leg.account == "acc_00000000000000000001:USD"]
        assert [leg.amount for leg in cash] == [10, -1]
        assert [leg.hold_id for leg in cash] == [None, None]

    def test_client_cancel_has_no_reason_and_releases(self) -> None:
        order = make_order(status=OrderStatus.PENDING_CANCEL)
        settlement = settle(order, Canceled(ORDER_ID, "requested"))
        assert settlement.changed[ORDER_ID].reject_reason is None
        assert isinstance(settlement.commands[0], ReleaseHold)

    def test_venue_cancel_says_why(self) -> None:
        settlement = settle(make_order(), filled(4), Canceled(ORDER_ID, "protection_price"))
        order = settlement.changed[ORDER_ID]
        assert (order.status, order.reject_reason) == (OrderStatus.CANCELED, "protection_price")
        assert (order.filled_quantity, order.leaves_quantity) == (4, 0)

    def test_cancel_that_the_venue_does_not_answer_is_fulfilled_here(self) -> None:
        order = make_order(status=OrderStatus.PENDING_CANCEL)
        assert settle(order, canceled=True).changed[ORDER_ID].status is OrderStatus.CANCELED

    def test_cancel_that_lost_to_a_fill_ends_nothing(self) -> None:
        order = make_order(status=OrderStatus.PENDING_CANCEL)
        assert settle(order, filled(10), canceled=True).changed[ORDER_ID].status is OrderStatus.FILLED

    @pytest.mark.parametrize("report", [Expired(ORDER_ID, "late"), Rejected(ORDER_ID, "no")])
    def test_end_without_a_fill_releases_the_hold(self, report: Report) -> None:
        (release,) = settle(make_order(), report).commands
        assert isinstance(release, ReleaseHold)

    def test_fill_of_a_closed_order_is_a_fault(self) -> None:
        with pytest.raises(IllegalTransition):
            settle(make_order(status=OrderStatus.CANCELED), filled(1))

    def test_events_show_every_state_and_every_fill_in_order(self) -> None:
        settlement = settle(make_order(), Entered(ORDER_ID), filled(4), filled(6))
        assert [event.channel.partition(":")[0] for event in settlement.events] == [
            "orders",
            "orders",
            "fills",
            "orders",
            "fills",
        ]
        versions = [
            msgspec.json.decode(event.body)["version"]
            for event in settlement.events
            if event.kind == "order_updated"
        ]
        assert versions == [2, 3, 4]

    @given(
        st.sampled_from(["buy", "sell"]),
        st.lists(st.tuples(st.integers(1, 4), st.integers(160000, 170000)), min_size=1, max_size=9),
    )
    def test_every_journal_balances_per_asset(self, side: str, fills: list[tuple[int, int]]) -> None:
        worst = 170000 if side == "buy" else 160000
        order = make_order(side=side, quantity=40, limit_price=worst, protection_price=worst)
        settlement = settle(order, *(filled(quantity, price) for quantity, price in fills))
        for command in settlement.commands:
            assert isinstance(command, PostJournal)
            sums: Counter[str] = Counter()
            for leg in command.legs:
                assert leg.amount
                sums[leg.account.rpartition(":")[2]] += leg.amount
            assert set(sums.values()) == {0}
        assert len({item.execution_id for item in settlement.executions}) == len(fills)
