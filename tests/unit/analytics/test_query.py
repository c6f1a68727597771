"""Query parameters: every unknown or unusable value is named."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.analytics.errors import InvalidQuery
from agio.analytics.model.query import PARAMETERS, AnalyticsQuery, parse_query
from agio.analytics.model.tail import TailRequest

DAY_US = 86_400_000_000


class TestParseQuery:
    def test_nothing_given_is_all_defaults(self) -> None:
        assert parse_query([]) == AnalyticsQuery()

    def test_a_date_ends_with_its_day(self) -> None:
        query = parse_query([("from", "2026-01-31"), ("to", "2026-01-31")])
        assert query.from_us is not None
        assert query.to_us == query.from_us + DAY_US

    def test_instants_keep_their_zone(self) -> None:
        one = parse_query([("as_of", "2026-01-31T12:00:00Z")])
        assert parse_query([("as_of", "2026-01-31T13:00:00+01:00")]) == one

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("historical", [TailRequest("historical")]),
            ("historical:0.99", [TailRequest("historical", 0.99)]),
            ("parametric:0.9:10", [TailRequest("parametric", 0.9, 10)]),
            ("0.99", [TailRequest(m, 0.99) for m in ("historical", "parametric", "cornish_fisher")]),
            ("historical,parametric", [TailRequest("historical"), TailRequest("parametric")]),
        ],
    )
    def test_tail_requests(self, text: str, expected: list[TailRequest]) -> None:
        assert list(parse_query([("var", text)]).tails) == expected

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("benchmark", "SPX"),
            ("rolling", "30"),
            ("fromm", "2026-01-01"),
            ("from", "yesterday"),
            ("from", "2026-01-31T12:00:00"),
            ("from", "2026-13-01"),
            ("to", "99999-01-01"),
            ("rf", "2"),
            ("rf", "2%"),
            ("rf", "nan"),
            ("rf", "1e-2"),
            ("mar", "inf"),
            ("frequency", "1w"),
            ("periods_per_year", "0"),
            ("flow_timing", "noon"),
            ("fees", "maybe"),
            ("metrics", "twr,sharp"),
            ("metrics", ""),
            ("drawdowns", "-1"),
            ("drawdowns", "101"),
            ("drawdowns", "٣"),
            ("var", "0.4"),
            ("var", "historical:0.95:0"),
            ("var", "historical:0.95:1:1"),
            ("var", "montecarlo"),
            ("var", ",".join(["all"] * 5)),
            ("explain", "yes"),
            ("currency", "usd"),
        ],
    )
    def test_what_cannot_be_used_is_refused_by_name(self, name: str, text: str) -> None:
        with pytest.raises(InvalidQuery) as refusal:
            parse_query([(name, text)])
        assert refusal.value.extra["field"] == name

    def test_a_parameter_given_twice_is_refused(self) -> None:
        with pytest.raises(InvalidQuery, match="twice"):
            parse_query([("rf", "0.01"), ("rf", "0.02")])

    def test_a_window_must_have_a_length(self) -> None:
        with pytest.raises(InvalidQuery, match="before"):
            parse_query([("from", "2026-02-01"), ("to", "2026-01-01")])

    @given(st.sampled_from(PARAMETERS), st.text(max_size=30))
    def test_any_text_is_read_or_refused(self, name: str, text: str) -> None:
        with contextlib.suppress(InvalidQuery):
            assert isinstance(parse_query([(name, text)]), AnalyticsQuery)
