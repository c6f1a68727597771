"""The outbox relay: gives events their place on their channel, then tells the bus.

At least once, in channel order. The move from outbox to log is one durable transaction, so a sequence
number, once seen, is for ever; a batch whose publication is in doubt is published again at the next
start, under the same message ids.
"""

import asyncio
from datetime import datetime

import msgspec
import structlog

from agio.kernel.time import to_micros
from agio.platform.bus import Bus
from agio.platform.db import Database

NUDGE = "nudge.outbox"
BATCH_LIMIT = 2000
POLL_SECONDS = 0.1
RETRY_SECONDS = 0.5

log = structlog.get_logger(__name__)


class EventMessage(msgspec.Struct, frozen=True, array_like=True):
    """An event as it travels on the bus (MessagePack array) on subject `ev.<channel>`."""

    channel: str
    epoch: str
    seq: int
    event_id: str
    kind: str
    occurred_at_us: int
    body: str


class _MovedRow(msgspec.Struct):
    channel: str
    epoch: str
    seq: int
    event_id: str
    kind: str
    occurred_at: datetime
    body: str


_encode = msgspec.msgpack.Encoder().encode
decode_event = msgspec.msgpack.Decoder(EventMessage).decode


def event_subject(channel: str) -> str:
    """The bus subject of a log channel: `orders:acc_x` travels on `ev.orders.acc_x`."""
    return f"ev.{channel.replace(':', '.')}"


class OutboxRelay:
    """Moves and publishes until stopped. Run by the holder of the duty `relay` only."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus
        self._wake = asyncio.Event()

    async def run(self) -> None:
        subscription = await self._bus.subscribe(NUDGE, self._nudged)
        try:
            await self._repeat_last_batch()
            while True:
                try:
                    moved = await self._move_and_publish()
                except Exception as error:
                    log.warning("relay_interrupted", error=repr(error))
                    await asyncio.sleep(RETRY_SECONDS)
                    await self._repeat_last_batch()
                    continue
                if moved < BATCH_LIMIT:
                    await self._wait()
        finally:
            await subscription.unsubscribe()

    async def _nudged(self, _subject: str, _payload: bytes) -> None:
        self._wake.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _move_and_publish(self) -> int:
        async with self._database.transaction() as tx:
            if not await tx.value("select exists (select from platform.outbox)"):
                return 0
            rows = await tx.fetch(_MovedRow, "select * from platform.move_outbox(%s)", (BATCH_LIMIT,))
        await self._publish(rows)
        return len(rows)

    async def _repeat_last_batch(self) -> None:
        """Publish the newest batch again; retries until both servers answer."""
        while True:
            try:
                async with self._database.transaction() as tx:
                    rows = await tx.fetch(
                        _MovedRow,
                        "select l.channel, c.epoch, l.seq, l.event_id, l.kind, l.occurred_at, l.body"
                        " from platform.relay_batch b"
                        " cross join unnest(b.channels, b.seqs) with ordinality as last(channel, seq, place)"
                        " join platform.event_log l on l.channel = last.channel and l.seq = last.seq"
                        " join platform.channel c on c.channel = l.channel order by last.place",
                    )
                await self._publish(rows)
            except Exception as error:
                log.warning("relay_waiting", error=repr(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _publish(self, rows: list[_MovedRow]) -> None:
        await self._bus.publish_events(
            [
                (
                    event_subject(row.channel),
                    row.event_id,
                    _encode(
                        EventMessage(
                            row.channel,
                            row.epoch,
                            row.seq,
                            row.event_id,
                            row.kind,
                            to_micros(row.occurred_at),
                            row.body,
                        )
                    ),
                )
                for row in rows
            ]
        )
