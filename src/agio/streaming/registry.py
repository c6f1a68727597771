"""The channels in use in this process, by name."""

import asyncio
import itertools
from collections.abc import Callable, Sequence

import structlog

from agio.platform.channels import ChannelClass, ChannelHandle, ChannelKind, UnknownChannel
from agio.streaming.book_hub import BookHub
from agio.streaming.hub import Hub, HubServices
from agio.streaming.log_hub import LogHub
from agio.streaming.state_hub import StateHub

log = structlog.get_logger(__name__)

_VERIFY_AT_ONCE = 64

_HUB_TYPES: dict[ChannelClass, Callable[[int, str, ChannelHandle, HubServices], Hub]] = {
    ChannelClass.LOG: LogHub,
    ChannelClass.STATE: StateHub,
    ChannelClass.BOOK: BookHub,
}


class HubRegistry:
    """Opens a hub for the first subscription of a channel and closes it some time after the last.

    A channel's number is the same for every connection of the process, so that a push is encoded once; a
    channel that is opened again gets a new number.
    """

    def __init__(self, kinds: Sequence[ChannelKind], services: HubServices) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self._services = services
        self._hubs: dict[str, Hub] = {}
        self._opening: dict[str, asyncio.Task[Hub]] = {}
        self._numbers = itertools.count(1)
        self._verify_turn: list[Hub] = []

    @property
    def kinds(self) -> list[ChannelKind]:
        """Every family of channels, by name."""
        return [self._kinds[name] for name in sorted(self._kinds)]

    def kind(self, channel: str) -> tuple[ChannelKind, str]:
        """Family and key of a channel's name; raises UnknownChannel."""
        name, separator, key = channel.partition(":")
        kind = self._kinds.get(name)
        if kind is None or not separator or not key:
            raise UnknownChannel(f"there is no channel {channel[:80]!r}")
        return kind, key

    async def acquire(self, channel: str, kind: ChannelKind, handle: ChannelHandle) -> Hub:
        """The hub of a channel, open; every call needs one `release`."""
        while True:
            hub = self._hubs.get(channel)
            if hub is not None and not hub.is_closed:
                hub.holders += 1
                return hub
            task = self._opening.get(channel)
            if task is None:
                task = asyncio.create_task(self._open(channel, kind, handle))
                self._opening[channel] = task
                task.add_done_callback(lambda _: self._opening.pop(channel, None))
            opened = await asyncio.shield(task)
            if opened.is_closed:
                await asyncio.sleep(0)

    def release(self, hub: Hub) -> None:
        """One subscription less; a hub that nobody uses lingers, so that its ring serves who returns."""
        hub.holders -= 1
        if hub.holders > 0:
            return
        if hub.is_closed:
            self._close_soon(hub)
        else:
            self._linger(hub)

    async def verify_quiet(self) -> None:
        """Compare log channels that said nothing lately with their source, some at a time."""
        silence = self._services.settings.verify_seconds
        now = asyncio.get_running_loop().time()
        if not self._verify_turn:
            self._verify_turn = [hub for hub in self._hubs.values() if isinstance(hub, LogHub)]
        turn, self._verify_turn = self._verify_turn[:_VERIFY_AT_ONCE], self._verify_turn[_VERIFY_AT_ONCE:]
        quiet = [hub for hub in turn if hub.holders > 0 and now - hub.received_at >= silence]
        await self._verify(quiet)

    async def verify_all(self) -> None:
        """The bus was away: compare every channel with its source."""
        await self._verify([hub for hub in self._hubs.values() if hub.holders > 0])

    def publish_metrics(self) -> None:
        for hub in self._hubs.values():
            hub.publish_metrics()

    async def close(self) -> None:
        hubs, self._hubs = list(self._hubs.values()), {}
        await asyncio.gather(*(hub.close() for hub in hubs), return_exceptions=True)

    async def _open(self, channel: str, kind: ChannelKind, handle: ChannelHandle) -> Hub:
        hub = _HUB_TYPES[kind.channel_class](next(self._numbers), channel, handle, self._services)
        try:
            await hub.open()
        except BaseException:
            await hub.close()
            raise
        self._hubs[channel] = hub
        self._services.metrics.channels.set(len(self._hubs))
        # Whoever asked may be gone by now.
        self._linger(hub)
        return hub

    async def _verify(self, hubs: Sequence[Hub]) -> None:
        for hub in hubs:
            if hub.is_closed:
                continue
            try:
                await hub.verify()
            except Exception as error:
                log.info("stream_verify_failed", channel=hub.channel, error=repr(error))

    def _linger(self, hub: Hub) -> None:
        loop = asyncio.get_running_loop()
        _ = loop.call_later(self._services.settings.linger_seconds, self._close_idle, hub)

    def _close_idle(self, hub: Hub) -> None:
        if hub.holders <= 0 and self._hubs.get(hub.channel) is hub:
            self._close_soon(hub)

    def _close_soon(self, hub: Hub) -> None:
        if self._hubs.get(hub.channel) is hub:
            del self._hubs[hub.channel]
            self._services.metrics.channels.set(len(self._hubs))
        hub.is_closed = True
        self._services.run(hub.close())
