"""Nothing that a venue can say raises, and no sequence of updates makes a crossed book good."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.marketdata.decoders.cases import DECODERS
from tests.unit.marketdata.decoders.sessions import VENUES

from agio.marketdata.normalised import (
    BookChange,
    BookUpdate,
    Message,
)

FIELDS = (
    *("arg", "data", "channel", "instId", "action", "event", "asks", "bids", "a", "b", "c", "as", "bs"),
    *("events", "sequence_num", "type", "updates", "product_id", "stream", "e", "s", "u", "U", "ts"),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["book-10", "trade", "ticker", "XBT/USD", "BTC-USD", "books", "snapshot", "update", "l2_data", "1.5"]
    ),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("venue", VENUES)
class TestNothingRaises:
    @settings(max_examples=50, deadline=None)
    @given(message=JSON)
    def test_for_any_json(self, venue: str, message: object) -> None:
        told = DECODERS[venue].decode(json.dumps(message), 7)
        assert told or venue == "OKX"
        msgspec.json.decode(msgspec.json.encode(told), type=list[Message])

    @settings(max_examples=50, deadline=None)
    @given(frame=st.binary(max_size=40) | st.text(max_size=40))
    def test_for_any_bytes_and_text(self, venue: str, frame: str | bytes) -> None:
        assert DECODERS[venue].decode(frame, 7)

    @settings(max_examples=50, deadline=None)
    @given(
        updates=st.lists(
            st.builds(
                BookUpdate,
                st.just("BTC-USD"),
                st.none(),
                st.just(7),
                st.none() | st.integers(0, 6),
                st.lists(
                    st.builds(
                        BookChange, st.sampled_from(["bid", "ask"]), st.integers(1, 9), st.integers(0, 2)
                    )
                ).map(tuple),
                st.none() | st.integers(0, 6),
                st.none() | st.integers(0, 6),
                st.none() | st.integers(0, 6),
                st.none() | st.integers(0, 6),
                st.booleans(),
            ),
            max_size=12,
        )
    )
    def test_for_any_updates_and_no_crossed_book_is_good(self, venue: str, updates: list[BookUpdate]) -> None:
        books = VENUES[venue].make_books()
        for update in updates:
            books.apply([update])
            book = books.good("BTC-USD")
            assert book is None or not book.is_crossed
