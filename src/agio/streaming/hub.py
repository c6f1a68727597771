"""A hub: one channel in use, with one bus subscription for all of its subscribers in this process."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

import msgspec
import structlog

from agio.kernel.problem import Problem
from agio.platform.channels import ChannelHandle, Push
from agio.streaming.metrics import StreamMetrics
from agio.streaming.outbound import OutboundQueue
from agio.streaming.ports import BusSubscription, Feed
from agio.streaming.ring import RingBudget
from agio.streaming.settings import StreamingSettings
from agio.streaming.ticker import Ticker

log = structlog.get_logger(__name__)

_LARGE_BATCH = 64
"""After a bus message with so many pushes the loop may do something else first."""

T = TypeVar("T")


class HubServices:
    """What the hubs of a process share."""

    def __init__(
        self, feed: Feed, settings: StreamingSettings, metrics: StreamMetrics, ticker: Ticker
    ) -> None:
        self.feed = feed
        self.settings = settings
        self.metrics = metrics
        self.ticker = ticker
        self.rings = RingBudget(settings.process_ring_bytes)
        self.replays = asyncio.Semaphore(settings.concurrent_replays)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run something in the background, owned until it ends or the gateway stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def run(self, work: Coroutine[object, object, None]) -> None:
        """Start something that nobody waits for."""
        task = self.start(work)
        del task

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("stream_task_failed", exc_info=error)


class Subscription(ABC):
    """One connection's interest in one channel."""

    def __init__(
        self,
        channel: str,
        handle: ChannelHandle,
        queue: OutboundQueue,
        ended: Callable[["Subscription", Problem], None],
    ) -> None:
        self.channel = channel
        self.handle = handle
        self.queue = queue
        self.is_closed = False
        self._ended = ended

    def end(self, reason: Problem) -> None:
        """Tell the connection that the channel is over for it."""
        if not self.is_closed:
            self._ended(self, reason)

    @property
    @abstractmethod
    def hub(self) -> "Hub": ...

    @abstractmethod
    async def prepare(self) -> None:
        """Fetch what the answer to the subscriber needs; may raise a Problem."""

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """The entry of the answer; called right before `activate`, with nothing in between."""

    @abstractmethod
    def activate(self) -> None:
        """Start to deliver."""

    @abstractmethod
    async def resync(self) -> None:
        """Send the channel's current values again; raises a Problem where that has no meaning."""

    def close(self) -> None:
        """Stop to deliver; idempotent."""
        self.is_closed = True

    @property
    def position(self) -> int | None:
        """LOG: the sequence up to which everything was handed to the connection."""
        return None


class Hub(ABC):
    """Receives one channel from the bus and gives it to its subscriptions."""

    def __init__(self, number: int, channel: str, handle: ChannelHandle, services: HubServices) -> None:
        self.number = number
        self.channel = channel
        self.handle = handle
        self.services = services
        self.holders = 0
        """Subscriptions that use it or are about to."""
        self.is_closed = False
        self.received_at = 0.0
        name, _, key = channel.partition(":")
        self.label = msgspec.json.encode(key)
        self._received = services.metrics.received.labels(name)
        self._received_count = 0
        self._bus_subscription: BusSubscription | None = None

    async def open(self) -> None:
        """Begin to receive, then find out where the channel stands."""
        self._bus_subscription = await self.services.feed.subscribe(self.handle.subject, self._receive)
        await self.services.feed.flush()
        await self.begin()

    async def close(self) -> None:
        """Stop to receive; idempotent."""
        self.is_closed = True
        subscription, self._bus_subscription = self._bus_subscription, None
        if subscription is not None:
            try:
                await subscription.unsubscribe()
            except Exception as error:
                log.info("stream_unsubscribe_failed", channel=self.channel, error=repr(error))

    @abstractmethod
    async def begin(self) -> None:
        """Learn position or values once the bus subscription stands."""

    @abstractmethod
    def accept(self, pushes: list[Push]) -> None:
        """Take pushes of the bus."""

    @abstractmethod
    def subscriptions(self) -> list[Subscription]: ...

    @abstractmethod
    async def verify(self) -> None:
        """Compare with the source and repair what the bus lost."""

    def publish_metrics(self) -> None:
        """Hand over what was counted since the last time: a counter's lock per message costs too much."""
        count, self._received_count = self._received_count, 0
        if count:
            self._received.inc(count)

    def retire(self, reason: Problem) -> None:
        """End all subscriptions: the channel is not what it was any more."""
        self.is_closed = True
        for subscription in self.subscriptions():
            subscription.end(reason)

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask the source, with few questions at a time."""
        async with self.services.replays:
            return await question()

    async def _receive(self, _subject: str, payload: bytes) -> None:
        if self.is_closed:
            return
        pushes = self.handle.decode(payload)
        self.received_at = asyncio.get_running_loop().time()
        if not pushes:
            return
        self._received_count += len(pushes)
        self.accept(pushes)
        if len(pushes) >= _LARGE_BATCH:
            await asyncio.sleep(0)
