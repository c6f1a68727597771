"""Cost bases against exact fractions."""

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agio.analytics.model.history import AccountHistory, LedgerEntry, Worth, fold_costs, read_fill
from agio.analytics.model.positions import COST_UNITS, CostBasis, Fill, divide_even

FILLS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell"]), st.integers(1, 1000), st.integers(1, 10**6), st.integers(0, 99)
    ),
    max_size=40,
)


def fold(fills: list[tuple[str, int, int, int]]) -> CostBasis:
    basis = CostBasis()
    for side, quantity, price, fee in fills:
        basis.add(Fill("ACME", side, quantity, quantity * price, fee, 0))  # type: ignore[arg-type]
    return basis


def oracle(fills: list[tuple[str, int, int, int]]) -> tuple[int, Fraction, Fraction]:
    """Quantity, average cost and realised profit in exact arithmetic, unit by unit of meaning."""
    quantity, average, realised = 0, Fraction(0), Fraction(0)
    for side, size, price, _ in fills:
        signed = size if side == "buy" else -size
        if quantity == 0 or (quantity > 0) == (signed > 0):
            average = (average * abs(quantity) + price * size) / (abs(quantity) + size)
            quantity += signed
            continue
        closing = min(size, abs(quantity))
        realised += (price - average) * closing * (1 if quantity > 0 else -1)
        quantity += signed
        if closing < size:
            average = Fraction(price)
    return quantity, average, realised


class TestCostBasis:
    @given(FILLS)
    def test_equals_exact_arithmetic(self, fills: list[tuple[str, int, int, int]]) -> None:
        basis = fold(fills)
        quantity, average, realised = oracle(fills)
        assert basis.quantity == quantity
        assert abs(Fraction(basis.realised, COST_UNITS) - realised) < Fraction(len(fills) + 1, 10**6)
        if quantity:
            assert abs(Fraction(basis.cost, COST_UNITS * quantity) - average) < Fraction(
                len(fills) + 1, 10**6
            )

    @given(FILLS)
    def test_no_unit_of_money_is_lost(self, fills: list[tuple[str, int, int, int]]) -> None:
        """Realised profit less cost of what is held is exactly the cash that the fills moved."""
        basis = fold(fills)
        cash = sum(q * p if side == "sell" else -q * p for side, q, p, _ in fills)
        assert basis.realised - basis.cost == cash * COST_UNITS
        assert basis.fees == sum(fee for *_, fee in fills)

    def test_selling_everything_leaves_no_cost(self) -> None:
        basis = fold([("buy", 3, 100, 0), ("buy", 4, 101, 0), ("sell", 7, 100, 0)])
        assert (basis.quantity, basis.cost) == (0, 0)

    def test_securities_of_unknown_value_make_the_cost_unknown_until_they_are_gone(self) -> None:
        basis = CostBasis()
        basis.transfer(5, None)
        assert not basis.is_cost_known
        basis.add(Fill("ACME", "sell", 5, 500, 0, 0))
        assert basis.is_cost_known


def test_halves_are_rounded_to_even() -> None:
    assert [divide_even(n, 2) for n in (-3, -1, 1, 3, 5)] == [-2, 0, 0, 2, 2]


class TestHistory:
    JOURNAL = (
        LedgerEntry("jnl_1", "USD", -5000, 2, "trading", 10),
        LedgerEntry("jnl_1", "ACME", 5, 1, "trading", 10),
        LedgerEntry("jnl_1", "USD", -3, 3, "trading", 10),
    )

    def test_a_fill_is_read_from_its_journal(self) -> None:
        assert read_fill(self.JOURNAL, "USD", 10) == Fill("ACME", "buy", 5, 5000, 3, 10)

    def test_a_fill_paid_in_another_currency_has_no_cost_here(self) -> None:
        assert read_fill(self.JOURNAL, "EUR", 10) is None

    def test_entries_heard_twice_count_once(self) -> None:
        history = AccountHistory("USD")
        deposit = LedgerEntry("jnl_0", "USD", 10_000, 1, "custody", 5)
        for _ in range(2):
            history.add([deposit, *self.JOURNAL], frozenset({"custody"}))
        assert history.entries == 4
        assert history.curves["USD"].last == 4997
        assert len(history.fills) == len(history.flows) == 1

    def test_balances_before_and_through_an_instant(self) -> None:
        history = AccountHistory("USD")
        history.add([LedgerEntry("jnl_0", "USD", 10, 1, "custody", 5)], frozenset())
        curve = history.curves["USD"]
        assert curve.at(np.array([4, 5, 6, 7])).tolist() == [0, 0, 10, 10]
        assert curve.at(np.array([4, 5])).tolist() == [0, 10]
        assert (curve.through(4), curve.through(5)) == (0, 10)

    def test_balances_beyond_64_bits_stay_exact(self) -> None:
        history = AccountHistory("USD")
        history.add([LedgerEntry("jnl_0", "WEI", 10**30 + 1, 1, "custody", 5)], frozenset())
        assert history.curves["WEI"].at(np.array([6])).tolist() == [10**30 + 1]

    def test_a_fold_stops_at_its_instant(self) -> None:
        history = AccountHistory("USD")
        history.add(self.JOURNAL, frozenset())
        assert fold_costs([history], "USD", Worth({}, {}), 9) == {}
        assert fold_costs([history], "USD", Worth({}, {}), 10)["ACME"].quantity == 5
