"""What the API and the engine have in common: clock, database, bus."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from agio.platform.bus import Bus
from agio.platform.clock import Clock, SystemClock
from agio.platform.config import Settings
from agio.platform.db import Database
from agio.platform.master_keys import open_master_keys
from agio.platform.relay import NUDGE
from agio.platform.vault import Vault


class Node(NamedTuple):
    """The ground that a process stands on."""

    settings: Settings
    clock: Clock
    database: Database
    bus: Bus


@asynccontextmanager
async def open_node(
    settings: Settings, process: str, database_url: str, connections: int
) -> AsyncIterator[Node]:
    """Connect to both servers; each commit with events nudges the relay."""
    vault = Vault(open_master_keys(settings))
    database = Database(database_url, min_size=2, max_size=connections, name=f"agio {process}", vault=vault)
    bus = Bus(settings.nats_url, name=f"agio {process}")

    async def nudge() -> None:
        await bus.publish(NUDGE)

    database.nudge_outbox = nudge
    await database.open()
    try:
        await bus.open()
        yield Node(settings, SystemClock(), database, bus)
    finally:
        await bus.close()
        await database.close()
