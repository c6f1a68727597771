import pytest

from agio.kernel.problem import InvalidRequest
from agio.marketdata.spans import MAX_NS, read_time


@pytest.mark.parametrize(
    "text",
    [
        "2013-09-01T17:00:00Z",
        "2013-09-01t17:00:00z",
        "2013-09-01T19:00:00.000000+02:00",
        "2013-09-01 17:00:00Z",
    ],
)
def test_every_form_of_rfc_3339_names_the_same_instant(text: str) -> None:
    assert read_time(text, "start") == 1_378_054_800 * 10**9


@pytest.mark.parametrize(
    ("text", "ns"), [("0001-01-01T00:00:00+14:00", -MAX_NS), ("9999-12-31T23:59:59-14:00", MAX_NS)]
)
def test_what_lies_beyond_64_bits_is_the_end_of_them(text: str, ns: int) -> None:
    assert read_time(text, "start") == ns


def test_a_plus_that_the_url_made_a_space_is_explained() -> None:
    with pytest.raises(InvalidRequest, match="%2B"):
        read_time("2013-09-01T17:00:00 02:00", "start")
