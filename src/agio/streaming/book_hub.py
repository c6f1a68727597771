"""BOOK channels: a snapshot, then deltas each of which names the one before it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from typing_extensions import override

from agio.kernel.problem import Problem
from agio.platform.channels import ChannelHandle, Push
from agio.streaming.book_depth import DepthView
from agio.streaming.book_points import RECENT_DELTAS, BookPoint, BookReader, merge_deltas
from agio.streaming.chunks import Chunk
from agio.streaming.encoding import encode_message, encode_snapshot
from agio.streaming.errors import ChannelUnavailable
from agio.streaming.hub import Hub, HubServices, Subscription
from agio.streaming.outbound import OutboundQueue
from agio.streaming.tiers import TIERS

_SNAPSHOT_ATTEMPTS = 10
_SNAPSHOT_PAUSE_SECONDS = 0.05


class BookHub(Hub):
    """Follows the chain of deltas; a broken link costs everybody one snapshot, never a wrong book."""

    def __init__(self, number: int, channel: str, handle: ChannelHandle, services: HubServices) -> None:
        super().__init__(number, channel, handle, services)
        self.points = {tier: BookPoint(self, tier) for tier in TIERS}
        self._views: dict[int, DepthView] = {}
        """Chains of the best levels, by their number."""
        self._recent: deque[Push] = deque(maxlen=RECENT_DELTAS)
        """Consecutive deltas, newest last."""
        self._floor = 0
        """A whole book was told at this sequence: older snapshots do not count."""
        self._asking: asyncio.Task[Push | None] | None = None

    @override
    async def begin(self) -> None:
        return None

    @override
    async def close(self) -> None:
        await super().close()
        for point in self._all_points():
            point.stop()

    @override
    def subscriptions(self) -> list[Subscription]:
        return [subscription for point in self._all_points() for subscription in point.subscriptions]

    def view(self, depth: int | None) -> "BookHub | DepthView":
        """The chain of so many levels; None is the whole book."""
        if depth is None:
            return self
        view = self._views.get(depth)
        if view is None:
            view = self._views[depth] = DepthView(self, depth)
        return view

    @property
    def last(self) -> int | None:
        """The newest sequence seen on the bus; None before the first."""
        return self._recent[-1].q if self._recent else None

    @override
    def accept(self, pushes: list[Push]) -> None:
        for push in pushes:
            if push.snapshot or push.p is None:
                self._floor = push.q
                self._break_chain()
            elif self.last is None or push.p == self.last:
                self._follow(push)
            elif push.q > self.last or push.t > self._recent[-1].t:
                self._floor = 0
                self.services.metrics.gaps.labels(self.channel.partition(":")[0]).inc()
                self._break_chain()
                self._follow(push)

    def after(self, sequence: int) -> list[Push] | None:
        """The deltas that lead from a sequence to the newest; None when the chain does not reach it."""
        if self.last is None:
            return [] if sequence >= self._floor else None
        if sequence >= self.last:
            return []
        deltas = [delta for delta in self._recent if delta.q > sequence]
        return deltas if deltas[0].p == sequence else None

    @override
    async def verify(self) -> None:
        """After a silence of the bus: start all subscriptions from a new snapshot if the book moved on."""
        snapshot = await self._shared_snapshot()
        if snapshot is not None and snapshot.q != self.last:
            self._break_chain()

    async def snapshot(self) -> Push | None:
        """A snapshot from which the deltas at hand lead on; None while the venue has told no book.

        Raises ChannelUnavailable when the snapshots do not fit the deltas.
        """
        for _ in range(_SNAPSHOT_ATTEMPTS):
            snapshot = await self._shared_snapshot()
            if snapshot is None or self.after(snapshot.q) is not None:
                return snapshot
            await asyncio.sleep(_SNAPSHOT_PAUSE_SECONDS)
        raise ChannelUnavailable("the book has no snapshot that fits its updates; subscribe again")

    async def _shared_snapshot(self) -> Push | None:
        if self._asking is None:
            self._asking = asyncio.create_task(self._fetch())
            self._asking.add_done_callback(self._asked)
        return await asyncio.shield(self._asking)

    async def _fetch(self) -> Push | None:
        pushes = await self.ask(self.handle.snapshot)
        return pushes[-1] if pushes else None

    def _asked(self, task: asyncio.Task[Push | None]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()

    def _follow(self, push: Push) -> None:
        self._recent.append(push)
        for point in self.points.values():
            point.add(push)
        for view in self._views.values():
            view.accept(push)

    def _break_chain(self) -> None:
        self._recent.clear()
        for view in self._views.values():
            view.forget()
        for point in self._all_points():
            point.forget()
            for subscription in list(point.subscriptions):
                subscription.restart()

    def _all_points(self) -> list[BookPoint]:
        of_views = [point for view in self._views.values() for point in view.points.values()]
        return [*self.points.values(), *of_views]


class BookSubscription(BookReader):
    """Snapshot, deltas, and a new snapshot whenever the chain does not hold or the reader was too slow."""

    def __init__(
        self,
        channel: str,
        handle: ChannelHandle,
        hub: BookHub,
        queue: OutboundQueue,
        ended: Callable[[Subscription, Problem], None],
        tier: str,
        depth: int | None = None,
    ) -> None:
        super().__init__(channel, handle, queue, ended)
        self._hub = hub
        self._chain = hub.view(depth)
        self._tier = tier
        self._last: int | None = None
        """What the client has; None before a snapshot."""
        self._snapshot: Push | None = None
        self._skipped: tuple[int, int] | None = None
        self._restarting: asyncio.Task[None] | None = None

    @property
    @override
    def hub(self) -> BookHub:
        return self._hub

    @override
    async def prepare(self) -> None:
        self._snapshot = await self._chain.snapshot()

    @override
    def describe(self) -> dict[str, object]:
        top = self._snapshot.q if self._snapshot is not None else 0
        return {"ch": self.channel, "n": self._hub.number, "epoch": "", "seq": top, "tier": self._tier}

    @override
    def activate(self) -> None:
        self._chain.points[self._tier].subscriptions[self] = None
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None and not self._begin(snapshot):
            self.restart()

    @override
    def deliver(self, chunk: Chunk) -> None:
        if self.queue.is_conflating and (self._last is not None or self._skipped is not None):
            self._skip(chunk.pushes)
            self.queue.conflate(self)
            return
        if self._last is None:
            self.restart()
            return
        if chunk.last <= self._last:
            return
        if chunk.previous != self._last:
            self._bridge(self._last, chunk.last)
            return
        self._last = chunk.last
        self.queue.put_chunk(chunk, self)

    def withdraw(self, chunk: Chunk) -> None:
        self._skip(chunk.pushes)

    def settle(self) -> None:
        """The reader caught up: say what was left out and send a new snapshot."""
        skipped, self._skipped = self._skipped, None
        if skipped is not None:
            notice = {"op": "skipped", "n": self._hub.number, "from": skipped[0], "to": skipped[1]}
            self.queue.put_frame(encode_message(self.queue.encoding, notice))
        self.restart()

    @override
    async def resync(self) -> None:
        self.restart()

    @override
    def restart(self) -> None:
        self._last = None
        if self.is_closed or self._restarting is not None or self.queue.is_conflating:
            if self.queue.is_conflating:
                self.queue.conflate(self)
            return
        self._restarting = self._hub.services.start(self._restart())

    @override
    def close(self) -> None:
        super().close()
        self._chain.points[self._tier].subscriptions.pop(self, None)
        self.queue.forget(self)
        if self._restarting is not None:
            self._restarting.cancel()

    async def _restart(self) -> None:
        try:
            while not self.is_closed:
                snapshot = await self._chain.snapshot()
                if snapshot is None or self._begin(snapshot):
                    return
                await asyncio.sleep(_SNAPSHOT_PAUSE_SECONDS)
        except Problem as problem:
            self.end(problem)
        except Exception as error:
            self.end(ChannelUnavailable(f"no snapshot: {type(error).__name__}"))
        finally:
            self._restarting = None

    def _begin(self, snapshot: Push) -> bool:
        """Send the snapshot and the deltas behind it, if they fit together."""
        deltas = self._chain.after(snapshot.q)
        if deltas is None:
            return False
        self.queue.put_frame(encode_snapshot(self.queue.encoding, self._hub.number, snapshot))
        self._last = snapshot.q
        self._send(deltas)
        return True

    def _bridge(self, last: int, target: int) -> None:
        """This subscription stands between two flushes of its tier: lead it to the shared chain."""
        deltas = self._chain.after(last)
        wanted = [delta for delta in deltas or () if delta.q <= target]
        if wanted:
            self._send(wanted)
        else:
            self.restart()

    def _send(self, deltas: Sequence[Push]) -> None:
        if not deltas:
            return
        pushes = deltas if self._tier == "raw" else [merge_deltas(deltas)]
        self._last = pushes[-1].q
        self.queue.put_chunk(Chunk(self._hub.number, self._hub.label, pushes), self)

    def _skip(self, deltas: Iterable[Push]) -> None:
        self._last = None
        count = 0
        for delta in deltas:
            count += 1
            low, high = self._skipped or (delta.q, delta.q)
            self._skipped = (min(low, delta.q), max(high, delta.q))
        self.queue.dropped_pushes += count
        self._hub.services.metrics.drops.labels(self.channel.partition(":")[0]).inc(count)
