from collections.abc import AsyncIterator

import pytest
from tests.nodes import Node, Owner, make_owner

from agio.platform.bus import Bus
from agio.platform.db import Database


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    connection = Bus(nats_url, name="test-identity")
    await connection.open()
    yield connection
    await connection.close()


@pytest.fixture
async def node(app_database: Database, bus: Bus) -> AsyncIterator[Node]:
    async with Node(app_database, bus) as running:
        yield running


@pytest.fixture
async def owner(node: Node) -> Owner:
    return await make_owner(node)
