"""What is wrong with a recorded or live market, by name and place: findings are values, nothing raises."""

from typing import Literal

import msgspec

FindingCode = Literal[
    "header",
    "truncated",
    "unterminated",
    "too_long",
    "too_many_records",
    "shape",
    "number",
    "off_tick",
    "negative",
    "unknown_symbol",
    "time_back",
    "received_back",
    "unknown_order",
    "duplicate_order",
    "side_changed",
    "overfill",
    "too_many_orders",
    "window",
    "gap",
]


class Finding(msgspec.Struct, frozen=True):
    """One fault. `record` counts from 1: a line of text or a record of a binary file; 0 when unknown."""

    code: FindingCode
    record: int
    detail: str

    def __str__(self) -> str:
        return f"{self.code} at {self.record}: {self.detail}"
