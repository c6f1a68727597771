"""The market of the benchmark: records trades and tells them as the engine does, and tells book deltas.

Trades go through the engine's own recorder: sequence, table and bars in one transaction, then the bus. Trades
that are due within 10 ms share a transaction and a bus message, as when a tape is played.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import uvloop

from agio.marketdata.events import BUY, Trade, TradeBatch
from agio.marketdata.publisher import Publisher
from agio.marketdata.recorder import Recorder
from agio.marketdata.replays.players import MIN_BATCH_SECONDS
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock
from agio.platform.config import Settings
from agio.platform.db import Database
from benchmarks.fanout.book_feed import BookFeed
from benchmarks.fanout.orders import Order, TellBook, TellPeer, TellTrades, Told
from benchmarks.fanout.peer_feed import PeerFeed

_PRICE: Final = 61_250_00
_SIZE: Final = 5_000_000


class Feeder:
    """Does one order after the other."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._clock = SystemClock()
        self._bus = bus
        self._publisher = Publisher(bus, self._clock)
        self._recorder = Recorder(database, bus, self._clock, self._publisher)
        self._number = 0

    async def perform(self, order: Order) -> Told:
        cpu = time.process_time()
        if isinstance(order, TellBook):
            told = await BookFeed(self._bus, order.symbol).tell(order.rate, order.seconds)
        elif isinstance(order, TellPeer):
            async with PeerFeed.connected(order) as feed:
                told = await keep_pace(order.rate, order.seconds, feed.tell)
        else:
            told = await self._tell_trades(order)
        told.cpu_seconds = time.process_time() - cpu
        return told

    async def _tell_trades(self, order: TellTrades) -> Told:
        publishing = asyncio.create_task(self._publisher.run())
        told = await keep_pace(order.rate, order.seconds, lambda count, told: self._tell(order, count, told))
        await self._bus.flush()
        publishing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await publishing
        return told

    async def _tell(self, order: TellTrades, count: int, told: Told) -> None:
        recorded = await self._recorder.write(order.symbol, [self._trade() for _ in range(count)])
        batch = recorded.batch
        told.first = told.first or batch.first_seq
        told.last = batch.last_seq
        for part in _singles(batch) if order.is_single else [batch]:
            told.moments.append((part.last_seq, time.time_ns()))
            await self._recorder.tell(part)
            told.messages += 1
        self._publisher.publish_last(batch)
        self._publisher.publish_bars(recorded.bars)

    def _trade(self) -> Trade:
        self._number += 1
        price = _PRICE + self._number * 7919 % 2_000 * 100
        return Trade(time.time_ns(), price, _SIZE, BUY, f"bench-{self._number:09d}")


async def keep_pace(rate: float, seconds: float, tell: Callable[[int, Told], Awaitable[None]]) -> Told:
    """Have what is due told, at most every 10 ms."""
    told = Told()
    begun = time.monotonic()
    count, done = round(rate * seconds), 0
    while done < count:
        served_at = time.monotonic()
        due = min(count, int((served_at - begun) * rate) + 1) - done
        if due > 0:
            await tell(due, told)
            done += due
        next_at = max(begun + done / rate, served_at + MIN_BATCH_SECONDS)
        await asyncio.sleep(max(0.0, next_at - time.monotonic()))
    told.seconds = time.monotonic() - begun
    return told


def _singles(batch: TradeBatch) -> list[TradeBatch]:
    return [
        TradeBatch(batch.symbol, batch.epoch, batch.first_seq + place, [trade], batch.received_us)
        for place, trade in enumerate(batch.trades)
    ]


async def _work(settings: Settings) -> None:
    database = Database(settings.engine_database_url, max_size=2, name="bench market")
    bus = Bus(settings.nats_url, name="bench market")
    await database.open()
    await bus.open()
    feeder = Feeder(database, bus)
    while line := await asyncio.to_thread(sys.stdin.readline):
        told = await feeder.perform(msgspec.json.decode(line, type=Order))
        print(msgspec.json.encode(told).decode(), flush=True)
    await bus.close()
    await database.close()


if __name__ == "__main__":
    uvloop.run(_work(Settings.from_environment()))
