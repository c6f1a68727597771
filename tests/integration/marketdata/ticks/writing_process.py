"""A writer to be killed: appends batches for ever and says what was acknowledged.

Arguments: URL of the writer's role, folder, lease token.
"""

import sys
from pathlib import Path

from tests.integration.marketdata.ticks.tick_world import LIMITS, SYMBOL, some_ticks

from agio.marketdata.ticks.lake import open_for_writing
from agio.marketdata.ticks.settings import TickStoreAddress
from agio.marketdata.ticks.writer import Position, TickWriter

BATCH = 500


def main(url: str, folder: str, token: str) -> None:
    address = TickStoreAddress(url=url, folder=Path(folder))
    writer = TickWriter(lambda: open_for_writing(address, LIMITS, int(token)), address.data_folder)
    done = writer.positions().get(("trades", SYMBOL, "e1"), Position()).last_seq
    # Like a producer that has not heard of its last acknowledgement: begin a batch and a half before.
    done = max(0, done - BATCH - BATCH // 2)
    while True:
        (answer,) = writer.append([some_ticks(done + 1, BATCH)])
        done += BATCH
        print(answer.last_seq, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
