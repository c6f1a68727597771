"""Collect every trade once, however often you stop.

Usage: python examples/collect_trades.py [SYMBOL] [HOW_MANY]

Trades go to SYMBOL.csv in this folder. Run it again: it goes on after the last row, with what happened in
between first. Reads AGIO_URL, AGIO_API_KEY and AGIO_CA_FILE, as `./agio up` prints them.
"""

import sys
from pathlib import Path
from typing import TextIO

from agio_sdk import SyncAgio
from agio_sdk.models import Trade


def on_gap(channel: str, first: int, last: int, recovered: bool) -> None:
    print(
        f"{channel}: {first} to {last} {'come from the history' if recovered else 'cannot be had any more'}"
    )


def last_position(file: Path) -> tuple[str, int] | None:
    """Where the last row stands, as the epoch and sequence that begin it; None without a row."""
    rows = file.read_text().splitlines() if file.exists() else []
    if not rows:
        return None
    epoch, seq = rows[-1].split(",")[:2]
    return epoch, int(seq)


def collect(symbol: str, how_many: int, rows: TextIO, position: tuple[str, int] | None) -> None:
    start = 1 if position is None else None
    with (
        SyncAgio() as agio,
        agio.subscribe(
            f"trades:{symbol}", position=position, start=start, backfill=True, on_gap=on_gap
        ) as trades,
    ):
        for message in trades:
            trade = message.decode(Trade)
            row = (message.epoch, message.q, trade.venue_time.isoformat(), trade.price, trade.size)
            print(*row, sep=",", file=rows, flush=True)
            how_many -= 1
            if how_many == 0:
                print(*row)
                return


if __name__ == "__main__":
    arguments = sys.argv[1:]
    symbol = arguments[0] if arguments else "BTC-USD"
    file = Path(f"{symbol}.csv")
    position = last_position(file)
    with file.open("a") as rows:
        collect(symbol, int(arguments[1]) if len(arguments) > 1 else 50, rows, position)
