"""A recorded tape at full speed over TLS WebSocket to one SDK client: rate, order, completeness."""

import asyncio
import csv
import gzip
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from agio_sdk import Agio
from benchmarks.harness import Platform, Report, parse_arguments, real_data, running_platform, start_report

TAPE = "market/es_ticks_2013-09-01_to_03_0830.csv.gz"
SYMBOL = "ES"
GOAL_TRADES_PER_SECOND = 20_000
QUICK_TRADES = 60_000


class _Print(msgspec.Struct):
    price: str
    size: str


def main(argv: Sequence[str]) -> None:
    options = parse_arguments(__doc__, argv)
    report = start_report("replay", argv)
    tape = real_data() / TAPE
    if not tape.exists():
        raise SystemExit(
            f"the recorded tape {TAPE} is not here: set AGIO_TEST_DATA to the folder that holds it"
        )
    with gzip.open(tape, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    if options.quick:
        rows = rows[:QUICK_TRADES]
    for encoding in ("json",) if options.quick else ("json", "msgpack"):
        with running_platform("--market", "none") as platform:
            asyncio.run(_measure(report, platform, rows, encoding))
    report.print(as_json=options.json)


def _write(platform: Platform, name: str, rows: list[dict[str, str]]) -> Path:
    """Put rows where the API may replay them from."""
    path = platform.data_dir / "replays" / name
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["DateTime", "Price", "Volume"])
        writer.writeheader()
        writer.writerows(rows)
    return path


async def _replay(agio: Agio, path: Path) -> dict[str, object]:
    body = {"path": str(path), "symbol": SYMBOL, "speed": 0}
    return await agio.post("/api/market/replays", dict[str, object], body)


async def _measure(report: Report, platform: Platform, rows: list[dict[str, str]], encoding: str) -> None:
    case = f"{len(rows)} trades, {encoding}, TLS"
    gaps: list[tuple[int, int]] = []
    async with Agio(platform.url, platform.api_key, ca_file=platform.ca_file, encoding=encoding) as agio:  # type: ignore[arg-type]
        # A tape of one trade makes the instrument, so that the subscriber is there before the first trade.
        first = await _replay(agio, _write(platform, "first.csv", rows[:1]))
        while (await agio.get(f"/api/market/replays/{first['replay_id']}", dict[str, object]))[
            "state"
        ] != "done":
            await asyncio.sleep(0.05)
        subscription = await agio.subscribe(
            f"trades:{SYMBOL}", on_gap=lambda _c, first, last, _r: gaps.append((first, last))
        )
        cpu = platform.cpu_seconds(), time.process_time()
        await _replay(agio, _write(platform, "tape.csv", rows))
        received: list[tuple[int, str, str]] = []
        started = 0.0
        while len(received) < len(rows):
            batch = await asyncio.wait_for(subscription.next_batch(), 60)
            started = started or time.perf_counter()
            for message in batch:
                trade = message.decode(_Print)
                received.append((message.q, trade.price, trade.size))
        elapsed = time.perf_counter() - started
    rate = len(rows) / elapsed
    report.figure(case, "end to end", rate, "trades/s")
    report.figure(
        case, "CPU of the platform", 1e6 * (platform.cpu_seconds() - cpu[0]) / len(rows), "us/trade"
    )
    report.figure(case, "CPU of the client", 1e6 * (time.process_time() - cpu[1]) / len(rows), "us/trade")
    report.bar(
        f"end to end, {encoding}",
        f">= {GOAL_TRADES_PER_SECOND} trades/s",
        rate,
        is_held=rate >= GOAL_TRADES_PER_SECOND,
    )

    sequences = [q for q, _, _ in received]
    is_ordered = sequences == list(range(sequences[0], sequences[0] + len(rows)))
    is_equal = [(Decimal(price), Decimal(size)) for _, price, size in received] == [
        (Decimal(row["Price"]), Decimal(row["Volume"])) for row in rows
    ]
    volume = sum(Decimal(size) for _, _, size in received)
    expected = sum(Decimal(row["Volume"]) for row in rows)
    report.figure(case, "volume received", float(volume), "contracts")
    report.bar(
        f"every trade once, in order, as on the tape, {encoding}",
        "all",
        len(received),
        is_held=is_ordered and is_equal and not gaps,
    )
    report.bar(
        f"volume equals the tape's, {encoding}", f"= {expected}", float(volume), is_held=volume == expected
    )


if __name__ == "__main__":
    main(sys.argv[1:])
