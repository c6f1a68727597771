"""A small world for ledger tests: two organisations, some accounts, two databases' worth of roles."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from tests.integration.ledger.world import ACCOUNTS, LedgerWorld

from agio.ledger.service import LedgerService
from agio.ledger.verify import verify
from agio.platform.clock import VirtualClock
from agio.platform.db import Database

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
async def world(
    app_database: Database, engine_database: Database, clock: VirtualClock
) -> AsyncIterator[LedgerWorld]:
    """Accounts opened; afterwards every invariant is checked, whatever the test did."""
    ledger = LedgerService(app_database, clock)
    async with app_database.transaction() as tx:
        await ledger.open_accounts(tx, ACCOUNTS)
    yield LedgerWorld(app_database, engine_database, ledger, clock)
    await ledger.drain()
    async with engine_database.transaction() as tx:
        assert await verify(tx) == []
