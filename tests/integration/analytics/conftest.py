"""A tenant with accounts, prices and the analytics service."""

import pytest
from tests.integration.analytics.world import World

from agio.platform.db import Database


@pytest.fixture
async def world(app_database: Database, engine_database: Database) -> World:
    return World(app_database, engine_database)
