"""Playing one tape: pace, durability, listeners, publication, and going on after a crash."""

import asyncio
from collections.abc import Iterator
from typing import Final, Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

import structlog

from agio.kernel.problem import Problem
from agio.marketdata.api import Instrument, Recorded, TradeListener
from agio.marketdata.errors import TapeError
from agio.marketdata.events import MAX_BATCH, TradeBatch
from agio.marketdata.history import TradeTable
from agio.marketdata.publisher import Publisher
from agio.marketdata.recorder import Recorder, WriteAbandoned, split_batch
from agio.marketdata.replays import store
from agio.marketdata.replays.model import AS_FAST_AS_POSSIBLE, Pace, Replay
from agio.marketdata.replays.pressure import PressureGate
from agio.marketdata.replays.tape_reader import RowQueue
from agio.marketdata.tape.files import TapeFile, open_tape
from agio.marketdata.tape.quotes import TapeQuote, read_quotes
from agio.marketdata.tape.survey import TapeLimits
from agio.marketdata.tape.trades import read_trades
from agio.platform.clock import Clock
from agio.platform.db import Database, Transaction

log = structlog.get_logger(__name__)

MAX_SLEEP_SECONDS: Final = 1.0
MIN_BATCH_SECONDS: Final = 0.01
"""Trades that are due within this time go into one transaction."""
LAG_SECONDS: Final = 1.0
"""Further behind than this (an outage), the pace starts from the present instead of catching up."""
SAVE_SECONDS: Final = 1.0
LISTENER_BACKOFF_SECONDS: Final = 0.2


class _Timed(Protocol):
    @property
    def venue_time_ns(self) -> int: ...


Row = TypeVar("Row", bound=_Timed)


