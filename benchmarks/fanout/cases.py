"""Measuring one case: a market that tells, subscribers that read, a server whose processor time counts."""

import bisect
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from benchmarks.fanout.orders import Order, Told
from benchmarks.fanout.swarm import Subscriber, Swarm
from benchmarks.harness import Report, quantile

DRAIN_SECONDS: Final = 10.0
"""How long subscribers may still be receiving after the last message was told."""


class Server(Protocol):
    """What is measured."""

    def cpu_seconds(self) -> float: ...


class Source(Protocol):
    """What tells messages."""

    def begin(self, order: Order) -> None: ...

    def end(self) -> Told: ...

    def fileno(self) -> int: ...


@dataclass
class Measured:
    """The figures of one case."""

    subscribers: int
    told: int
    bus_messages: int
    deliveries: int
    complete: int
    """Subscribers that got every sequence once and in order."""
    seconds: float
    server_seconds: float
    generator_seconds: float
    market_seconds: float
    latencies: list[float]
    """Milliseconds from the bus message to the client, in the sample."""
    since_taken: list[float]
    """The same from the market's taking the trade: with the commit."""

    @property
    def us_per_delivery(self) -> float:
        return self.server_seconds / max(1, self.deliveries) * 1e6

    @property
    def p50(self) -> float:
        return quantile(self.latencies, 0.5) if self.latencies else float("inf")

    @property
    def p99(self) -> float:
        return quantile(self.latencies, 0.99) if self.latencies else float("inf")

    @property
    def generator_share(self) -> float:
        """Percent of its core."""
        return 100 * self.generator_seconds / self.seconds

    @property
    def is_complete(self) -> bool:
        return self.complete == self.subscribers

    def report(self, report: Report, case: str) -> None:
        """Note the figures, and show the main ones at once: a whole run takes minutes."""
        print(
            f"... {case:38} {self.us_per_delivery:7.2f} us/delivery, p50 {self.p50:.2f} ms,"
            f" p99 {self.p99:.2f} ms, complete {self.complete} of {self.subscribers}",
            flush=True,
        )
        report.figure(case, "server CPU", self.us_per_delivery, "us/delivery")
        report.figure(case, "deliveries", self.deliveries / self.seconds, "deliveries/s")
        if self.latencies:
            report.figure(case, "publish to client p50", self.p50, "ms")
            report.figure(case, "publish to client p99", self.p99, "ms")
        if self.since_taken:
            report.figure(case, "taken to client p50", quantile(self.since_taken, 0.5), "ms")
            report.figure(case, "taken to client p99", quantile(self.since_taken, 0.99), "ms")
        report.figure(case, "server's share of its core", 100 * self.server_seconds / self.seconds, "%")
        report.figure(case, "generator's share of its core", self.generator_share, "%")
        report.figure(case, "market's share of its core", 100 * self.market_seconds / self.seconds, "%")
        report.figure(case, "messages on the bus", self.bus_messages, "messages")
        report.figure(case, "complete subscribers", self.complete, f"of {self.subscribers}")


def measure(server: Server, swarm: Swarm, source: Source, order: Order) -> Measured:
    """Have an order carried out and read until all subscribers have all of it, or time is up."""
    swarm.reset()
    cpu, generator = server.cpu_seconds(), time.process_time()
    source.begin(order)
    answers: list[Told] = []
    answered_at = until = float("inf")

    def is_over() -> bool:
        nonlocal answered_at, until
        if not answers:
            if not select.select([source], [], [], 0)[0]:
                return False
            answers.append(source.end())
            answered_at = time.monotonic()
            until = answered_at + DRAIN_SECONDS
        last = answers[0].last
        has_all = all(one.last >= last for one in swarm.subscribers if one.is_open)
        return has_all or time.monotonic() > until

    swarm.run(is_over)
    told, seen = answers[0], swarm.subscribers
    latencies, since_taken = find_latencies(seen, told)
    return Measured(
        subscribers=len(seen),
        told=told.pushes,
        bus_messages=told.messages,
        deliveries=sum(one.count for one in seen),
        complete=sum(is_complete(one, told) for one in seen),
        seconds=told.seconds + time.monotonic() - answered_at,
        server_seconds=server.cpu_seconds() - cpu,
        generator_seconds=time.process_time() - generator,
        market_seconds=told.cpu_seconds,
        latencies=latencies,
        since_taken=since_taken,
    )


def is_complete(subscriber: Subscriber, told: Told) -> bool:
    """Every sequence once and in order: consecutive from the first told to the last."""
    return (
        subscriber.faults == 0
        and (subscriber.first, subscriber.last) == (told.first, told.last)
        and subscriber.count == told.pushes
    )


def find_latencies(subscribers: Sequence[Subscriber], told: Told) -> tuple[list[float], list[float]]:
    """Milliseconds since a message went to the bus, and since it was taken, of the sample."""
    ends = [last for last, _ in told.moments]
    since_told, since_taken = [], []
    for subscriber in subscribers:
        for now_ns, chunk in subscriber.timing.chunks if subscriber.timing is not None else ():
            for sequence, taken_us in chunk.times:
                place = bisect.bisect_left(ends, sequence)
                if told.first <= sequence and place < len(ends):
                    since_told.append((now_ns - told.moments[place][1]) / 1e6)
                    since_taken.append((now_ns - taken_us * 1_000) / 1e6)
    return since_told, since_taken
