import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.kernel.money import InvalidAmount, format_decimal, parse_decimal


class TestParseDecimal:
    @given(st.integers(-(10**37), 10**37), st.integers(0, 18))
    def test_what_was_formatted_is_parsed_back(self, amount: int, scale: int) -> None:
        assert parse_decimal(format_decimal(amount, scale), scale) == amount

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " 1",
            "1 ",
            "1e5",
            "NaN",
            "nan",
            "inf",
            "-inf",
            "+1",
            "1_000",
            "1,5",
            ".5",
            "5.",
            "0x10",
            "١٢",
            "--1",
            "1.2.3",
        ],
    )
    def test_anything_but_plain_decimals_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidAmount):
            parse_decimal(text, 2)

    def test_over_precise_amounts_are_refused_and_never_rounded(self) -> None:
        with pytest.raises(InvalidAmount, match="allows 2 decimals"):
            parse_decimal("1.001", 2)

    def test_trailing_zeros_are_no_precision(self) -> None:
        assert parse_decimal("1.500000", 2) == 150

    def test_more_digits_than_the_database_holds_are_refused(self) -> None:
        with pytest.raises(InvalidAmount):
            parse_decimal("9" * 39, 0)
        with pytest.raises(InvalidAmount):
            parse_decimal("9" * 37, 2)
        with pytest.raises(InvalidAmount):
            parse_decimal("1" * 100_000, 2)

    @given(st.text(max_size=30))
    def test_no_text_does_anything_but_parse_or_be_refused(self, text: str) -> None:
        with contextlib.suppress(InvalidAmount):
            assert isinstance(parse_decimal(text, 4), int)
