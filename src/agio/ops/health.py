"""Readiness: each part that a request needs, asked briefly and all at once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

import msgspec

from agio.ops.errors import NotReady
from agio.platform.bus import Bus
from agio.platform.db import Database

CHECK_SECONDS = 2.0
"""A part that takes longer to answer counts as down."""

Check = Callable[[], Awaitable[str | None]]
"""Answers None when the part works, else a sentence that says why not."""


class CheckResult(msgspec.Struct, frozen=True):
    """One part's state."""

    name: str
    state: Literal["ok", "failing"]
    reason: str | None = None


class Readiness(msgspec.Struct, frozen=True):
    """All parts' states."""

    status: Literal["ready"]
    checks: list[CheckResult]


class ReadinessChecks:
    """Asks every part."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = dict(checks)

    async def run(self) -> Readiness:
        """All states when all are well; raises NotReady with the reasons otherwise."""
        results = await asyncio.gather(*(_run(name, check) for name, check in self._checks.items()))
        reasons = [f"{result.name}: {result.reason}" for result in results if result.state != "ok"]
        if reasons:
            raise NotReady(
                "; ".join(reasons),
                extra={"checks": msgspec.to_builtins(results)},
                headers={"Retry-After": "1"},
            )
        return Readiness("ready", list(results))


async def _run(name: str, check: Check) -> CheckResult:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            reason = await check()
    except TimeoutError:
        reason = f"no answer within {CHECK_SECONDS:g} s"
    except Exception as error:
        reason = type(error).__name__
    return CheckResult(name, "ok" if reason is None else "failing", reason)


def database_check(database: Database) -> Check:
    """Whether a transaction can be made."""

    async def check() -> str | None:
        async with database.transaction() as tx:
            await tx.value("select 1")
        return None

    return check


def bus_check(bus: Bus) -> Check:
    """Whether the bus is connected."""

    async def check() -> str | None:
        return None if bus.is_connected else "not connected"

    return check


class _HeldLease(msgspec.Struct):
    duty: str
    is_fresh: bool


def lease_check(database: Database, duties: Sequence[str]) -> Check:
    """Whether some engine holds every duty."""

    async def check() -> str | None:
        async with database.transaction() as tx:
            held = await tx.fetch(
                _HeldLease,
                "select duty, expires_at > clock_timestamp() as is_fresh from platform.lease"
                " where duty = any(%s)",
                (list(duties),),
            )
        fresh = {lease.duty for lease in held if lease.is_fresh}
        missing = [duty for duty in duties if duty not in fresh]
        return f"no engine holds: {', '.join(missing)}" if missing else None

    return check
