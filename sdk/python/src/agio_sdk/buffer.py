"""What a reader has not taken yet: bounded, and clear about what happens when it is full."""

import asyncio
from collections import OrderedDict, deque
from typing import Literal

import msgspec

from agio_sdk.gaps import Gap
from agio_sdk.message import Message
from agio_sdk.sequencer import ChannelClass

WhenFull = Literal["fail", "drop_oldest", "latest"]
Item = Message | Gap

KEYS = {"balances": "asset", "positions": "symbol", "bars": "start"}
"""The member by which the values of a state channel are told apart; other channels have one value."""


class _Keyed(msgspec.Struct):
    asset: str = ""
    symbol: str = ""
    start: str = ""


class MessageBuffer:
    """Messages in order, with gaps as markers where they belong.

    It holds `limit` messages. When it is full, `fail` refuses the next one and `drop_oldest` gives up the
    oldest one.
    """

    def __init__(self, limit: int, when_full: WhenFull) -> None:
        if limit < 1:
            raise ValueError("a buffer needs room for one message at least")
        self._limit = limit
        self._may_drop = when_full != "fail"
        self._items: deque[Item] = deque()
        self._count = 0
        self._arrived = asyncio.Event()
        self._has_room = asyncio.Event()

    def __len__(self) -> int:
        """Messages, without markers."""
        return self._count

    @property
    def is_full(self) -> bool:
        return len(self) >= self._limit

    def put(self, message: Message) -> tuple[bool, Gap | None]:
        """Add a message: whether it was taken, and what was given up for it."""
        dropped: Gap | None = None
        if self.is_full:
            if not self._may_drop:
                return False, None
            dropped = self._drop_oldest()
        self._items.append(message)
        self._count += 1
        self._arrived.set()
        return True, dropped

    def mark(self, gap: Gap) -> None:
        """Remember a gap at its place; neighbours become one."""
        if self._items and isinstance(last := self._items[-1], Gap):
            self._items[-1] = last.joined(gap)
        else:
            self._items.append(gap)
        self._arrived.set()

    def take(self) -> Item | None:
        """The next message or gap, if there is one."""
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, Message):
            self._count -= 1
            self._has_room.set()
        return item

    def wake(self) -> None:
        """Let whoever waits look again."""
        self._arrived.set()
        self._has_room.set()

    async def wait(self) -> None:
        """Until something arrives, or `wake`."""
        self._arrived.clear()
        await self._arrived.wait()

    async def wait_for_room(self) -> None:
        """Until a message was taken, or `wake`."""
        self._has_room.clear()
        await self._has_room.wait()

    def _drop_oldest(self) -> Gap:
        """Give the oldest message up; its marker stays at the front."""
        before: Gap | None = None
        while isinstance(item := self._items.popleft(), Gap):
            before = item if before is None else before.joined(item)
        self._count -= 1
        dropped = Gap(channel=item.channel, first=item.q, last=item.q, reason="queue")
        marker = dropped if before is None else before.joined(dropped)
        if self._items and isinstance(after := self._items[0], Gap):
            self._items[0] = marker.joined(after)
        else:
            self._items.appendleft(marker)
        return dropped


class LatestBuffer(MessageBuffer):
    """`latest`: the newest message of each key only. What it replaces on a log is a gap all the same."""

    def __init__(self, limit: int, channel: str) -> None:
        super().__init__(limit, "latest")
        self._is_log = ChannelClass.of(channel) is ChannelClass.LOG
        self._member = KEYS.get(channel.partition(":")[0])
        self._newest: OrderedDict[str, Message] = OrderedDict()
        self._marker: Gap | None = None

    def __len__(self) -> int:
        return len(self._newest)

    def put(self, message: Message) -> tuple[bool, Gap | None]:
        key = getattr(message.decode(_Keyed), self._member) if self._member is not None else ""
        replaced = self._newest.pop(key, None)
        if replaced is None and self.is_full:
            _, replaced = self._newest.popitem(last=False)
        self._newest[key] = message
        dropped: Gap | None = None
        if replaced is not None and self._is_log:
            dropped = Gap(channel=message.channel, first=replaced.q, last=replaced.q, reason="queue")
            self.mark(dropped)
        self._arrived.set()
        return True, dropped

    def mark(self, gap: Gap) -> None:
        self._marker = gap if self._marker is None else self._marker.joined(gap)
        self._arrived.set()

    def take(self) -> Item | None:
        if self._marker is not None:
            marker, self._marker = self._marker, None
            return marker
        if not self._newest:
            return None
        self._has_room.set()
        return self._newest.popitem(last=False)[1]


def make_buffer(channel: str, limit: int, when_full: WhenFull) -> MessageBuffer:
    """The buffer of a policy."""
    return LatestBuffer(limit, channel) if when_full == "latest" else MessageBuffer(limit, when_full)
