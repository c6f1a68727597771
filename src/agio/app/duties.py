"""Runs the engine's duties: each under its lease, restarted when it fails, given up when it is taken over."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import structlog

from agio.platform import leases
from agio.platform.clock import Clock
from agio.platform.db import Database
from agio.platform.leases import Lease

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 5.0
HEALTHY_SECONDS = 30.0

log = structlog.get_logger(__name__)


class Duty(NamedTuple):
    """Work that one process in the whole installation does at a time."""

    name: str
    work: Callable[[Lease], Awaitable[None]]
    """Runs until cancelled. Builds its state from the database each time it starts."""


async def run_duties(duties: list[Duty], database: Database, clock: Clock, holder: str) -> None:
    """Run all duties until cancelled."""
    async with asyncio.TaskGroup() as group:
        for duty in duties:
            group.create_task(_hold(duty, database, clock, holder), name=duty.name)


async def _hold(duty: Duty, database: Database, clock: Clock, holder: str) -> None:
    delay = FIRST_DELAY_SECONDS
    while True:
        lease = await leases.wait_for(database, clock, duty.name, holder)
        log.info("duty_started", duty=duty.name, token=lease.token)
        started = clock.monotonic()
        try:
            await _work_while_held(duty, lease)
        except Exception:
            log.exception("duty_failed", duty=duty.name)
        if clock.monotonic() - started > HEALTHY_SECONDS:
            delay = FIRST_DELAY_SECONDS
        await asyncio.sleep(delay)
        delay = min(LONGEST_DELAY_SECONDS, delay * 2)


async def _work_while_held(duty: Duty, lease: Lease) -> None:
    """Whichever ends first, the work or the lease, ends the other."""
    async with asyncio.TaskGroup() as group:
        keeper = group.create_task(lease.keep())
        await duty.work(lease)
        keeper.cancel()
