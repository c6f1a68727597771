"""Gives trades their sequence and makes them durable, exactly once, before anybody hears of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import psycopg
import structlog

from agio.kernel.problem import Unavailable
from agio.marketdata import store, trade_store
from agio.marketdata.api import Fence, Recorded, StaleWriter
from agio.marketdata.bars import TooMuchVolume, fold_trades
from agio.marketdata.events import (
    CANCELS,
    INTERVAL_NS,
    MAX_BATCH,
    NO_CORRECTION,
    Trade,
    TradeBatch,
    encode,
    trades_subject,
)
from agio.marketdata.publisher import Publisher
from agio.platform.bus import Bus
from agio.platform.clock import Clock
from agio.platform.db import Database, Transaction

log = structlog.get_logger(__name__)

FIRST_BACKOFF_SECONDS = 0.05
LAST_BACKOFF_SECONDS = 2.0
MAX_FAULTS = 5
"""Failures that no outage explains, after which a write is given up."""
_LEASE_LOST = "AG001"
UNSTORABLE = (psycopg.DataError, TooMuchVolume)
"""What a write raises for the sake of its trades: others can still be written."""
_REFUSALS = (*UNSTORABLE, psycopg.IntegrityError, psycopg.ProgrammingError)
_OUTAGES = (psycopg.OperationalError, psycopg.InterfaceError, Unavailable, OSError)


class WriteAbandoned(Exception):
    """Raised by what runs in the same transaction: the write is not wanted any more, so do not retry it."""


InSameTransaction = Callable[[Transaction, TradeBatch], Awaitable[None]]


async def _nothing_else(_tx: Transaction, _batch: TradeBatch) -> None:
    return None


class Recorder:
    """The writer of trades (api.TradeRecorder)."""

    def __init__(
        self, database: Database, bus: Bus, clock: Clock, publisher: Publisher, fence: Fence | None = None
    ) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._publisher = publisher
        self._fence = fence

    async def append(
        self, symbol: str, trades: Sequence[Trade], *, received_us: int | None = None
    ) -> TradeBatch:
        recorded = await self.write(symbol, trades, received_us=received_us)
        await self.announce(recorded)
        return recorded.batch

    async def write(
        self,
        symbol: str,
        trades: Sequence[Trade],
        also: InSameTransaction = _nothing_else,
        *,
        rewind_to_ns: int | None = None,
        received_us: int | None = None,
    ) -> Recorded:
        """Make trades durable in one transaction together with what `also` does; tells nobody.

        `received_us` is when they came, now by default.

        Any exception of an attempt means "outcome unknown": the table is read to learn it, and the attempt
        repeated only when nothing of it is there.
        """
        attempt = _Attempt(self._clock.now_micros() if received_us is None else received_us)
        while True:
            try:
                async with self._database.transaction() as tx:
                    if await self._is_already_written(tx, symbol, trades, attempt):
                        break
                    await self._assert_lease(tx)
                    attempt.recorded = await self._record(tx, symbol, trades, attempt, rewind_to_ns)
                    await also(tx, attempt.recorded.batch)
                break
            except (StaleWriter, WriteAbandoned):
                raise
            except Exception as error:
                if isinstance(error, psycopg.Error) and error.sqlstate == _LEASE_LOST:
                    raise StaleWriter(str(error)) from error
                attempt.note_failure(error)
                log.warning("trades_not_written", symbol=symbol, attempt=attempt.failures, error=repr(error))
                await asyncio.sleep(attempt.backoff_seconds())
        assert attempt.recorded is not None, "the loop ends only after a record"  # noqa: S101
        return attempt.recorded

    async def record(self, tx: Transaction, symbol: str, trades: Sequence[Trade]) -> Recorded:
        return await self._record(tx, symbol, trades, _Attempt(self._clock.now_micros()), None)

    async def announce(self, recorded: Recorded) -> None:
        await self.tell(recorded.batch)
        if recorded.batch.trades[-1].correction != CANCELS:
            self._publisher.publish_last(recorded.batch)
        self._publisher.publish_bars(recorded.bars)

    async def tell(self, batch: TradeBatch) -> None:
        """Put durable trades on the bus, in messages of at most 1,000."""
        subject = trades_subject(batch.symbol)
        for part in split_batch(batch):
            await self._bus.publish(subject, encode(part))

    async def _assert_lease(self, tx: Transaction) -> None:
        if self._fence is not None:
            await tx.execute("select platform.assert_lease(%s, %s)", (self._fence.duty, self._fence.token))

    async def _record(
        self,
        tx: Transaction,
        symbol: str,
        trades: Sequence[Trade],
        attempt: "_Attempt",
        rewind_to_ns: int | None,
    ) -> Recorded:
        if not trades:
            raise ValueError("no trades to record")
        stream = await trade_store.lock_stream(tx, symbol)
        attempt.expect(symbol, stream.last_seq)
        open_bars = stream.bars()
        if rewind_to_ns is not None:
            minute_ns = rewind_to_ns - rewind_to_ns % INTERVAL_NS["1m"]
            await trade_store.forget_bars_from(tx, symbol, minute_ns, stream.last_seq + 1)
            open_bars = tuple(bar for bar in open_bars if bar.start_ns < minute_ns)
        folded = fold_trades(symbol, open_bars, [one for one in trades if one.correction == NO_CORRECTION])
        first_seq = stream.last_seq + 1
        corrections = [seq for seq, one in enumerate(trades, first_seq) if one.correction != NO_CORRECTION]
        await trade_store.ask_for_redraw(tx, symbol, corrections)
        high_ns = max((bar.last_ns for bar in open_bars), default=None)
        await trade_store.insert_trades(tx, symbol, first_seq, trades, attempt.received_us, high_ns)
        stored = await trade_store.save_bars(tx, symbol, folded)
        await trade_store.advance_stream(tx, symbol, stream.last_seq + len(trades), folded.open_bars)
        batch = TradeBatch(symbol, stream.epoch, first_seq, list(trades), attempt.received_us)
        return Recorded(batch, (*stored, *folded.open_bars))

    async def _is_already_written(
        self, tx: Transaction, symbol: str, trades: Sequence[Trade], attempt: "_Attempt"
    ) -> bool:
        """After a failure: did the earlier attempt commit after all? StaleWriter if somebody else wrote."""
        if attempt.recorded is None:
            return False
        first_seq = attempt.recorded.batch.first_seq
        stream = await trade_store.lock_stream(tx, symbol)
        if stream.last_seq < first_seq:
            return False
        if await trade_store.read_back(tx, symbol, first_seq, len(trades)) == list(trades):
            return True
        raise StaleWriter(f"{symbol}: sequence {first_seq} holds trades of another writer")

    async def position(self, symbol: str) -> tuple[str, int]:
        async with self._database.transaction() as tx:
            return await store.position(tx, symbol)


class _Attempt(msgspec.Struct):
    """The memory of one write across its retries."""

    received_us: int
    recorded: Recorded | None = None
    failures: int = 0
    faults: int = 0

    def expect(self, symbol: str, last_seq: int) -> None:
        if self.recorded is not None and self.recorded.batch.first_seq != last_seq + 1:
            raise StaleWriter(f"{symbol}: another writer moved the sequence to {last_seq}")

    def note_failure(self, error: Exception) -> None:
        """Count it; raises what repeating cannot mend."""
        if isinstance(error, _REFUSALS):
            raise error
        self.failures += 1
        if not isinstance(error, _OUTAGES):
            self.faults += 1
            if self.faults >= MAX_FAULTS:
                raise error

    def backoff_seconds(self) -> float:
        return float(min(LAST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(self.failures, 10)))


def split_batch(batch: TradeBatch) -> list[TradeBatch]:
    """The same trades in batches that fit one message."""
    if len(batch.trades) <= MAX_BATCH:
        return [batch]
    return [
        TradeBatch(
            batch.symbol,
            batch.epoch,
            batch.first_seq + place,
            batch.trades[place : place + MAX_BATCH],
            batch.received_us,
        )
        for place in range(0, len(batch.trades), MAX_BATCH)
    ]
