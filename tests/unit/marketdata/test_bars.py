from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.marketdata.bars import MAX_VOLUME, TooMuchVolume, fold_trades, merge, partial_bars, vwap_text
from agio.marketdata.events import INTERVAL_NS, INTERVALS, Bar, Interval, Trade

SECOND = INTERVAL_NS["1s"]

trades = st.lists(
    st.builds(
        Trade,
        venue_time_ns=st.integers(0, 150 * SECOND),
        price=st.integers(1, 10**6),
        size=st.integers(1, 10**6),
    ),
    min_size=1,
    max_size=60,
)


def fold_in_batches(rows: list[Trade], cuts: list[int]) -> dict[tuple[str, int], Bar]:
    """What a database that merges late parts would hold, the bars in progress included."""
    stored: dict[tuple[str, int], Bar] = {}
    open_bars: tuple[Bar, ...] = ()
    edges = sorted({0, len(rows), *(cut % (len(rows) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        folded = fold_trades("ES", open_bars, rows[start:end])
        open_bars = folded.open_bars
        for bar in (*folded.finished, *folded.late):
            key = (bar.interval, bar.start_ns)
            stored[key] = merge(stored[key], bar) if key in stored else bar
    for bar in open_bars:
        assert (bar.interval, bar.start_ns) not in stored
        stored[bar.interval, bar.start_ns] = bar
    return stored


def bar_at_once(rows: list[Trade], interval: Interval, start_ns: int) -> tuple[int, ...]:
    """The definition, computed plainly."""
    width = INTERVAL_NS[interval]
    inside = [row for row in rows if start_ns <= row.venue_time_ns < start_ns + width]
    in_time = sorted(inside, key=lambda row: row.venue_time_ns)
    return (
        in_time[0].price,
        max(row.price for row in inside),
        min(row.price for row in inside),
        in_time[-1].price,
        sum(row.size for row in inside),
        sum(row.price * row.size for row in inside),
        len(inside),
    )


class TestFoldTrades:
    @given(rows=trades, cuts=st.lists(st.integers(0, 100), max_size=8))
    def test_any_order_and_any_split_give_the_bars_of_the_definition(
        self, rows: list[Trade], cuts: list[int]
    ) -> None:
        stored = fold_in_batches(rows, cuts)

        expected = {
            (interval, row.venue_time_ns // INTERVAL_NS[interval] * INTERVAL_NS[interval])
            for row in rows
            for interval in INTERVALS
        }
        assert set(stored) == expected
        for (_, start_ns), bar in stored.items():
            told = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.notional, bar.trades)
            assert told == bar_at_once(rows, bar.interval, start_ns)

    def test_a_later_second_finishes_the_bar(self) -> None:
        first, second = Trade(5, 100, 2), Trade(SECOND + 5, 101, 1)

        folded = fold_trades("ES", (), [first, second])

        finished = [bar for bar in folded.finished if bar.interval == "1s"]
        assert [(bar.start_ns, bar.close, bar.is_final) for bar in finished] == [(0, 100, True)]
        assert {bar.interval: bar.start_ns for bar in folded.open_bars} == {"1s": SECOND, "1m": 0}

    def test_a_trade_of_a_finished_bar_is_late(self) -> None:
        open_bars = fold_trades("ES", (), [Trade(3 * SECOND, 100, 1)]).open_bars

        folded = fold_trades("ES", open_bars, [Trade(SECOND, 90, 4)])

        assert [(bar.interval, bar.start_ns, bar.volume) for bar in folded.late] == [("1s", SECOND, 4)]
        minute = next(bar for bar in folded.open_bars if bar.interval == "1m")
        assert (minute.open, minute.close, minute.volume) == (90, 100, 5)

    def test_price_times_size_may_need_more_than_64_bits(self) -> None:
        """A coin at a price and a size of eight decimals each, as Binance tells them."""
        bitcoins = [Trade(1, 60_000 * 10**8, 10**8 * 10**6 + n) for n in range(2)]
        open_bars = fold_trades("X", fold_trades("X", (), bitcoins[:1]).open_bars, bitcoins[1:]).open_bars

        read = msgspec.msgpack.decode(msgspec.msgpack.encode(open_bars), type=tuple[Bar, ...])

        assert read == open_bars
        assert [bar.notional for bar in read] == [sum(one.price * one.size for one in bitcoins)] * 2
        assert vwap_text(read[0], 8) == "60000.000000000000"

    def test_a_volume_of_more_than_64_bits_is_refused(self) -> None:
        most = fold_trades("X", (), [Trade(0, 1, MAX_VOLUME)]).open_bars

        with pytest.raises(TooMuchVolume):
            fold_trades("X", most, [Trade(0, 1, 1)])


class TestVwapText:
    def test_has_four_decimals_more_than_a_price_and_rounds_half_up(self) -> None:
        bar = partial_bars("ES", "1s", [Trade(0, 10000, 1), Trade(0, 10001, 2)])[0]

        assert vwap_text(bar, 2) == "100.006667"
