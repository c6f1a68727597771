import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.nodes import end

from agio.platform.bus import Bus
from agio.platform.db import Database, Event, Scope
from agio.platform.event_channels import EventLogHandle
from agio.platform.relay import OutboxRelay, decode_event

SCOPE = Scope("org_a", "sandbox")
OTHER = Scope("org_b", "sandbox")


def event(channel: str, number: int, scope: Scope = SCOPE) -> Event:
    return Event(channel, "happened", f'{{"number":{number}}}', datetime(2026, 1, 1, tzinfo=UTC), scope)


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    bus = Bus(nats_url)
    await bus.open()
    await bus.ensure_event_stream()
    yield bus
    await bus.close()


@pytest.fixture
async def relay(engine_database: Database, bus: Bus) -> AsyncIterator[OutboxRelay]:
    relay = OutboxRelay(engine_database, bus)
    task = asyncio.create_task(relay.run())
    yield relay
    await end([task])


async def heard(bus: Bus, subject: str) -> asyncio.Queue[int]:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def hear(_subject: str, payload: bytes) -> None:
        queue.put_nowait(decode_event(payload).seq)

    await bus.subscribe(subject, hear)
    await bus.flush()
    return queue


async def emit(database: Database, *events: Event) -> None:
    async with database.transaction(events[0].scope) as tx:
        await tx.emit(*events)


async def emit_and_fail(database: Database, *events: Event) -> None:
    async with database.transaction(events[0].scope) as tx:
        await tx.emit(*events)
        raise ZeroDivisionError


class TestRelay:
    async def test_each_channel_counts_by_one_and_is_told_in_order(
        self, app_database: Database, bus: Bus, relay: OutboxRelay
    ) -> None:
        first, second = await heard(bus, "ev.orders.relay1"), await heard(bus, "ev.fills.relay1")
        for number in range(30):
            await emit(app_database, event("orders:relay1", number), event("fills:relay1", number))
        async with asyncio.timeout(30):
            assert [await first.get() for _ in range(30)] == list(range(1, 31))
            assert [await second.get() for _ in range(30)] == list(range(1, 31))

    async def test_an_event_of_a_transaction_that_fails_is_never_told(
        self, app_database: Database, bus: Bus, relay: OutboxRelay
    ) -> None:
        told = await heard(bus, "ev.orders.relay2")
        with pytest.raises(ZeroDivisionError):
            await emit_and_fail(app_database, event("orders:relay2", 1))
        await emit(app_database, event("orders:relay2", 2))
        async with asyncio.timeout(30):
            assert await told.get() == 1
        handle = EventLogHandle(app_database, SCOPE, "orders:relay2")
        assert [push.d for push in await handle.replay(0, 10)] == [b'{"number":2}']

    async def test_the_last_batch_is_told_again_after_a_crash(
        self, app_database: Database, engine_database: Database, bus: Bus
    ) -> None:
        await emit(app_database, event("orders:relay3", 1))
        async with engine_database.transaction() as tx:
            await tx.execute(
                "select * from platform.move_outbox(100)"
            )  # moved, and then killed before telling
        told = await heard(bus, "ev.orders.relay3")
        task = asyncio.create_task(OutboxRelay(engine_database, bus).run())
        async with asyncio.timeout(30):
            assert await told.get() == 1
        await end([task])


class TestEventLog:
    async def test_another_organisation_reads_nothing(
        self, app_database: Database, bus: Bus, relay: OutboxRelay
    ) -> None:
        told = await heard(bus, "ev.orders.relay4")
        await emit(app_database, event("orders:relay4", 1))
        async with asyncio.timeout(30):
            await told.get()
        assert len(await EventLogHandle(app_database, SCOPE, "orders:relay4").replay(0, 10)) == 1
        assert await EventLogHandle(app_database, OTHER, "orders:relay4").replay(0, 10) == []
        happened = datetime(2026, 1, 1, tzinfo=UTC)
        for scope, found in [(SCOPE, 1), (OTHER, None)]:
            handle = EventLogHandle(app_database, scope, "orders:relay4")
            assert await handle.locate(happened, 0) == found
            assert await handle.locate(happened + timedelta(seconds=1), 0) is None

    async def test_an_organisation_cannot_emit_for_another(self, app_database: Database) -> None:
        with pytest.raises(Exception, match="row-level security"):
            async with app_database.transaction(OTHER) as tx:
                await tx.emit(event("orders:relay5", 1, scope=SCOPE))

    async def test_a_quiet_channel_has_an_epoch(self, app_database: Database) -> None:
        handle = EventLogHandle(app_database, SCOPE, "orders:quiet")
        epoch, top = await handle.position()
        assert (len(epoch), top) == (8, 0)
        assert await handle.position() == (epoch, 0)
