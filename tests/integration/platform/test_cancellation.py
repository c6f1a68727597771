"""A task that is asked to end does, also when a library loses the cancellation."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.conftest import Databases
from tests.nodes import end

from agio.platform.bus import Bus
from agio.platform.db import Database
from agio.platform.embedded.nats import EmbeddedNats

PATIENCE_SECONDS = 20
MESSAGE = b"x" * 500_000


async def ends_when_asked(task: "asyncio.Task[None]") -> bool:
    """Cancel once and look whether that was enough; the task has ended in any case."""
    task.cancel()
    await asyncio.wait([task], timeout=PATIENCE_SECONDS)
    has_ended = task.cancelled()
    await end([task])
    return has_ended


class TestDatabase:
    async def test_a_connection_becomes_free_in_the_same_turn(self, databases: Databases) -> None:
        database = Database(databases.engine_url, max_size=1, name="test-one")
        await database.open()
        is_held, has_entered = asyncio.Event(), asyncio.Event()

        async def wait_for_a_connection() -> None:
            async with database.transaction():
                has_entered.set()
                await asyncio.Event().wait()

        async def hold() -> bool:
            async with database.transaction():
                is_held.set()
                await asyncio.sleep(0.1)
            return await ends_when_asked(waiting)

        holding = asyncio.create_task(hold())
        await is_held.wait()
        waiting = asyncio.create_task(wait_for_a_connection())
        assert await holding
        assert not has_entered.is_set()
        async with database.transaction() as tx:
            assert await tx.value("select 1") == 1
        await database.close()


class TestBus:
    @pytest.fixture
    async def server(self, server_folder: Path) -> AsyncIterator[EmbeddedNats]:
        server = EmbeddedNats(server_folder / "stopped")
        server.start()
        yield server
        server.stop()

    async def test_the_server_takes_nothing_more(self, server: EmbeddedNats) -> None:
        bus = Bus(server.url(), name="test-stopped")
        await bus.open()
        assert server.identity is not None
        sent = 0

        async def publish() -> None:
            nonlocal sent
            while True:
                await bus.publish("test.stopped", MESSAGE)
                sent += 1
                await asyncio.sleep(0)

        os.kill(server.identity.pid, signal.SIGSTOP)
        try:
            publishing = asyncio.create_task(publish())
            before = -1
            while sent > before:
                before = sent
                await asyncio.sleep(0.3)
            assert await ends_when_asked(publishing)
        finally:
            os.kill(server.identity.pid, signal.SIGCONT)
            await bus.close()
