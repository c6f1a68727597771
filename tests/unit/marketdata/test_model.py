from datetime import UTC, date, datetime

import msgspec
import pytest

from agio.marketdata.model import (
    CALENDARS,
    SIM_INSTRUMENTS,
    Calendar,
    Session,
    check_instrument,
    tape_instrument,
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


class TestInstrument:
    def test_notional_of_every_simulated_tick_and_lot_is_whole(self) -> None:
        for instrument in SIM_INSTRUMENTS:
            assert instrument.notional(instrument.tick_size, instrument.lot_size) >= 1

    def test_ticks_and_lots_read_as_the_exchange_prints_them(self) -> None:
        steps = {
            one.symbol: (one.price_text(one.tick_size), one.quantity_text(one.lot_size))
            for one in SIM_INSTRUMENTS
        }

        assert steps == {
            "BTC-USD": ("1.00", "0.01000000"),
            "ETH-USD": ("0.10", "0.10000000"),
            "EUR-USD": ("0.0001", "100.00"),
            "ACME-USD": ("0.01", "1"),
        }

    def test_a_notional_that_would_be_rounded_is_refused(self) -> None:
        euro = next(one for one in SIM_INSTRUMENTS if one.symbol == "EUR-USD")

        with pytest.raises(ValueError, match="no whole USD amount"):
            euro.notional(10_001, 1)

    def test_a_tick_times_lot_below_a_cent_is_refused(self) -> None:
        euro = next(one for one in SIM_INSTRUMENTS if one.symbol == "EUR-USD")

        with pytest.raises(ValueError, match="tick x lot"):
            check_instrument(msgspec.structs.replace(euro, lot_size=1))

    @pytest.mark.parametrize(
        ("scales", "expected"),
        [((2, 0), ("0.01", "1")), ((5, 0), ("0.00001", "1000")), ((0, 0), ("0.01", "1"))],
    )
    def test_a_tape_gets_its_precision_as_tick_and_a_lot_of_whole_cents(
        self, scales: tuple[int, int], expected: tuple[str, str]
    ) -> None:
        one = tape_instrument("X", *scales)

        assert (one.price_text(one.tick_size), one.quantity_text(one.lot_size)) == expected


class TestCalendar:
    def test_a_market_without_sessions_is_always_open_and_its_day_ends_at_midnight(self) -> None:
        calendar = CALENDARS[0]

        assert calendar.is_open(at("2026-03-01T03:00:00Z"))
        assert calendar.day_end(at("2026-03-01T23:59:59Z")) == at("2026-03-02T00:00:00Z")

    @pytest.mark.parametrize(
        ("instant", "is_open"),
        [
            ("2026-03-06T09:29:59-05:00", False),
            ("2026-03-06T09:30:00-05:00", True),
            ("2026-03-06T16:00:00-05:00", False),
            ("2026-03-07T12:00:00-05:00", False),
            ("2026-03-09T09:30:00-04:00", True),
        ],
    )
    def test_sessions_follow_local_time_over_a_clock_change(self, instant: str, is_open: bool) -> None:
        assert CALENDARS[1].is_open(at(instant)) is is_open

    def test_the_day_of_an_order_entered_at_the_weekend_ends_on_monday(self) -> None:
        assert CALENDARS[1].day_end(at("2026-03-07T12:00:00-05:00")) == at("2026-03-09T16:00:00-04:00")

    def test_no_session_opens_on_a_holiday(self) -> None:
        calendar = Calendar("x", "UTC", (Session(0, "09:00", "17:00"),), (date(2026, 3, 2),))

        assert not calendar.is_open(at("2026-03-02T12:00:00Z"))
        assert calendar.day_end(at("2026-03-02T12:00:00Z")) == at("2026-03-09T17:00:00Z")

    def test_a_session_may_end_on_the_next_day(self) -> None:
        calendar = Calendar("globex", "America/Chicago", (Session(6, "17:00", "16:00"),))

        assert calendar.is_open(at("2026-03-02T10:00:00-06:00"))
        assert calendar.day_end(at("2026-03-01T18:00:00-06:00")) == at("2026-03-02T16:00:00-06:00")
