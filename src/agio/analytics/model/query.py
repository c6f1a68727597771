"""What a caller may ask of `GET /api/portfolios/{portfolio_id}/analytics`, read strictly."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal, TypeVar

import msgspec

from agio.analytics.errors import InvalidQuery
from agio.analytics.model.registry import BLOCKS, METRICS, TABLES
from agio.analytics.model.returns import FLOW_TIMINGS, FlowTiming
from agio.analytics.model.tail import TAIL_METHODS, TailMethod, TailRequest
from agio.analytics.model.valuation import FREQUENCIES, Frequency
from agio.kernel.time import to_micros

Value = TypeVar("Value")
Fees = Literal["net", "gross"]

MAX_DRAWDOWNS: Final = 100
MAX_TAILS: Final = 12
MAX_HORIZON: Final = 250
_NUMBER = re.compile(r"^-?[0-9]{1,12}(\.[0-9]{1,12})?$", re.ASCII)
_DATE = re.compile(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", re.ASCII)
_INSTANT = "a date such as 2026-01-31 or an RFC 3339 instant with its zone"
_DEFAULT_TAILS = tuple(TailRequest(method) for method in TAIL_METHODS)


class AnalyticsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One request, every default filled in. Instants are microseconds since 1970."""

    from_us: int | None = None
    to_us: int | None = None
    as_of_us: int | None = None
    currency: str | None = None
    rf: float = 0.0
    """Annual, as a decimal: 0.02 is 2 %."""
    mar: float = 0.0
    frequency: Frequency = "1d"
    periods_per_year: float | None = None
    flow_timing: FlowTiming = "split"
    fees: Fees = "net"
    metrics: frozenset[str] | None = None
    drawdowns: int = 5
    tails: tuple[TailRequest, ...] = _DEFAULT_TAILS
    explain: bool = False


def parse_query(parameters: Sequence[tuple[str, str]]) -> AnalyticsQuery:
    """Read query parameters; raises InvalidQuery naming the first that is unknown, repeated or unusable."""
    values: dict[str, object] = {}
    seen: set[str] = set()
    for name, text in parameters:
        reader = _READERS.get(name)
        if reader is None:
            known = ", ".join(_READERS)
            raise InvalidQuery(
                f"{name[:40]!r} is not a parameter; known are {known}", extra={"field": name[:40]}
            )
        if name in seen:
            raise InvalidQuery(f"{name} is given twice", extra={"field": name})
        seen.add(name)
        field, read = reader
        values[field] = read(name, text)
    query = msgspec.convert(values, AnalyticsQuery)
    if query.from_us is not None and query.to_us is not None and query.from_us >= query.to_us:
        raise InvalidQuery("from must lie before to", extra={"field": "from"})
    return query


def _refuse(name: str, text: str, expected: str) -> InvalidQuery:
    return InvalidQuery(f"{name} must be {expected}, not {text[:40]!r}", extra={"field": name})


def _instant(name: str, text: str) -> int:
    try:
        if _DATE.fullmatch(text):
            return to_micros(datetime.combine(date.fromisoformat(text), time(), UTC))
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise _refuse(name, text, _INSTANT) from None
    if instant.tzinfo is None:
        raise _refuse(name, text, _INSTANT)
    return to_micros(instant)


def _end(name: str, text: str) -> int:
    """A date means the end of that day."""
    start = _instant(name, text)
    return start + timedelta(days=1) // timedelta(microseconds=1) if _DATE.fullmatch(text) else start


def _number(low: float, high: float, hint: str) -> Callable[[str, str], float]:
    def read(name: str, text: str) -> float:
        if not _NUMBER.fullmatch(text) or not low <= float(text) <= high:
            raise _refuse(name, text, hint)
        return float(text)

    return read


def _count(low: int, high: int) -> Callable[[str, str], int]:
    def read(name: str, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 6 and low <= int(text) <= high):
            raise _refuse(name, text, f"a whole number from {low} to {high}")
        return int(text)

    return read


def _choice(options: Sequence[str]) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if text not in options:
            raise _refuse(name, text, "one of " + ", ".join(options))
        return text

    return read


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false", "1", "0"):
        raise _refuse(name, text, "true or false")
    return text in ("true", "1")


def _currency(name: str, text: str) -> str:
    if not re.fullmatch(r"[A-Z0-9]{3,12}", text, re.ASCII):
        raise _refuse(name, text, "a currency code such as USD")
    return text


def _metrics(name: str, text: str) -> frozenset[str]:
    wanted = frozenset(text.split(","))
    known = {*METRICS, *BLOCKS, *TABLES}
    unknown = sorted(wanted - known)
    if unknown:
        raise _refuse(name, ",".join(unknown), "names among " + ", ".join([*BLOCKS, *TABLES, *METRICS]))
    return wanted


def _tails(name: str, text: str) -> tuple[TailRequest, ...]:
    """`[method|all][:confidence[:horizon]]`, separated by commas; a bare confidence means all methods."""
    requests: list[TailRequest] = []
    for item in text.split(","):
        head, *rest = item.split(":")
        if _NUMBER.fullmatch(head):
            head, rest = "all", [head, *rest]
        if head not in (*TAIL_METHODS, "all") or len(rest) > 2:
            raise _refuse(
                name, item, "method:confidence:horizon with method " + "|".join((*TAIL_METHODS, "all"))
            )
        confidence = _number(0.5, 0.9999, "a confidence from 0.5 to 0.9999")(name, rest[0]) if rest else 0.95
        horizon = _count(1, MAX_HORIZON)(name, rest[1]) if len(rest) > 1 else 1
        methods: Sequence[TailMethod] = TAIL_METHODS if head == "all" else (_METHODS[head],)
        requests.extend(TailRequest(method, confidence, horizon) for method in methods)
    if len(requests) > MAX_TAILS:
        raise _refuse(name, text, f"at most {MAX_TAILS} estimates")
    return tuple(requests)


_METHODS: Mapping[str, TailMethod] = {method: method for method in TAIL_METHODS}
_RATE = "an annual rate as a decimal from -0.99 to 1 (0.02 is 2 %)"
_READERS: Mapping[str, tuple[str, Callable[[str, str], object]]] = {
    "from": ("from_us", _instant),
    "to": ("to_us", _end),
    "as_of": ("as_of_us", _instant),
    "currency": ("currency", _currency),
    "rf": ("rf", _number(-0.99, 1.0, _RATE)),
    "mar": ("mar", _number(-0.99, 1.0, _RATE)),
    "frequency": ("frequency", _choice(FREQUENCIES)),
    "periods_per_year": ("periods_per_year", _number(1.0, 31_622_400.0, "a number from 1 to 31622400")),
    "flow_timing": ("flow_timing", _choice(FLOW_TIMINGS)),
    "fees": ("fees", _choice(("net", "gross"))),
    "metrics": ("metrics", _metrics),
    "drawdowns": ("drawdowns", _count(0, MAX_DRAWDOWNS)),
    "var": ("tails", _tails),
    "explain": ("explain", _flag),
}
PARAMETERS = tuple(_READERS)
"""Names of the parameters, in the order of the documentation."""
