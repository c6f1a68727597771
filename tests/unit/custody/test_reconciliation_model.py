"""Foreign files, and what three views say about each other."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.custody.reconciliation.errors import MalformedStatement
from agio.custody.reconciliation.model import (
    MAX_LINES,
    Views,
    compare,
    difference,
    file_hash,
    read_positions,
)

SCALES = {"USD": 2, "BTC": 8, "JPY": 0}


class TestReading:
    def test_a_plain_file_in_either_column_order(self) -> None:
        assert read_positions("asset,quantity\nUSD,1640.25\nBTC,0.5\n", SCALES) == {
            "USD": 164025,
            "BTC": 50_000_000,
        }
        assert read_positions('\ufeffquantity,asset\r\n"-12",JPY\r\n\r\n', SCALES) == {"JPY": -12}

    def test_an_unknown_asset_is_read_with_eighteen_decimals(self) -> None:
        assert read_positions("asset,quantity\nXYZ,1.5\n", SCALES) == {"XYZ": 15 * 10**17}

    @pytest.mark.parametrize(
        ("content", "line"),
        [
            ("", 1),
            ("USD,1\n", 1),
            ("asset;quantity\nUSD;1\n", 1),
            ("asset,quantity,note\nUSD,1,x\n", 1),
            ("asset,asset\nUSD,1\n", 1),
            ("asset,quantity\nUSD\n", 2),
            ("asset,quantity\nUSD,1,2\n", 2),
            ("asset,quantity\nUSD,1\nUSD,1\n", 3),
            ("asset,quantity\nUSD,1.001\n", 2),
            ("asset,quantity\nUSD,1e3\n", 2),
            ("asset,quantity\nUSD,NaN\n", 2),
            ("asset,quantity\nUSD, 1\n", 2),
            ('asset,quantity\nUSD,"1,000"\n', 2),
            ("asset,quantity\nUSD,\n", 2),
            ("asset,quantity\nusd,1\n", 2),
            ("asset,quantity\n=cmd|' /C calc'!A0,1\n", 2),
            ("asset,quantity\nUSD,٣\n", 2),
            ('asset,quantity\nUSD,"1\n', 2),
            ('asset,quantity\n"US"D,1\n', 2),
            ("asset,quantity\n" + "A" * 200 + ",1\n", 2),
            ("asset,quantity\nUSD," + "9" * 79 + "\n", 2),
        ],
    )
    def test_anything_else_is_refused_and_the_line_named(self, content: str, line: int) -> None:
        with pytest.raises(MalformedStatement) as refused:
            read_positions(content, SCALES)

        assert refused.value.extra["line"] == line

    def test_there_is_an_end_to_it(self) -> None:
        longest = "asset,quantity\n" + "".join(f"A{n},1\n" for n in range(MAX_LINES))
        assert len(read_positions(longest, SCALES)) == MAX_LINES
        with pytest.raises(MalformedStatement):
            read_positions(longest + "ONE-MORE,1\n", SCALES)
        with pytest.raises(MalformedStatement):
            read_positions("asset,quantity\n" + "\n" * 600_000, SCALES)

    @given(st.text(max_size=300))
    def test_no_text_does_anything_but_be_read_or_refused(self, text: str) -> None:
        for content in (text, "asset,quantity\n" + text):
            try:
                read_positions(content, SCALES)
            except MalformedStatement as refused:
                assert refused.detail.startswith("line ")

    @given(st.dictionaries(st.sampled_from(["USD", "EUR", "BTC"]), st.integers(-(10**15), 10**15)))
    def test_what_is_written_is_read(self, cents: dict[str, int]) -> None:
        target = io.StringIO()
        writer = csv.writer(target)
        writer.writerow(["asset", "quantity"])
        for asset, amount in cents.items():
            sign, whole = "-" if amount < 0 else "", abs(amount)
            writer.writerow([asset, f"{sign}{whole // 100}.{whole % 100:02d}"])

        assert read_positions(target.getvalue(), {"USD": 2, "EUR": 2, "BTC": 2}) == cents


class TestComparison:
    @pytest.mark.parametrize(
        ("ledger", "external", "expected", "kind"),
        [
            (1, 1, 1, None),
            (1, 2, 1, "external_differs"),
            (2, 1, 1, "ledger_differs"),
            (1, 1, 2, "expected_differs"),
            (1, 2, 3, "all_differ"),
        ],
    )
    def test_the_odd_one_out_is_named(
        self, ledger: int, external: int, expected: int, kind: str | None
    ) -> None:
        views = compare({"USD": ledger}, {"USD": external}, {"USD": expected}, SCALES)

        assert views["USD"].kind() == kind

    def test_what_one_side_does_not_name_is_zero(self) -> None:
        views = compare({"USD": 100}, {"XYZ": 5 * 10**17}, {"USD": 100}, SCALES)

        assert views["USD"] == Views("1.00", "0.00", "1.00")
        assert (views["XYZ"].kind(), difference(views["XYZ"])) == ("external_differs", "0.500000000000000000")
        assert difference(views["USD"]) == "-1.00"

    def test_the_file_is_known_by_everything_that_it_says(self) -> None:
        day, night = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 23, tzinfo=UTC)

        hashes = {
            file_hash("a", day, "x"),
            file_hash("b", day, "x"),
            file_hash("a", night, "x"),
            file_hash("a", day, "y"),
        }

        assert len(hashes) == 4
