"""Instants: aware UTC datetimes inside, RFC 3339 with `Z` outside; micro- or nanoseconds as integers."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970 of an aware datetime, exact."""
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def from_nanos(nanos: int) -> datetime:
    """The instant of a nanosecond stamp, truncated to the microsecond that a datetime can hold."""
    return from_micros(nanos // 1000)


def format_micros(micros: int) -> str:
    """RFC 3339 text with six decimals and `Z`."""
    return from_micros(micros).isoformat(timespec="microseconds").replace("+00:00", "Z")


def format_instant(instant: datetime) -> str:
    """RFC 3339 text with six decimals and `Z`."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
