"""A process of concurrent clients whose history is observed. Reads its assignment from standard input."""

import asyncio
import random
import sys
from pathlib import Path

import msgspec

from agio.app.chaos.history import Assignment
from agio.app.chaos.observed import Observed, ObservedLedger, PinnedClock
from agio.app.chaos.workload import CommandSource
from agio.platform.db import Database

MAX_BATCH = 200
BATCH_SIZES = (1, 2, 7, 30, 100)


async def record(assignment: Assignment) -> None:
    """Send until as many commands as assigned were answered: most one at a time, some in batches."""
    database = Database(assignment.url, max_size=6, name="agio historian")
    await database.open()
    encode = msgspec.json.Encoder().encode
    with Path(assignment.log).open("wb") as log:  # noqa: ASYNC230
        left = assignment.operations

        def note(observed: Observed) -> None:
            nonlocal left
            left -= len(observed.codes)
            log.write(encode(observed) + b"\n")

        ledger = ObservedLedger(database, note, max_batch=MAX_BATCH)
        source = CommandSource(assignment.seed, assignment.prefix, PinnedClock())
        sizes = random.Random(assignment.seed)  # noqa: S311

        async def submit() -> None:
            while left > 0:
                await ledger.submit(source.draw())

        async def apply() -> None:
            while left > 0:
                commands = [source.draw() for _ in range(sizes.choice(BATCH_SIZES))]
                async with database.transaction() as tx:
                    await ledger.apply(tx, commands)

        async with asyncio.TaskGroup() as tasks:
            for number in range(assignment.clients):
                tasks.create_task(apply() if number % 12 == 0 else submit())
        await ledger.drain()
    await database.close()


if __name__ == "__main__":
    asyncio.run(record(msgspec.json.decode(sys.stdin.buffer.read(), type=Assignment)))
