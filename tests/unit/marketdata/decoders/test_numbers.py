from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agio.marketdata.decoders.numbers import (
    BadNumber,
    OffTick,
    Step,
    milliseconds_to_ns,
    rfc3339_to_ns,
    seconds_to_ns,
)

STEPS = st.sampled_from([Decimal(text) for text in ("1", "0.01", "0.05", "1e-8", "2.5", "10", "1E+3")])

NO_DECIMALS = (
    *("", ".", "1.", ".5", "-1", "+1", " 1", "1 ", "1e5", "1E5", "NaN", "inf", "1_0", "0x1", "1.2.3"),
    *("\u0661", "\u00b2", "9" * 39, "9" * 100_000, "0." + "0" * 100_000),
)
BEYOND_64_BITS = (
    *((seconds_to_ns, "9223372036.854775808"), (seconds_to_ns, "9" * 29)),
    *((milliseconds_to_ns, "9223372036855"), (milliseconds_to_ns, "9" * 32)),
    *((rfc3339_to_ns, "2262-04-11T23:47:16.854775808Z"), (rfc3339_to_ns, "9999-12-31T23:59:59Z")),
    *((rfc3339_to_ns, "1969-12-31T23:59:59Z"), (rfc3339_to_ns, "0001-01-01T00:00:00Z")),
)
NO_TIMES = (
    *("", "Z", "2026-08-09T21:05:48", "2026-08-09T21:05:48+02:00", "2026-13-09T21:05:48Z"),
    *("2026-08-09T21:05:48.1234567890Z", "2026-08-09T21:05:48.-1Z"),
)


class TestStep:
    @settings(deadline=None)
    @given(STEPS, st.integers(0, 10**20), st.integers(0, 6))
    def test_a_multiple_of_the_step_is_read_exactly(self, step: Decimal, count: int, zeros: int) -> None:
        text = f"{count * step:f}"
        if zeros:
            text += ("" if "." in text else ".") + "0" * zeros
        assert Step(step).read(text) == count

    @settings(deadline=None)
    @given(STEPS, st.decimals(0, 10**12, places=12))
    def test_what_lies_between_two_steps_is_refused(self, step: Decimal, number: Decimal) -> None:
        if number % step:
            with pytest.raises(OffTick):
                Step(step).read(f"{number:f}")
        else:
            assert Step(step).read(f"{number:f}") * step == number

    @pytest.mark.parametrize("text", NO_DECIMALS)
    def test_anything_but_a_plain_decimal_is_refused(self, text: str) -> None:
        for step in (Decimal(1), Decimal("1e-8"), Decimal("0.05")):
            with pytest.raises(BadNumber):
                Step(step).read(text)

    def test_a_price_of_zero_is_refused(self) -> None:
        with pytest.raises(BadNumber):
            Step(Decimal("0.01")).read_positive("0.00")

    @pytest.mark.parametrize("step", ["0", "-1", "NaN", "Infinity", "1e-39"])
    def test_a_step_is_positive(self, step: str) -> None:
        with pytest.raises(ValueError, match="a step"):
            Step(Decimal(step))


class TestTimes:
    def test_units(self) -> None:
        assert seconds_to_ns("1618678145.920470") == 1_618_678_145_920_470_000
        assert milliseconds_to_ns("1652459223003") == 1_652_459_223_003_000_000
        assert rfc3339_to_ns("2026-08-09T21:05:48.483587501Z") % 10**9 == 483_587_501

    @settings(deadline=None)
    @given(st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)), st.integers(0, 10**9 - 1))  # noqa: DTZ001
    def test_rfc3339_keeps_every_nanosecond(self, second: datetime, nanoseconds: int) -> None:
        second = second.replace(microsecond=0, tzinfo=UTC)
        text = f"{second:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09}".rstrip("0").rstrip(".")
        assert rfc3339_to_ns(f"{text}Z") == int(second.timestamp()) * 10**9 + nanoseconds

    @pytest.mark.parametrize("text", NO_TIMES)
    def test_other_texts_are_refused(self, text: str) -> None:
        with pytest.raises(BadNumber):
            rfc3339_to_ns(text)

    @pytest.mark.parametrize(("read", "text"), BEYOND_64_BITS)
    def test_a_time_that_64_bits_cannot_hold_is_refused(self, read: Callable[[str], int], text: str) -> None:
        with pytest.raises(BadNumber):
            read(text)

    def test_the_last_instant_is_read(self) -> None:
        assert seconds_to_ns("9223372036.854775807") == 2**63 - 1
