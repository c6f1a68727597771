import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.kernel.ids import IdFactory, is_id, new_id
from agio.kernel.page import InvalidCursor, decode_cursor, encode_cursor


class TestIds:
    def test_ids_are_well_formed_and_distinct(self) -> None:
        ids = {new_id("ord") for _ in range(10_000)}
        assert len(ids) == 10_000
        assert all(is_id(each, "ord") for each in ids)

    def test_text_order_is_creation_order(self) -> None:
        clock = itertools.count(1_700_000_000_000)
        factory = IdFactory(milliseconds=lambda: next(clock), random_bits=lambda bits: 2**bits - 1)
        made = [factory.new("acc") for _ in range(100)]
        assert made == sorted(made)

    @pytest.mark.parametrize(
        "text", ["", "ord_", "acc_" + "0" * 20, "ord_" + "U" * 20, "ord_" + "0" * 21, "ord-" + "0" * 20]
    )
    def test_other_text_is_no_order_id(self, text: str) -> None:
        assert not is_id(text, "ord")


class TestCursors:
    @given(
        st.dictionaries(st.text(max_size=8), st.integers(-(2**53), 2**53) | st.text(max_size=20), max_size=4)
    )
    def test_round_trip(self, position: dict[str, str | int]) -> None:
        assert decode_cursor(encode_cursor(position)) == position

    @given(st.text(max_size=40))
    def test_foreign_cursors_are_refused(self, text: str) -> None:
        with contextlib.suppress(InvalidCursor):
            decode_cursor(text)
