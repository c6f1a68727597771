"""Trades to hundreds of subscribers: every size, rate and encoding, with TLS or without."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.fanout.cases import Measured, measure
from benchmarks.fanout.orders import TellTrades
from benchmarks.fanout.stand import Node, Stand
from benchmarks.fanout.swarm import Swarm
from benchmarks.harness import Report

CHANNEL: Final = "trades:BTC-USD"
SYMBOL: Final = "BTC-USD"
_WARM_SUBSCRIBERS: Final = 20
_SETTLE_SECONDS: Final = 0.3


@dataclass(frozen=True)
class Plan:
    """What is measured at one door."""

    sizes: Sequence[int]
    rates: Sequence[float]
    seconds: float


@dataclass
class DoorFigures:
    """What came out of one door in one encoding."""

    by_case: dict[tuple[int, float], Measured] = field(default_factory=dict)
    memory_kib: dict[int, float] = field(default_factory=dict)
    """By subscribers: the larger of freshly subscribed and after the traffic."""


def measure_door(
    report: Report, stand: Stand, node: Node, encoding: str, plan: Plan
) -> tuple[DoorFigures, Swarm]:
    """Grow from size to size on one process and run all rates at each; the swarm stays connected."""
    figures = DoorFigures()
    warm_up(stand, node, encoding)
    swarm = node.swarm(CHANNEL, encoding)
    before = node.rss_bytes()
    for size in plan.sizes:
        case = name_case(size, encoding, node)
        swarm.grow(size)
        swarm.run_for(_SETTLE_SECONDS)
        fresh = (node.rss_bytes() - before) / size / 1024
        for rate in plan.rates:
            measured = measure(node, swarm, stand.market, TellTrades(SYMBOL, rate, plan.seconds))
            measured.report(report, f"{case}, {rate:g}/s")
            figures.by_case[size, rate] = measured
        later = (node.rss_bytes() - before) / size / 1024
        report.figure(case, "memory per connection, subscribed", fresh, "KiB")
        report.figure(case, "the same after the traffic", later, "KiB")
        figures.memory_kib[size] = max(fresh, later)
    return figures, swarm


def warm_up(stand: Stand, node: Node, encoding: str) -> None:
    """What a process loads and allocates once does not belong to the first case."""
    swarm = node.swarm(CHANNEL, encoding)
    swarm.grow(_WARM_SUBSCRIBERS)
    measure(node, swarm, stand.market, TellTrades(SYMBOL, 200, 0.3))
    swarm.close()


def measure_singles(
    report: Report, stand: Stand, node: Node, encoding: str, swarm: Swarm, order: TellTrades
) -> None:
    """The same rate with a bus message for each trade: what the batches of a tape save."""
    case = f"{name_case(len(swarm.subscribers), encoding, node)}, {order.rate:g}/s told singly"
    measure(node, swarm, stand.market, order).report(report, case)


def measure_idle(report: Report, node: Node, encoding: str, swarm: Swarm, seconds: float) -> None:
    """What the connections cost while nothing is told."""
    cpu = node.cpu_seconds()
    swarm.run_for(seconds)
    share = 100 * (node.cpu_seconds() - cpu) / seconds
    case = f"{name_case(len(swarm.subscribers), encoding, node)}, idle"
    report.figure(case, "server's share of its core", share, "%")


def name_case(size: int, encoding: str, node: Node) -> str:
    return f"{size}, {encoding}, {'TLS' if node.is_tls else 'plain'}"
