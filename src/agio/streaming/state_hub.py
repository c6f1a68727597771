"""STATE channels: the newest value of each key counts."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from typing_extensions import override

from agio.kernel.problem import Problem
from agio.platform.channels import ChannelHandle, Push
from agio.streaming.chunks import Chunk, split
from agio.streaming.encoding import encode_message
from agio.streaming.hub import Hub, HubServices, Subscription
from agio.streaming.outbound import OutboundQueue
from agio.streaming.tiers import TIERS, TierTimer


class StatePoint:
    """A conflation point: all subscriptions of one tier, and what came since its last flush."""

    def __init__(self, hub: "StateHub", tier: str) -> None:
        self.flushed_at = 0.0
        self.subscriptions: dict[StateSubscription, None] = {}
        self._hub = hub
        self._is_raw = tier == "raw"
        self._pushes: list[Push] = []
        self._newest: dict[str, Push] = {}
        self._timer = TierTimer(TIERS[tier], self.flush)

    def add(self, push: Push) -> None:
        if not self.subscriptions:
            return
        if self._is_raw:
            self._pushes.append(push)
            self._hub.services.ticker.offer_channel(self, is_urgent=False)
            return
        self._newest.pop(push.key, None)
        self._newest[push.key] = push
        self._timer.arm()

    def flush(self) -> None:
        pushes = self._pushes or list(self._newest.values())
        self._pushes, self._newest = [], {}
        if not pushes:
            return
        self.flushed_at = self._hub.services.ticker.paced(self.flushed_at)
        chunk_bytes = self._hub.services.settings.chunk_bytes
        for chunk in split(self._hub.number, self._hub.label, pushes, chunk_bytes, is_shared=True):
            for subscription in list(self.subscriptions):
                subscription.deliver(chunk)

    def flush_raw(self) -> None:
        """Hand over now what would go out at the next tick; tiers hold newest values only, and keep them."""
        if self._is_raw:
            self.flush()

    def stop(self) -> None:
        self._timer.stop()


class Values(NamedTuple):
    """An answer to what the values are, and the keys that were known when it was asked for."""

    fetched: Sequence[Push]
    known: frozenset[str]


class StateHub(Hub):
    """Remembers the newest value of each key, so that nothing old ever overtakes something new."""

    def __init__(self, number: int, channel: str, handle: ChannelHandle, services: HubServices) -> None:
        super().__init__(number, channel, handle, services)
        self.points = {tier: StatePoint(self, tier) for tier in TIERS}
        self._newest: OrderedDict[str, Push] = OrderedDict()
        self._asking: asyncio.Task[list[Push]] | None = None
        self._known: frozenset[str] = frozenset()
        """Keys that had been told when the values were asked for."""

    @override
    async def begin(self) -> None:
        return None

    @override
    async def close(self) -> None:
        await super().close()
        for point in self.points.values():
            point.stop()

    @override
    def subscriptions(self) -> list[Subscription]:
        return [subscription for point in self.points.values() for subscription in point.subscriptions]

    @override
    def accept(self, pushes: list[Push]) -> None:
        for push in pushes:
            known = self._newest.get(push.key)
            if known is not None and _is_old(push, known):
                continue
            self._remember(push)
            for point in self.points.values():
                point.add(push)

    @override
    async def verify(self) -> None:
        """Fetch all values again; those that changed go to everybody."""
        self.accept(await self.ask(self.handle.snapshot))

    async def values(self) -> Values:
        """The current values; askers at the same moment share one question."""
        if self._asking is None:
            self._known = frozenset(self._newest)
            self._asking = asyncio.create_task(self._fetch())
            self._asking.add_done_callback(self._asked)
        known = self._known
        return Values(await asyncio.shield(self._asking), known)

    def newest(self, values: Values) -> list[Push]:
        """The newest of these, and what came under new keys since they were asked for."""
        fetched = {push.key: self._newest.get(push.key, push) for push in values.fetched}
        since = (key for key in self._newest if key not in values.known and key not in fetched)
        return [*fetched.values(), *[self._newest[key] for key in since]]

    async def _fetch(self) -> list[Push]:
        values = await self.ask(self.handle.snapshot)
        self.accept(values)
        return values

    def _asked(self, task: asyncio.Task[list[Push]]) -> None:
        self._asking = None
        if not task.cancelled():
            task.exception()

    def _remember(self, push: Push) -> None:
        self._newest[push.key] = push
        self._newest.move_to_end(push.key)
        if len(self._newest) > self.services.settings.conflation_keys:
            self._newest.popitem(last=False)


def _is_old(push: Push, known: Push) -> bool:
    """Whether a value may be older than the one that is known.

    A snapshot may have been read before something that has been told since, whatever its instant. From a
    publisher that began to count anew, a later instant is believed.
    """
    if push.snapshot and push.q < known.q:
        return True
    return push.q <= known.q and push.t <= known.t


class StateSubscription(Subscription):
    """Delivers values; a slow reader gets the newest of each key and is told what was left out."""

    def __init__(
        self,
        channel: str,
        handle: ChannelHandle,
        hub: StateHub,
        queue: OutboundQueue,
        ended: Callable[[Subscription, Problem], None],
        tier: str,
    ) -> None:
        super().__init__(channel, handle, queue, ended)
        self._hub = hub
        self._tier = tier
        self._values = Values((), frozenset())
        self._held: OrderedDict[str, Push] = OrderedDict()
        self._skipped: tuple[int, int] | None = None

    @property
    @override
    def hub(self) -> StateHub:
        return self._hub

    @override
    async def prepare(self) -> None:
        self._values = await self._hub.values()

    @override
    def describe(self) -> dict[str, object]:
        values = self._hub.newest(self._values)
        # Nothing lies between this and `activate`.
        self._values = Values(values, frozenset())
        top = max((push.q for push in values), default=0)
        return {"ch": self.channel, "n": self._hub.number, "epoch": "", "seq": top, "tier": self._tier}

    @override
    def activate(self) -> None:
        point = self._hub.points[self._tier]
        # What others wait for until the next tick is older than our values: it must not follow them.
        point.flush_raw()
        point.subscriptions[self] = None
        self._send(self._values.fetched)
        self._values = Values((), frozenset())

    def deliver(self, chunk: Chunk) -> None:
        if self.queue.is_conflating:
            self._hold(chunk)
            self.queue.conflate(self)
        else:
            self.queue.put_chunk(chunk, self)

    def withdraw(self, chunk: Chunk) -> None:
        self._hold(chunk)

    def settle(self) -> None:
        held, self._held = list(self._held.values()), OrderedDict()
        skipped, self._skipped = self._skipped, None
        if skipped is not None:
            notice = {"op": "skipped", "n": self._hub.number, "from": skipped[0], "to": skipped[1]}
            self.queue.put_frame(encode_message(self.queue.encoding, notice))
        self._send(held)

    @override
    async def resync(self) -> None:
        values = await self._hub.values()
        if not self.is_closed:
            self._hub.points[self._tier].flush_raw()
            self._send(self._hub.newest(values))

    @override
    def close(self) -> None:
        super().close()
        self._hub.points[self._tier].subscriptions.pop(self, None)
        self.queue.forget(self)

    def _send(self, pushes: Sequence[Push]) -> None:
        if pushes:
            for chunk in split(
                self._hub.number, self._hub.label, pushes, self._hub.services.settings.chunk_bytes
            ):
                self.queue.put_chunk(chunk, self)

    def _hold(self, chunk: Chunk) -> None:
        """Keep the newest value of each key and remember the range of what is replaced."""
        dropped = 0
        for push in chunk.pushes:
            replaced = self._held.pop(push.key, None)
            self._held[push.key] = push
            if replaced is None and len(self._held) > self._hub.services.settings.conflation_keys:
                _, replaced = self._held.popitem(last=False)
            if replaced is not None:
                dropped += 1
                low, high = self._skipped or (replaced.q, replaced.q)
                self._skipped = (min(low, replaced.q), max(high, replaced.q))
        if dropped:
            self.queue.dropped_pushes += dropped
            self._hub.services.metrics.drops.labels(self.channel.partition(":")[0]).inc(dropped)
