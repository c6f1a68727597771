from collections.abc import AsyncIterator

import pytest

from agio.marketdata import market_view
from agio.platform.bus import Bus


@pytest.fixture(autouse=True)
def patient_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine on a slow machine is no absent one."""
    monkeypatch.setattr(market_view, "SNAPSHOT_SECONDS", 30.0)


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    connection = Bus(nats_url, name="test-marketdata")
    await connection.open()
    yield connection
    await connection.close()
