"""Exact numbers from the texts of venues: prices, sizes and times, never through floats."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

MAX_DIGITS: Final = 38
"""As many as the ledger's amounts have; a longer number is a fault of the venue or of the line."""
LAST_NS: Final = 2**63 - 1
"""The last instant that 64 bits of nanoseconds can hold, in 2262."""

_SHOWN: Final = 40
_POWERS: Final[tuple[int, ...]] = tuple(int(10**exponent) for exponent in range(2 * MAX_DIGITS + 1))
_NANOSECOND_DIGITS: Final = 9


class BadNumber(ValueError):
    """A text that is no plain non-negative decimal number, or is absurdly long."""


class OffTick(BadNumber):
    """A number between two steps: the instrument's tick or lot is not what we were told."""


class Step:
    """Reads decimal texts as whole multiples of a positive step, such as a tick of 0.05."""

    __slots__ = ("_decimals", "_multiple", "step")

    def __init__(self, step: Decimal) -> None:
        sign, digits, exponent = step.as_tuple()
        if not isinstance(exponent, int) or sign or not any(digits):
            raise ValueError(f"a step is a positive number, not {step}")
        if abs(exponent) > MAX_DIGITS:
            raise ValueError(f"a step has at most {MAX_DIGITS} decimals, not {step}")
        self.step = step
        self._decimals = max(-exponent, 0)
        self._multiple = int(step.scaleb(self._decimals))

    def read(self, text: str) -> int:
        """How many steps the text is. Raises BadNumber, or OffTick when it is not a whole number of them."""
        whole, _, fraction = text.partition(".")
        digits = whole + fraction
        spare = self._decimals - len(fraction)
        if not (digits.isdigit() and digits.isascii() and len(digits) + spare <= MAX_DIGITS):
            raise BadNumber(f"{text[:_SHOWN]!r} is no plain decimal number of {MAX_DIGITS} digits")
        if not whole or text[-1] == "." or spare < -MAX_DIGITS:
            raise BadNumber(f"{text[:_SHOWN]!r} is no plain decimal number")
        if spare >= 0 and self._multiple == 1:
            return int(digits) * _POWERS[spare]
        return self._read_across(text, int(digits), spare)

    def _read_across(self, text: str, number: int, spare: int) -> int:
        """The same where the text is finer than the step's decimals, or the step no power of ten."""
        divisor = self._multiple
        if spare >= 0:
            number *= _POWERS[spare]
        else:
            divisor *= _POWERS[-spare]
        steps, rest = divmod(number, divisor)
        if rest:
            raise OffTick(f"{text[:_SHOWN]} is no multiple of {self.step}")
        return steps

    def read_positive(self, text: str) -> int:
        """The same, and 0 is refused."""
        number = self.read(text)
        if number == 0:
            raise BadNumber("a price is above 0")
        return number


def decimal_step(decimals: int) -> Decimal:
    """The step of a number of decimals: 0.01 of 2. Raises BadNumber for an absurd one."""
    if not 0 <= decimals <= MAX_DIGITS:
        raise BadNumber(f"{decimals} decimals")
    return Decimal(1).scaleb(-decimals)


def instant_ns(nanoseconds: int) -> int:
    """The same number, if it is an instant from 1970 on that 64 bits can hold. Raises BadNumber."""
    if not 0 <= nanoseconds <= LAST_NS:
        raise BadNumber("a time before 1970, or too far away for nanoseconds of 64 bits")
    return nanoseconds


def seconds_to_ns(text: str) -> int:
    """Nanoseconds of `1618678145.920470`: seconds since 1970 with at most 9 decimals."""
    return instant_ns(_SECONDS.read(text))


def milliseconds_to_ns(text: str) -> int:
    """Nanoseconds of `1652459223003`: milliseconds since 1970 as text."""
    return instant_ns(_MILLISECONDS.read(text))


_SECONDS: Final = Step(Decimal("1e-9"))
_MILLISECONDS: Final = Step(Decimal("1e-6"))


def rfc3339_to_ns(text: str) -> int:
    """Nanoseconds of `2026-08-09T21:05:48.483587501Z`: UTC, at most 9 decimals. Raises BadNumber."""
    if not text.endswith("Z") or not text.isascii():
        raise BadNumber(f"{text[:40]!r} is no UTC time")
    second, _, fraction = text[:-1].partition(".")
    if len(fraction) > _NANOSECOND_DIGITS or (fraction and not fraction.isdigit()):
        raise BadNumber(f"{text[:40]!r} is no time in nanoseconds")
    return instant_ns(_second(second) + int(fraction.ljust(_NANOSECOND_DIGITS, "0")))


@lru_cache(maxsize=1024)
def _second(text: str) -> int:
    """Nanoseconds of a whole second. A feed repeats the same second many times."""
    try:
        instant = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError as fault:
        raise BadNumber(f"{text[:40]!r} is no time") from fault
    return int(instant.timestamp()) * 10**9
