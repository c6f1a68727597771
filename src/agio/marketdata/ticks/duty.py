"""The engine's duty `ticks`: records quotes, moves what is no longer new to the tick store, keeps that."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

import msgspec
import structlog

from agio.marketdata.errors import StaleWriter
from agio.marketdata.ticks.batches import KINDS
from agio.marketdata.ticks.duck import DuckLimits
from agio.marketdata.ticks.lake import open_for_writing
from agio.marketdata.ticks.mover import Mover
from agio.marketdata.ticks.quote_recorder import QuoteRecorder
from agio.marketdata.ticks.reader import TickReader
from agio.marketdata.ticks.redrawing import Redrawing
from agio.marketdata.ticks.settings import TickStoreAddress, TickStoreSettings
from agio.marketdata.ticks.upkeep import Kept, Upkeep
from agio.marketdata.ticks.writer import TickWriter
from agio.platform.bus import Bus
from agio.platform.clock import Clock
from agio.platform.db import Database

log = structlog.get_logger(__name__)

T = TypeVar("T")
WRITER_LIMITS: Final = DuckLimits(memory_mb=128, threads=2)


class TickDuty:
    """One at a time, under the lease `ticks`: the catalogue refuses the commits of anybody else."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        clock: Clock,
        address: TickStoreAddress,
        settings: TickStoreSettings,
        lease_token: int,
        reader: TickReader,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._quotes = QuoteRecorder(database, bus)
        self._redrawing = Redrawing(database, reader)
        self.writer = TickWriter(
            lambda: open_for_writing(address, WRITER_LIMITS, lease_token), address.data_folder
        )
        self._mover = Mover(database, self.writer)
        self._upkeep = Upkeep(self.writer, settings.retention())
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tick-writer")
        self._kept_at = clock.monotonic()

    async def run(self) -> None:
        """Work until cancelled; raises StaleWriter when another engine took over."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._quotes.run())
                tasks.create_task(self._look_on())
                tasks.create_task(self._redraw_on())
        finally:
            self._thread.shutdown(wait=True)
            self.writer.close()

    async def move(self, now: datetime, *, at_once: bool = False) -> int:
        """Move what is due; returns how many rows."""
        settings = self._settings
        tail = settings.tail(now)
        due_tail = tail if at_once else settings.lagging_tail(now)
        moved = 0
        due = [kind for kind in KINDS if await self._mover.is_due(kind, due_tail)]
        for kind in due:
            while True:
                # Also what an earlier life committed to the store and could not mark.
                await self._in_thread(self.writer.positions)
                await self._mover.mark()
                count = await self._in_thread(partial(self._mover.copy, kind, tail))
                moved += count
                if count == 0:
                    break
        if due:
            deleted = await self._mover.delete()
            log.info("ticks_moved", rows=moved, deleted=deleted)
        return moved

    async def keep(self, now: datetime) -> Kept:
        """Retention and compaction."""
        kept = await self._in_thread(lambda: self._upkeep.run(now))
        log.info("tick_store_kept", **msgspec.structs.asdict(kept))
        return kept

    async def _look_on(self) -> None:
        while True:
            try:
                await self._look()
            except StaleWriter:
                raise
            except Exception as error:
                log.warning("ticks_not_moved", error=repr(error)[:500])
            await asyncio.sleep(self._settings.look_seconds)

    async def _redraw_on(self) -> None:
        while True:
            try:
                await self._redrawing.run()
            except Exception as error:
                log.warning("bars_not_redrawn", error=repr(error)[:500])
            await asyncio.sleep(self._settings.redraw_seconds)

    async def _look(self) -> None:
        moved = await self.move(self._clock.now())
        is_time = self._clock.monotonic() - self._kept_at > self._settings.upkeep_minutes * 60
        if moved and is_time:
            self._kept_at = self._clock.monotonic()
            await self.keep(self._clock.now())
        if moved:
            # Its buffers are worth more to others until the next time.
            await self._in_thread(self.writer.close)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run in the writer's thread; when cancelled, wait until the step has ended."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait({future})
            raise
