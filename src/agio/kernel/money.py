"""Amounts: integers in the smallest unit inside, plain decimal text outside. Floats never."""

import re

from agio.kernel.problem import InvalidRequest

MAX_DIGITS = 38
"""As many digits as `NUMERIC(38,0)` holds."""

_DECIMAL = re.compile(r"^(-?)([0-9]+)(?:\.([0-9]+))?$", re.ASCII)
_SHOWN = 40


class InvalidAmount(InvalidRequest):
    """A text that is not a plain decimal number, or has more decimals than its asset or instrument allows."""

    code = "invalid_amount"
    title = "Invalid amount"


def parse_decimal(text: str, scale: int, *, field: str = "amount") -> int:
    """Read plain decimal text as an integer in units of 10**-scale.

    Refuses exponents, NaN, infinities, signs other than a leading minus, blanks, more than 38 digits and
    any digit beyond the scale (trailing zeros there are allowed: nothing is lost by them).
    Raises InvalidAmount with the field's name.
    """
    match = _DECIMAL.fullmatch(text) if len(text) <= MAX_DIGITS * 2 else None
    if match is None:
        raise InvalidAmount(
            f"{field} must be a plain decimal such as 12.50, not {text[:_SHOWN]!r}", extra={"field": field}
        )
    sign, whole, fraction = match[1], match[2], (match[3] or "").rstrip("0")
    if len(fraction) > scale:
        raise InvalidAmount(
            f"{field} allows {scale} decimals, {text[:_SHOWN]!r} has more", extra={"field": field}
        )
    digits = (whole + fraction.ljust(scale, "0")).lstrip("0") or "0"
    if len(digits) > MAX_DIGITS:
        raise InvalidAmount(f"{field} has more than {MAX_DIGITS} digits", extra={"field": field})
    number = int(digits)
    return -number if sign else number


def format_decimal(amount: int, scale: int) -> str:
    """Write an integer in units of 10**-scale with all its decimals: (164025, 2) is "1640.25"."""
    if scale == 0:
        return str(amount)
    sign = "-" if amount < 0 else ""
    digits = str(abs(amount)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"
