from collections.abc import AsyncIterator

import pytest

from agio.platform.bus import Bus


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    connection = Bus(nats_url, name="test-marketdata")
    await connection.open()
    yield connection
    await connection.close()
