"""What a whole tape says about itself once every line of it has been checked."""

from typing import Final

import msgspec

from agio.marketdata.errors import TapeError

MAX_SCALE: Final = 9
MAX_DIGITS: Final = 18
"""Digits of a scaled price or size; nineteen do not always fit a signed 64-bit integer."""
_MAX_SUM: Final = 2**63 - 1


class TapeLimits(msgspec.Struct, frozen=True):
    """How much tape is accepted. Uncompressed bytes, so that a small file cannot unpack into a disk."""

    max_line_bytes: int = 256
    max_bytes: int = 4 * 1024**3
    max_rows: int = 50_000_000


class Survey(msgspec.Struct, frozen=True):
    """A valid tape: its length, its span, its precision."""

    rows: int
    first_ns: int
    last_ns: int
    price_scale: int
    quantity_scale: int
    volume: int
    """Sum of sizes at `quantity_scale`; 0 for quotes."""


class Precision:
    """Finds how many decimals and digits a column of decimal texts needs."""

    __slots__ = ("_line", "_whole", "scale")

    def __init__(self) -> None:
        self.scale = 0
        self._whole = 1
        self._line = 0

    def add(self, whole: int, decimals: int, line: int) -> None:
        """Take in a number with this many digits before the point and significant ones behind it."""
        if decimals > self.scale:
            self.scale, self._line = decimals, line
        if whole > self._whole:
            self._whole, self._line = whole, line

    def check(self, what: str) -> int:
        """The scale; raises TapeError naming the line that asked for too much."""
        if self.scale > MAX_SCALE:
            raise TapeError(f"{what} has more than {MAX_SCALE} decimals", self._line)
        if self._whole + self.scale > MAX_DIGITS:
            raise TapeError(
                f"{what} needs more than {MAX_DIGITS} digits together with the others", self._line
            )
        return self.scale


def check_volume(volume: int) -> int:
    if volume > _MAX_SUM:
        raise TapeError("the sum of all sizes needs more than 63 bits")
    return volume
