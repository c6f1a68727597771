"""What live subscribers cost: processor time, latency and memory of the API process, beside the peers."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks.fanout.books import measure_books
from benchmarks.fanout.cases import Measured, measure
from benchmarks.fanout.doors import (
    SYMBOL,
    DoorFigures,
    Plan,
    measure_door,
    measure_idle,
    measure_singles,
)
from benchmarks.fanout.orders import TellTrades
from benchmarks.fanout.peers import PeerCosts, measure_peers
from benchmarks.fanout.placement import Placement
from benchmarks.fanout.stalled import measure_stalled
from benchmarks.fanout.stand import Node, Stand
from benchmarks.fanout.swarm import Swarm
from benchmarks.harness import Report, start_report

SUBSCRIBERS: Final = 500
"""The bars are about so many."""
BUSY: Final = 500.0
"""Messages a second that share ticks."""
SPARSE: Final = (50.0, 10.0)
"""So few that each message has a write of its own."""
PEER_RATES: Final = (min(SPARSE), BUSY)
QUICK: Final = Plan((SUBSCRIBERS,), (SPARSE[-1], BUSY), 1.0)
QUICK_TLS: Final = Plan((SUBSCRIBERS,), (BUSY,), 1.0)
FULL: Final = Plan((100, SUBSCRIBERS, 1_000), (10.0, 50.0, 250.0, BUSY, 1_000.0), 4.0)
STALL_SECONDS: Final = 7.5
"""A stalled reader's buffers are full after 2 s at 500 messages/s, and its queue too old 5 s later."""
QUICK_STALL_SECONDS: Final = 3.0
"""The load ends while the stalled reader's queue grows old; the books are measured meanwhile."""
PARTS: Final = ("plain", "tls", "stalled", "book", "peers")
QUICK_PARTS: Final = ("plain", "tls", "stalled", "book")

Doors = dict[tuple[bool, str], DoorFigures]


def main(argv: Sequence[str]) -> None:
    options = read_options(argv)
    report = start_report("stream", argv)
    placement = Placement(first=options.first)
    print("placement:", placement, flush=True)
    doors: Doors = {}
    with Stand.running(placement) as stand:
        measure_all(report, stand, options, doors)
    judge(report, doors)
    report.figure("machine", "load average at the end", os.getloadavg()[0], "processes")
    report.print(as_json=options.json)


def read_options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the cases of the bars, within 30 seconds")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON line at the end")
    parser.add_argument("--only", default="", help=f"some parts, with commas: {', '.join(PARTS)}")
    parser.add_argument(
        "--first", action="store_true", help="go before the machine's other work (needs root)"
    )
    options = parser.parse_args(argv)
    options.parts = options.only.split(",") if options.only else QUICK_PARTS if options.quick else PARTS
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"there is no part {part}: it is one of {', '.join(PARTS)}")
    return options


def measure_all(report: Report, stand: Stand, options: argparse.Namespace, doors: Doors) -> None:
    """Each door and encoding on an API process of its own."""
    encodings = ("json",) if options.quick else ("json", "msgpack")
    wanted = [
        (is_tls, encoding)
        for is_tls, parts in ((False, {"plain", "stalled", "book"}), (True, {"tls"}))
        for encoding in encodings
        if parts & set(options.parts)
    ]
    for is_tls, encoding in wanted:
        # A quick look has no time for another start.
        node = stand.own_node() if is_tls and options.quick else stand.start_node(is_tls=is_tls)
        node.wait()
        doors[is_tls, encoding] = measure_process(report, stand, node, options, encoding)
        node.stop()
    if "peers" in options.parts:
        seconds = 2.0 if options.quick else 4.0
        costs = measure_peers(report, stand, SUBSCRIBERS, PEER_RATES, seconds)
        compare(report, doors.get((False, "json")), costs)


