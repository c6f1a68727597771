"""An engine that plays replays, as a process to be killed: DATABASE_URL and NATS_URL from the environment."""

import asyncio
import os

from tests.integration.marketdata.world import Engine

from agio.platform.bus import Bus
from agio.platform.db import Database


async def main() -> None:
    database = Database(os.environ["DATABASE_URL"])
    bus = Bus(os.environ["NATS_URL"])
    await database.open()
    await bus.open()
    async with Engine(database, bus):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
