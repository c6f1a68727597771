"""Work of the engine that nobody waits for."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from agio.kernel.time import to_micros
from agio.marketdata import store
from agio.marketdata.model import SIM
from agio.marketdata.settings import MarketDataSettings
from agio.platform.clock import Clock
from agio.platform.db import Database

log = structlog.get_logger(__name__)

SWEEP_ROWS: Final = 5000


class Sweeper:
    """Deletes trades and 1 s bars of the simulated exchange that are older than they are kept."""

    def __init__(self, database: Database, clock: Clock, settings: MarketDataSettings) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings

    async def run(self) -> None:
        while True:
            try:
                await self.sweep()
            except Exception as error:
                log.warning("sweep_failed", error=repr(error))
            await asyncio.sleep(self._settings.sweep_seconds)

    async def sweep(self) -> int:
        """Delete everything that is due, in transactions of bounded size; returns how many trades."""
        now = self._clock.now()
        trades_before = now - timedelta(days=self._settings.trade_retention_days)
        bars_before = now - timedelta(days=self._settings.bar_retention_days)
        async with self._database.transaction() as tx:
            await store.sweep_bars(tx, SIM, "1s", to_micros(bars_before) * 1000)
        swept = 0
        while True:
            async with self._database.transaction() as tx:
                count = await store.sweep_trades(tx, SIM, trades_before, SWEEP_ROWS)
            swept += count
            if count == 0:
                return swept
            await asyncio.sleep(0)
