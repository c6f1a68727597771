"""The engine's duty of playing what was asked for: picks rows up, goes on with those a crash left behind."""

import asyncio
from typing import Final

import structlog

from agio.kernel.problem import Problem, Unavailable
from agio.marketdata.api import StaleWriter
from agio.marketdata.errors import TapeError
from agio.marketdata.events import REPLAY_NUDGE
from agio.marketdata.instruments import InstrumentRegistry
from agio.marketdata.model import TAPE, tape_instrument
from agio.marketdata.recorder import WriteAbandoned
from agio.marketdata.replays import store
from agio.marketdata.replays.model import Replay
from agio.marketdata.replays.players import Stage, play
from agio.platform.bus import Bus

log = structlog.get_logger(__name__)

MAX_CONCURRENT: Final = 4
POLL_SECONDS: Final = 0.5
RETRY_SECONDS: Final = 1.0


class ReplayDuty:
    """Run it in one engine at a time, under the same lease as the recorder's fence."""

    def __init__(self, bus: Bus, stage: Stage, registry: InstrumentRegistry) -> None:
        self._bus = bus
        self._stage = stage
        self._registry = registry
        self._playing: dict[str, asyncio.Task[None]] = {}
        self._nudged = asyncio.Event()

    async def run(self) -> None:
        """Play until cancelled; raises StaleWriter when the lease was lost."""
        await self._stage.gate.start()
        subscription = await self._bus.subscribe(REPLAY_NUDGE, self._take_nudge)
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._look(tasks)
                    await self._pause()
        except* StaleWriter as group:
            raise group.exceptions[0] from None
        finally:
            await subscription.unsubscribe()
            await self._stage.gate.stop()

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        """Start what is asked for and stop what is no longer."""
        try:
            async with self._stage.database.transaction() as tx:
                active = {replay.replay_id: replay for replay in await store.read_active(tx)}
        except Exception as error:
            log.warning("replays_not_read", error=repr(error))
            return
        for replay_id, task in self._playing.items():
            if replay_id not in active:
                task.cancel()
        for replay in active.values():
            if replay.replay_id not in self._playing and len(self._playing) < MAX_CONCURRENT:
                self._playing[replay.replay_id] = tasks.create_task(self._play(replay))

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._nudged.wait()
        except TimeoutError:
            return
        finally:
            self._nudged.clear()

    async def _play(self, replay: Replay) -> None:
        """One attempt; when the machinery fails the row stays as it is and the next look finds it again."""
        try:
            await self._play_to_its_end(replay)
        except StaleWriter:
            raise
        except WriteAbandoned:
            log.info("replay_canceled", replay_id=replay.replay_id)
        except Exception as error:
            await self._handle_failure(replay, error)
        finally:
            del self._playing[replay.replay_id]
            if not self._playing:
                self._stage.publisher.close_venue(TAPE)

    async def _play_to_its_end(self, replay: Replay) -> None:
        wanted = tape_instrument(replay.symbol, replay.price_scale, replay.quantity_scale)
        instrument = await self._registry.ensure_tape_instrument(wanted)
        async with self._stage.database.transaction() as tx:
            running = await store.start_replay(tx, replay.replay_id)
        if running is None:
            return
        log.info("replay_playing", replay_id=replay.replay_id, path=replay.path, done=running.done)
        await play(self._stage, running, instrument)
        log.info("replay_done", replay_id=replay.replay_id, trades=running.total)

    async def _handle_failure(self, replay: Replay, error: Exception) -> None:
        """A tape that cannot be played has failed; an outage of the database has only interrupted it."""
        if isinstance(error, Problem) and not isinstance(error, Unavailable):
            log.warning("replay_failed", replay_id=replay.replay_id, problem=error.detail)
            line = error.line if isinstance(error, TapeError) else None
            try:
                async with self._stage.database.transaction() as tx:
                    await store.fail_replay(tx, replay.replay_id, error.detail, line)
            except Exception as failure:
                log.warning("replay_failure_not_saved", replay_id=replay.replay_id, error=repr(failure))
        else:
            log.warning("replay_interrupted", replay_id=replay.replay_id, error=repr(error))
        await asyncio.sleep(RETRY_SECONDS)

    async def _take_nudge(self, _subject: str, _payload: bytes) -> None:
        self._nudged.set()
