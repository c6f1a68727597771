"""Durable order acknowledgements per second through the secured REST API, and how long each takes."""

import asyncio
import sys
import time
from collections.abc import Sequence
from decimal import Decimal

from agio_sdk import Agio
from benchmarks.harness import Platform, Report, parse_arguments, quantile, running_platform, start_report

SYMBOL = "BTC-USD"


def main(argv: Sequence[str]) -> None:
    options = parse_arguments(__doc__, argv)
    report = start_report("orders", argv)
    with running_platform() as platform:
        asyncio.run(_measure(report, platform, is_quick=options.quick))
    report.print(as_json=options.json)


async def _measure(report: Report, platform: Platform, *, is_quick: bool) -> None:
    async with Agio(platform.url, platform.api_key, ca_file=platform.ca_file) as agio:
        account = await agio.open_account("benchmark")
        await agio.deposit(account.account_id, "USD", Decimal(500_000_000))
        instrument = next(each for each in await agio.instruments() if each.symbol == SYMBOL)
        price = (await agio.latest_trade(SYMBOL)).price
        resting = (price * Decimal("0.5") // instrument.tick_size) * instrument.tick_size
        total = 0
        for callers, each in (
            (1, 100 if is_quick else 300),
            (16, 40 if is_quick else 150),
            (64, 20 if is_quick else 80),
        ):
            latencies: list[float] = []

            async def place(count: int, latencies: list[float] = latencies) -> None:
                for _ in range(count):
                    started = time.perf_counter()
                    await agio.place_order(
                        account.account_id,
                        SYMBOL,
                        "buy",
                        instrument.lot_size,
                        type="limit",
                        limit_price=resting,
                        time_in_force="gtc",
                    )
                    latencies.append(time.perf_counter() - started)

            started = time.perf_counter()
            await asyncio.gather(*(place(each) for _ in range(callers)))
            elapsed = time.perf_counter() - started
            total += callers * each
            case = f"{callers} callers, limit orders"
            report.figure(case, "acknowledged", callers * each / elapsed, "orders/s")
            report.figure(case, "p50", quantile(latencies, 0.5) * 1000, "ms")
            report.figure(case, "p99", quantile(latencies, 0.99) * 1000, "ms")

        counted = 0
        cursor: str | None = None
        while True:
            page = await agio.orders(account.account_id, status="all", limit=1000, cursor=cursor)
            counted += len(page.items)
            cursor = page.next_cursor
            if cursor is None:
                break
        report.figure("checked afterwards", "orders stored", counted, "orders")
        report.bar("every acknowledged order is stored once", f"= {total}", counted, is_held=counted == total)


if __name__ == "__main__":
    main(sys.argv[1:])
