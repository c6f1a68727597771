"""Limits: pure arithmetic over what was held before."""

from typing import assert_never

import msgspec

from agio.custody.policy.decision import Facts
from agio.custody.policy.model import FULL_BASIS_POINTS, Dimension, Limit
from agio.kernel.money import format_decimal, parse_decimal


class Usage(msgspec.Struct, frozen=True):
    """What was held in a window and not given back: `held` of the request's asset, of which `settled` is gone
    from the balance already; `count` requests of any asset."""

    held: int = 0
    settled: int = 0
    count: int = 0


class Window(msgspec.Struct, frozen=True):
    """Which earlier requests a limit adds up."""

    dimension: Dimension
    seconds: int


class LimitReading(msgspec.Struct, frozen=True):
    """A limit against a request: `used` before it, `wanted` by it, `allowed` in all; amounts or counts."""

    limit: Limit
    used: str
    wanted: str
    allowed: str
    holds: bool


def window_of(limit: Limit) -> Window | None:
    """The window that must be read before the limit can be; None for limits of a single request."""
    return None if limit.window_seconds is None else Window(limit.per, limit.window_seconds)


def read_limit(limit: Limit, facts: Facts, usage: Usage, balance: int) -> LimitReading:
    """Whether the request fits. `balance`: the sub-account's total now, holds included."""
    used, wanted, scale = usage.held, facts.amount, facts.scale
    match limit.kind:
        case "per_transaction" | "rolling":
            allowed = parse_decimal(limit.amount or "0", facts.scale)
            used = used if limit.kind == "rolling" else 0
        case "share_of_balance":
            used = used if limit.window_seconds is not None else 0
            # What the window took away belongs to the balance of which it was a share.
            base = balance + (usage.settled if limit.window_seconds is not None else 0)
            allowed = max(0, base) * (limit.basis_points or 0) // FULL_BASIS_POINTS
        case "count":
            used, wanted, allowed, scale = usage.count, 1, limit.count or 0, 0
        case _:
            assert_never(limit.kind)
    return LimitReading(
        limit,
        format_decimal(used, scale),
        format_decimal(wanted, scale),
        format_decimal(allowed, scale),
        used + wanted <= allowed,
    )
