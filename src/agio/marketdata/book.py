"""Order book arithmetic: what changed between two books, and the checksum that proves a copy right."""

import zlib
from collections.abc import Iterable, Sequence
from typing import Final

from agio.marketdata.events import Level

CHECKSUM_DEPTH: Final = 10


def changed_levels(before: Sequence[Level], after: Sequence[Level]) -> list[Level]:
    """The levels of one side that are new or changed, then those that went, with size 0."""
    old, new = dict(before), dict(after)
    changes = [(price, size) for price, size in after if old.get(price) != size]
    changes.extend((price, 0) for price, _ in before if price not in new)
    return changes


def apply_levels(side: Iterable[Level], changes: Iterable[Level], *, best_is_highest: bool) -> list[Level]:
    """The side after the changes, best first."""
    levels = dict(side)
    for price, size in changes:
        if size:
            levels[price] = size
        else:
            levels.pop(price, None)
    return sorted(levels.items(), reverse=best_is_highest)


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """CRC32 of the top ten levels: asks, then bids, each best first, price then size as bare digits.

    The digits of a decimal text without its point and without leading zeros are the scaled integer itself
    (Kraken WebSocket v2, "Book checksum").
    """
    levels = [*asks[:CHECKSUM_DEPTH], *bids[:CHECKSUM_DEPTH]]
    return zlib.crc32("".join(f"{price}{size}" for price, size in levels).encode())