def measure_process(
    report: Report, stand: Stand, node: Node, options: argparse.Namespace, encoding: str
) -> DoorFigures:
    """One fresh API process: its door, and in JSON without TLS also what goes beyond it."""
    plan = (QUICK_TLS if node.is_tls else QUICK) if options.quick else FULL
    figures, swarm = measure_door(report, stand, node, encoding, plan)
    swarm.shrink(SUBSCRIBERS)
    if not options.quick:
        measure_idle(report, node, encoding, swarm, plan.seconds)
        order = TellTrades(SYMBOL, BUSY, plan.seconds, is_single=True)
        measure_singles(report, stand, node, encoding, swarm, order)
    if not node.is_tls and encoding == "json":
        measure_beyond(report, stand, node, options, swarm, figures.by_case[SUBSCRIBERS, BUSY])
    swarm.close()
    return figures


def measure_beyond(
    report: Report, stand: Stand, node: Node, options: argparse.Namespace, swarm: Swarm, alone: Measured
) -> None:
    """One reader that stalls among the swarm, and books."""

    def measure_the_books() -> None:
        if "book" in options.parts:
            measure_books(report, stand, node, 1.0 if options.quick else 6.0)

    if "stalled" not in options.parts:
        measure_the_books()
        return
    order = TellTrades(SYMBOL, BUSY, QUICK_STALL_SECONDS if options.quick else STALL_SECONDS)
    if not options.quick:
        alone = measure(node, swarm, stand.market, order)
    measure_stalled(report, stand, node, swarm, alone, order, measure_the_books)


def compare(report: Report, plain: DoorFigures | None, costs: PeerCosts) -> None:
    """The CPU per delivery of everybody, side by side."""
    for rate in PEER_RATES:
        case = f"side by side, {SUBSCRIBERS}, {rate:g}/s"
        if plain is not None:
            report.figure(case, "agio", plain.by_case[SUBSCRIBERS, rate].us_per_delivery, "us/delivery")
        for name, by_rate in costs.items():
            if rate in by_rate:
                report.figure(case, name, by_rate[rate], "us/delivery")


def judge(report: Report, doors: Doors) -> None:
    """The bars of the trades' doors; those of the other parts are judged where they are measured."""
    plain, tls = doors.get((False, "json")), doors.get((True, "json"))
    if plain is not None:
        busy = plain.by_case[SUBSCRIBERS, BUSY]
        sparse = [one for rate in SPARSE if (one := plain.by_case.get((SUBSCRIBERS, rate))) is not None]
        cost = max(one.us_per_delivery for one in sparse)
        slowest = max(one.p99 for (size, _), one in plain.by_case.items() if size == SUBSCRIBERS)
        memory = plain.memory_kib[SUBSCRIBERS]
        bar = report.bar
        bar("CPU per delivery, 500/s", "<= 0.8 us", busy.us_per_delivery, is_held=busy.us_per_delivery <= 0.8)
        bar("CPU per delivery, nothing to coalesce", "<= 8 us", cost, is_held=cost <= 8)
        bar("publish to client p99", "< 50 ms", slowest, is_held=slowest < 50)
        bar("publish to client p50, 10/s", "< 1.5 ms", sparse[-1].p50, is_held=sparse[-1].p50 < 1.5)
        bar("memory per connection", "<= 40 KiB", memory, is_held=memory <= 40)
    if tls is not None:
        memory = tls.memory_kib[SUBSCRIBERS]
        report.bar("memory per connection, TLS", "<= 80 KiB", memory, is_held=memory <= 80)
    if plain is not None and tls is not None:
        beside = tls.by_case[SUBSCRIBERS, BUSY].us_per_delivery / busy.us_per_delivery
        report.bar("TLS beside plain, 500/s", "<= 1.5 x", beside, is_held=beside <= 1.5)
    measured = [one for door in doors.values() for one in door.by_case.values()]
    if measured:
        shares = [one.generator_share for one in measured if one.subscribers <= SUBSCRIBERS]
        report.bar("the generator's share of its core, most", "< 80 %", max(shares), is_held=max(shares) < 80)
        complete = sum(one.is_complete for one in measured)
        report.bar(
            "cases in which everybody got all, once",
            f"= {len(measured)}",
            complete,
            is_held=complete == len(measured),
        )


if __name__ == "__main__":
    main(sys.argv[1:])
