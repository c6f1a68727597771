from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.conftest import Databases
from tests.integration.marketdata.ticks.tick_world import TickWorld

from agio.platform.bus import Bus
from agio.platform.db import Database


@pytest.fixture
async def ticks(
    databases: Databases, engine_database: Database, app_database: Database, bus: Bus, tmp_path: Path
) -> AsyncIterator[TickWorld]:
    """A tick store of this test's own, written by an engine and read by an API process."""
    world = await TickWorld.open(databases.owner_url, engine_database, app_database, bus, tmp_path / "ticks")
    yield world
    await world.close()
