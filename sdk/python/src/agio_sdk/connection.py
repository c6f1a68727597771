"""One connection of a stream: what was asked for on it, and the channel numbers that are valid on it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from agio_sdk.pace import Pace
from agio_sdk.socket import Socket, SocketEnded
from agio_sdk.subscription import Subscription
from agio_sdk.wire import DEFAULT_HEARTBEAT_MS, Decode, Frame

CHANNELS_AT_ONCE = 200
"""Channels of one `sub` message: servers take messages of 64 KiB."""


class Connection:
    """An open socket and what has been asked for on it."""

    def __init__(self, socket: Socket, decode: Decode, pace: Pace, *, is_binary: bool) -> None:
        self.socket = socket
        self.numbers: dict[int, Subscription] = {}
        self.known: dict[str, Subscription] = {}
        """What was asked for last, by channel."""
        self.asked: dict[int, list[Subscription]] = {}
        self.heartbeat_seconds = DEFAULT_HEARTBEAT_MS / 1000
        self.drains_after_seconds: float | None = None
        """The server is about to stop, and wants us to leave after so long."""
        self.opened_at = self.heard_at = pace.clock()
        """When the server last sent a message; pings are none."""
        self.is_stale = False
        self._decode = decode
        self._pace = pace
        self._is_binary = is_binary
        self._early: list[Frame] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_repeating = False
        self._next_id = 1

    async def receive(self) -> list[Frame]:
        """The frames of the next message; raises SocketEnded, or msgspec.MsgspecError for nonsense."""
        if self._early:
            early, self._early = self._early, []
            return early
        data = await self.socket.receive()
        self.heard_at = self._pace.clock()
        return self._decode(data)

    async def receive_answer(self) -> None:
        """Read until everything that was asked is answered, and keep what was read for `receive`."""
        early: list[Frame] = []
        waiting = set(self.asked)
        while waiting:
            frames = await self.receive()
            waiting -= {frame.id for frame in frames if frame.id is not None}
            early += frames
            if any(frame.op == "error" for frame in frames):
                break
        self._early = early

    async def send(self, message: dict[str, object]) -> None:
        if self._is_binary:
            await self.socket.send(msgspec.msgpack.encode(message))
        else:
            await self.socket.send(msgspec.json.encode(message).decode())

    async def subscribe(self, subscriptions: list[Subscription]) -> None:
        """Ask for channels, each from its position."""
        for begin in range(0, len(subscriptions), CHANNELS_AT_ONCE):
            some = subscriptions[begin : begin + CHANNELS_AT_ONCE]
            request_id = self._new_id()
            self.asked[request_id] = some
            self.known.update({subscription.channel: subscription for subscription in some})
            entries = [subscription.wire_request() for subscription in some]
            await self.send({"id": request_id, "op": "sub", "ch": entries})

    async def unsubscribe(self, channel: str) -> None:
        self.known.pop(channel, None)
        await self.send({"id": self._new_id(), "op": "unsub", "ch": [channel]})

    async def resync(self, channel: str) -> None:
        """Ask for a book's snapshot."""
        await self.send({"id": self._new_id(), "op": "resync", "ch": [channel]})

    def holds(self, subscription: Subscription) -> bool:
        """Whether a subscription is (still) wanted on this connection."""
        return self.known.get(subscription.channel) is subscription

    def subscribe_later(self, subscription: Subscription, seconds: float) -> None:
        """Ask again for a channel that could not be served just now, unless it is not wanted any more."""

        async def ask() -> None:
            if self.holds(subscription):
                await self.subscribe([subscription])

        self.do_later(ask, seconds)

    def repeat_later(self, seconds: float) -> None:
        """The server left out messages that came too fast: repeat what it has not answered by then."""
        if self._is_repeating:
            return
        self._is_repeating = True

        async def repeat() -> None:
            self._is_repeating = False
            unanswered = {each.channel: each for group in self.asked.values() for each in group}
            wanted = [each for each in unanswered.values() if self.holds(each)]
            # Whether the end of an earlier subscription was heard is not known either.
            ended = [each.channel for each in wanted if each.is_established]
            if ended:
                await self.send({"op": "unsub", "ch": ended})
            await self.subscribe(wanted)

        self.do_later(repeat, seconds)

    def do_later(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        async def wait_and_work() -> None:
            await self._pace.sleep(seconds)
            await work()

        self.start(wait_and_work())

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the reader for as long as the connection lives."""

        async def guarded() -> None:
            try:
                await work
            except SocketEnded:
                # The reader sees the same, and judges it.
                return

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def watch(self, on_stale: Callable[[], None]) -> None:
        """End the connection once the server has been silent for longer than a heartbeat and a margin."""
        while True:
            patience = self.heartbeat_seconds + self._pace.margin
            left = self.heard_at + patience - self._pace.clock()
            if left <= 0:
                break
            await self._pace.sleep(left)
        self.is_stale = True
        on_stale()
        await self.socket.close()

    async def close(self) -> None:
        """Close the socket and forget what was to be asked again."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.socket.close()

    def _new_id(self) -> int:
        number, self._next_id = self._next_id, self._next_id + 1
        return number
