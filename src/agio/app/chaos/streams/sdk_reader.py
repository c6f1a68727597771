"""The Python SDK as a subscriber: what a user of it sees."""

import asyncio
import time
from collections.abc import Sequence
from typing import Literal

import msgspec

from agio.app.chaos.streams.journal import Ended, Gap, Opened, Subscribed
from agio.app.chaos.streams.subscriber import Door, Notes, WirePush, Wish
from agio_sdk import Agio, AgioError, Message, Stream, StreamState, Subscription
from agio_sdk import Gap as SdkGap


class SdkReader:
    """Iterates subscriptions of one stream; all the resuming is the SDK's."""

    def __init__(
        self,
        name: str,
        notes: Notes,
        door: Door,
        wishes: Sequence[Wish],
        encoding: Literal["json", "msgpack"],
    ) -> None:
        self.name = name
        self.notes = notes
        self.is_calm = False
        self._door = door
        self._wishes = wishes
        self._encoding = encoding

    async def run(self) -> None:
        agio = Agio(self._door.url, self._door.api_key, ca_file=self._door.ca_file, encoding=self._encoding)
        async with agio:
            stream = agio.stream(on_state=self._heard_state)
            self.notes.write(Opened(time.monotonic(), keeps_books=True))
            try:
                async with asyncio.TaskGroup() as tasks:
                    for wish in self._wishes:
                        tasks.create_task(self._follow(stream, wish))
            finally:
                await stream.aclose()

    def _heard_state(self, state: StreamState) -> None:
        if state is StreamState.CONNECTING:
            self.notes.write(Opened(time.monotonic(), keeps_books=True))

    async def _follow(self, stream: Stream, wish: Wish) -> None:
        channel = wish.channel
        try:
            await self._read(await stream.subscribe(channel, tier=wish.tier))
        except AgioError as error:
            self.notes.write(Ended(channel, repr(error), may_retry=False))

    async def _read(self, subscription: Subscription) -> None:
        epoch, is_first = subscription.epoch, True
        async for item in subscription.with_gaps():
            if isinstance(item, SdkGap):
                self.notes.write(Gap(item.channel, item.first, item.last))
                epoch = item.epoch or epoch
                continue
            if is_first:
                # The SDK may have taken messages before we got to see its position.
                self.notes.subscribed(Subscribed(item.channel, epoch, item.q - 1))
                is_first = False
            self.notes.pushed(item.channel, epoch, _wire(item))


def _wire(message: Message) -> WirePush:
    decode = msgspec.msgpack.decode if message.encoding == "msgpack" else msgspec.json.decode
    return WirePush(
        n=0,
        q=message.q,
        t=message.t,
        d=decode(message.payload),
        p=message.p,
        crc=message.crc,
        op="snap" if message.is_snapshot else "",
    )