class Stage:
    """What every player stands on."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        recorder: Recorder,
        publisher: Publisher,
        gate: PressureGate,
        listeners: tuple[TradeListener, ...],
        limits: TapeLimits,
        history: TradeTable | None = None,
    ) -> None:
        self.database = database
        self.history = history or TradeTable(database)
        self.clock = clock
        self.recorder = recorder
        self.publisher = publisher
        self.gate = gate
        self.listeners = listeners
        self.limits = limits


async def play(stage: Stage, replay: Replay, instrument: Instrument) -> None:
    """Play a running replay from its position to its end; raises TapeError, StaleWriter, WriteAbandoned."""
    with await asyncio.to_thread(_open_unchanged, replay) as tape:
        if replay.kind == "quotes":
            await _QuotePlayer(stage, replay, instrument, tape).play()
        else:
            await _TradePlayer(stage, replay, instrument, tape).play()
    async with stage.database.transaction() as tx:
        await store.finish_replay(tx, replay.replay_id)


def _open_unchanged(replay: Replay) -> TapeFile:
    try:
        tape = open_tape(replay.path)
    except Problem as problem:
        raise TapeError(problem.detail) from problem
    if (tape.size, tape.modified_ns) != (replay.file_size, replay.file_modified_ns):
        tape.close()
        raise TapeError("the file was changed after it was checked")
    return tape


class _TradePlayer:
    def __init__(self, stage: Stage, replay: Replay, instrument: Instrument, tape: TapeFile) -> None:
        self._stage = stage
        self._replay = replay
        self._symbol = instrument.symbol
        self._venue = instrument.venue
        self._done = replay.done
        self._heard = replay.heard
        rows = read_trades(
            tape,
            ZoneInfo(replay.time_zone),
            stage.limits,
            instrument.price_scale,
            instrument.quantity_scale,
        )
        self._due = _DueRows(stage, replay, rows, self._venue)

    async def play(self) -> None:
        await self._repeat_unheard()
        while trades := await self._due.next():
            recorded = await self._stage.recorder.write(
                self._symbol,
                trades,
                self._advance,
                rewind_to_ns=self._replay.first_ns if self._done == 0 else None,
            )
            self._done += len(trades)
            await self._present(recorded)

    async def _repeat_unheard(self) -> None:
        """After a crash: offer and tell again what was durable and may not have been heard."""
        replay = self._replay
        if replay.first_seq is None:
            return
        while self._heard < self._done:
            after_seq = replay.first_seq - 1 + self._heard
            limit = min(MAX_BATCH, self._done - self._heard)
            batches = await self._stage.history.trades_after(self._symbol, after_seq, limit)
            for batch in batches:
                await self._offer(batch)
                await self._stage.recorder.tell(batch)
                self._heard += len(batch.trades)
            if not batches:
                raise TapeError("trades that were played have been deleted meanwhile")

    async def _advance(self, tx: Transaction, batch: TradeBatch) -> None:
        is_running = await store.advance_replay(
            tx,
            self._replay.replay_id,
            done=self._done + len(batch.trades),
            heard=self._heard,
            venue_time_ns=batch.trades[-1].venue_time_ns,
            first_seq=batch.first_seq,
        )
        if not is_running:
            raise WriteAbandoned(f"{self._replay.replay_id} is no longer running")

    async def _present(self, recorded: Recorded) -> None:
        parts = split_batch(recorded.batch)
        for part in parts:
            await self._offer(part)
            await self._stage.recorder.tell(part)
        self._stage.publisher.publish_last(recorded.batch)
        self._stage.publisher.publish_bars(recorded.bars)
        self._heard = self._done

    async def _offer(self, batch: TradeBatch) -> None:
        for listener in self._stage.listeners:
            await _insist(listener, self._symbol, batch)


async def _insist(listener: TradeListener, symbol: str, batch: TradeBatch) -> None:
    """The tape does not go on without its listeners: the fills of these trades come before their news."""
    while True:
        try:
            await listener.on_trades(symbol, batch)
        except Exception:
            log.exception("trade_listener_failed", symbol=symbol, first_seq=batch.first_seq)
            await asyncio.sleep(LISTENER_BACKOFF_SECONDS)
        else:
            return


class _QuotePlayer:
    """Quotes are state: they are told, not stored; only the position on the tape is saved now and then."""

    def __init__(self, stage: Stage, replay: Replay, instrument: Instrument, tape: TapeFile) -> None:
        self._stage = stage
        self._replay = replay
        self._symbol = instrument.symbol
        self._done = replay.done
        rows = read_quotes(tape, instrument.price_scale, instrument.quantity_scale)
        self._due = _DueRows(stage, replay, rows, instrument.venue)

    async def play(self) -> None:
        saved_at = self._stage.clock.monotonic()
        while quotes := await self._due.next():
            newest = quotes[-1]
            self._stage.publisher.publish_quote(
                self._symbol,
                bid=newest.bid,
                bid_size=newest.bid_size,
                ask=newest.ask,
                ask_size=newest.ask_size,
                venue_time_ns=newest.venue_time_ns,
            )
            self._done += len(quotes)
            now = self._stage.clock.monotonic()
            if now - saved_at >= SAVE_SECONDS or self._done == self._replay.total:
                await self._save(newest)
                saved_at = now

    async def _save(self, newest: TapeQuote) -> None:
        async with self._stage.database.transaction() as tx:
            is_running = await store.advance_replay(
                tx,
                self._replay.replay_id,
                done=self._done,
                heard=self._done,
                venue_time_ns=newest.venue_time_ns,
                first_seq=None,
            )
        if not is_running:
            raise WriteAbandoned(f"{self._replay.replay_id} is no longer running")


class _DueRows(Generic[Row]):
    """The rows of a tape as they become due, at least one at a time, until the tape ends."""

    def __init__(self, stage: Stage, replay: Replay, rows: Iterator[Row], venue: str) -> None:
        self._stage = stage
        self._is_paced = replay.speed != AS_FAST_AS_POSSIBLE
        self._pace = Pace(replay.speed)
        self._queue = RowQueue(rows, replay.done)
        self._venue = venue
        self._served_at = float("-inf")

    async def next(self) -> list[Row]:
        """Wait for pressure to end and for the next rows to be due; empty at the end."""
        has_waited = await self._stage.gate.wait()
        first = await self._queue.peek()
        if first is None:
            return []
        self._stage.publisher.touch(self._venue)
        if not self._is_paced:
            return self._queue.take_all()
        if has_waited:
            self._pace.anchor(first.venue_time_ns, self._stage.clock.monotonic())
        await self._wait_until_due(first)
        return self._take_due()

    async def _wait_until_due(self, first: Row) -> None:
        now = self._stage.clock.monotonic()
        await asyncio.sleep(max(0.0, self._served_at + MIN_BATCH_SECONDS - now))
        while True:
            now = self._stage.clock.monotonic()
            wait_seconds = self._pace.wait_seconds(first.venue_time_ns, now)
            if wait_seconds < -LAG_SECONDS:
                self._pace.anchor(first.venue_time_ns, now)
            if wait_seconds <= 0:
                return
            await asyncio.sleep(min(wait_seconds, MAX_SLEEP_SECONDS))
            self._stage.publisher.touch(self._venue)

    def _take_due(self) -> list[Row]:
        now = self._stage.clock.monotonic()
        self._served_at = now
        due: list[Row] = []
        while (row := self._queue.head) is not None and len(due) < MAX_BATCH:
            if due and self._pace.wait_seconds(row.venue_time_ns, now) > 0:
                break
            due.append(self._queue.take())
        return due
