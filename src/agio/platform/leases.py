"""Duties that exactly one process holds, with a fencing token that the database checks.

A holder renews its lease while it works. Should it stall past the lease's end, another process takes the
duty with a higher token, and `platform.assert_lease` refuses the old holder's writes.
"""

import asyncio
from datetime import timedelta

import structlog

from agio.platform.clock import Clock
from agio.platform.db import Database

LEASE_SECONDS = 6.0
RENEW_SECONDS = 1.5

log = structlog.get_logger(__name__)


class LeaseLost(Exception):
    """Another process holds the duty now."""


class Lease:
    """One duty held by this process."""

    def __init__(self, database: Database, clock: Clock, duty: str, token: int) -> None:
        self._database = database
        self._clock = clock
        self.duty = duty
        self.token = token

    async def keep(self) -> None:
        """Renew until cancelled; raises LeaseLost once somebody else holds the duty or time has run out."""
        renewed_at = self._clock.monotonic()
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            try:
                async with self._database.transaction() as tx:
                    is_held = await tx.value(
                        "select platform.renew_lease(%s, %s, %s)",
                        (self.duty, self.token, timedelta(seconds=LEASE_SECONDS)),
                    )
            except Exception as error:
                log.warning("lease_not_renewed", duty=self.duty, error=str(error))
                if self._clock.monotonic() - renewed_at > LEASE_SECONDS:
                    raise LeaseLost(
                        f"{self.duty}: the database did not answer for {LEASE_SECONDS} s"
                    ) from error
                continue
            if not is_held:
                raise LeaseLost(f"{self.duty} was taken over by another process")
            renewed_at = self._clock.monotonic()


async def acquire(database: Database, clock: Clock, duty: str, holder: str) -> Lease | None:
    """Take a duty that is free, expired, or ours from an earlier life; None while another holds it."""
    async with database.transaction() as tx:
        token = await tx.value(
            "select platform.acquire_lease(%s, %s, %s)", (duty, holder, timedelta(seconds=LEASE_SECONDS))
        )
    return Lease(database, clock, duty, token) if token is not None else None


async def wait_for(database: Database, clock: Clock, duty: str, holder: str) -> Lease:
    """Stand by until the duty is ours."""
    while True:
        try:
            lease = await acquire(database, clock, duty, holder)
        except Exception as error:
            log.warning("lease_not_acquired", duty=duty, error=str(error))
            lease = None
        if lease is not None:
            return lease
        await asyncio.sleep(RENEW_SECONDS)
