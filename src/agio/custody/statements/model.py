"""What a statement is, and which period a caller means. Pure."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

import msgspec

from agio.custody.api import Account
from agio.kernel.problem import InvalidRequest, Problem
from agio.ledger.api import AccountPeriod, ChainLink, Entry

StatementFormat = Literal["json", "csv", "pdf"]

MAX_PDF_ENTRIES: Final = 2_000
SETTLING: Final = timedelta(minutes=5)
"""After this time no booking that was under way at the end of a period can still arrive in it."""

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})", re.ASCII)
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)


class InvalidPeriod(InvalidRequest):
    """`from` and `to` are UTC dates (both days included) or RFC 3339 instants (`to` excluded)."""

    code = "invalid_period"
    title = "Invalid period"


class StatementTooLong(Problem):
    """A PDF has at most 2,000 entries. Take `format=csv`, one asset, or a shorter period."""

    status = 422
    code = "statement_too_long"
    title = "Statement too long for this format"


class Period(msgspec.Struct, frozen=True):
    """From one instant (included) to another (excluded)."""

    start: datetime
    end: datetime

    def is_final(self, now: datetime, head_at: datetime) -> bool:
        """Whether nothing can be booked into it any more."""
        return head_at >= self.end or now >= self.end + SETTLING


class Section(msgspec.Struct, frozen=True):
    """One asset of a statement; opening + credits - debits = closing."""

    period: AccountPeriod
    credits: int
    debits: int

    def is_consistent(self) -> bool:
        return self.period.opening + self.credits - self.debits == self.period.closing


class Statement(msgspec.Struct, frozen=True):
    """An account over a period. `entries` is a part of them, or all, by format."""

    account: Account
    period: Period
    chain: ChainLink
    is_final: bool
    sections: tuple[Section, ...]
    entries: tuple[Entry, ...]
    next_cursor: str | None = None


def parse_period(start: str, end: str) -> Period:
    """The period that two texts mean; raises InvalidPeriod naming the parameter."""
    period = Period(_parse(start, "from", timedelta(0)), _parse(end, "to", timedelta(days=1)))
    if period.start >= period.end:
        raise InvalidPeriod("from must be before to", extra={"field": "from"})
    return period


def _parse(text: str, field: str, day: timedelta) -> datetime:
    instant = _read(text, day)
    if instant is None:
        raise InvalidPeriod(
            f"{field} is a date such as 2026-01-31 or an instant such as 2026-01-31T23:59:59Z",
            extra={"field": field},
        )
    if not _FIRST <= instant <= _LAST:
        raise InvalidPeriod(f"{field} is outside of the years 1970 to 8999", extra={"field": field})
    return instant


def _read(text: str, day: timedelta) -> datetime | None:
    try:
        if _DATE.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC) + day
        if _INSTANT.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    return None
