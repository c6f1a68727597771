"""LOG channels: every message exactly once and in order, whatever the bus loses, repeats or reorders."""

import asyncio
from abc import abstractmethod

import structlog
from typing_extensions import override

from agio.kernel.problem import Problem
from agio.platform.channels import ChannelHandle, Push
from agio.streaming.chunks import Chunk, split
from agio.streaming.errors import ChannelUnavailable
from agio.streaming.fan_out import fan_out
from agio.streaming.hub import Hub, HubServices, Subscription
from agio.streaming.ring import Ring

log = structlog.get_logger(__name__)

_MAX_AHEAD = 20_000
_HEAL_PAGE = 2_000
_FIRST_PAUSE_SECONDS = 0.02
_LAST_PAUSE_SECONDS = 1.0
_FRUITLESS_ROUNDS = 8
_VERIFY_PAUSE_SECONDS = 0.25


class EpochChanged(ChannelUnavailable):
    """The channel began anew: sequences of before mean nothing any more. Subscribe again."""

    code = "epoch_changed"
    title = "The channel began anew"


class HistoryLost(ChannelUnavailable):
    """Messages are missing on the bus and in the history. Subscribe again and read the hole over REST."""

    code = "history_lost"
    title = "Messages are missing"


class LogReader(Subscription):
    """The part of a subscription that a LOG hub knows."""

    cursor: int
    """The sequence up to which everything was handed to the connection."""

    @abstractmethod
    def deliver(self, chunk: Chunk) -> None:
        """Take consecutive messages; called in order, also with some that the reader has."""


class LogHub(Hub):
    """Holds the top of a log, a ring of its newest messages, and what came too early."""

    def __init__(self, number: int, channel: str, handle: ChannelHandle, services: HubServices) -> None:
        super().__init__(number, channel, handle, services)
        settings = services.settings
        self.epoch = ""
        self.top = 0
        self.flushed_at = 0.0
        self.ring = Ring(settings.ring_messages, settings.ring_bytes, services.rings)
        self.live: dict[LogReader, None] = {}
        self.behind: dict[LogReader, None] = {}
        """Subscriptions that read ring or history until they reach the top."""
        self._has_begun = False
        self._pending: list[Push] = []
        self._pending_bytes = 0
        self._urgent_bytes = settings.chunk_bytes
        self._ahead: list[Push] = []
        self._target = 0
        self._healing: asyncio.Task[None] | None = None
        self._verified_at = 0.0

    @override
    async def begin(self) -> None:
        self.epoch, self.top = await self.ask(self.handle.position)
        self._has_begun = True
        self._drain_ahead()
        if self._ahead:
            self._heal()

    @override
    async def close(self) -> None:
        await super().close()
        self.ring.release()
        if self._healing is not None:
            self._healing.cancel()

    @override
    def subscriptions(self) -> list[Subscription]:
        return [*self.live, *self.behind]

    @override
    def accept(self, pushes: list[Push]) -> None:
        if self._has_begun and self._healing is None and self._follows(pushes):
            self._take(pushes)
            return
        self._put_ahead(pushes)
        if not self._has_begun:
            return
        if pushes[-1].q <= self.top:
            self._suspect_new_epoch()
        self._drain_ahead()
        if self._ahead:
            self._heal()

    def flush(self) -> None:
        """Hand the gathered messages to the live subscriptions."""
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        if not pending:
            return
        self.flushed_at = self.services.ticker.paced(self.flushed_at)
        if not self.live:
            return
        services = self.services
        chunk_bytes = services.settings.chunk_bytes
        for chunk in split(self.number, self.label, pending, chunk_bytes, is_shared=True):
            for reader in fan_out(chunk, list(self.live), services.ticker, services.metrics.tally):
                reader.deliver(chunk)

    @override
    async def verify(self) -> None:
        """Ask for the durable position: the bus may have lost the newest messages, or the epoch changed."""
        epoch, top = await self.ask(self.handle.position)
        if self.is_closed:
            return
        if epoch != self.epoch:
            self.retire(EpochChanged(f"epoch is {epoch} now"))
        elif top > self.top:
            self._target = max(self._target, top)
            self._heal()

    def _follows(self, pushes: list[Push]) -> bool:
        expected = self.top
        for push in pushes:
            expected += 1
            if push.q != expected:
                return False
        return True

    def _take(self, pushes: list[Push]) -> None:
        """Make consecutive messages the newest ones."""
        self.top = pushes[-1].q
        is_first = not self._pending
        self._pending_bytes += self.ring.append(pushes)
        self._pending.extend(pushes)
        is_urgent = self._pending_bytes >= self._urgent_bytes
        if is_first or is_urgent:
            self.services.ticker.offer_channel(self, is_urgent=is_urgent)

    def _put_ahead(self, pushes: list[Push]) -> None:
        self._ahead.extend([push for push in pushes if push.q > self.top])
        if len(self._ahead) > _MAX_AHEAD:
            self._target = max(self._target, *(push.q for push in self._ahead))
            self._ahead.clear()

    def _drain_ahead(self) -> None:
        """Use what came early and fits now; keep the rest."""
        if not self._ahead:
            return
        self._ahead.sort(key=lambda push: push.q)
        following: list[Push] = []
        rest: list[Push] = []
        expected = self.top + 1
        for push in self._ahead:
            if push.q == expected:
                following.append(push)
                expected += 1
            elif push.q > expected:
                rest.append(push)
        self._ahead = rest
        if following:
            self._take(following)

    def _heal(self) -> None:
        if self._healing is None and not self.is_closed:
            self.services.metrics.gaps.labels(self.channel.partition(":")[0]).inc()
            self._healing = self.services.start(self._run_healing())

    async def _run_healing(self) -> None:
        try:
            await self._fill_hole()
        except Problem as problem:
            self.retire(problem)
        finally:
            self._healing = None

    async def _fill_hole(self) -> None:
        pause, fruitless, is_epoch_known = _FIRST_PAUSE_SECONDS, 0, False
        while not self.is_closed and (self._ahead or self.top < self._target):
            try:
                if not is_epoch_known:
                    await self._require_epoch()
                    is_epoch_known = True
                page = await self.ask(lambda: self.handle.replay(self.top, _HEAL_PAGE))
            except Problem as problem:
                if isinstance(problem, EpochChanged):
                    raise
                page = None
            except Exception as error:
                log.info("stream_heal_failed", channel=self.channel, error=repr(error))
                page = None
            if page:
                self._take_page(page)
                pause, fruitless = _FIRST_PAUSE_SECONDS, 0
                continue
            self._drain_ahead()
            if page is not None:
                fruitless += 1
                is_epoch_known = fruitless < _FRUITLESS_ROUNDS
                if fruitless > _FRUITLESS_ROUNDS:
                    raise HistoryLost(f"nothing follows {self.top} in the history")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE_SECONDS)

    async def _require_epoch(self) -> None:
        epoch, _ = await self.ask(self.handle.position)
        if epoch != self.epoch:
            raise EpochChanged(f"epoch is {epoch} now")

    def _take_page(self, page: list[Push]) -> None:
        fresh = [push for push in page if push.q > self.top]
        if fresh:
            if not self._follows(fresh):
                raise HistoryLost(f"{fresh[0].q} follows {self.top} in the history")
            self._take(fresh)
        self._drain_ahead()

    def _suspect_new_epoch(self) -> None:
        """Old sequences come again: a repetition, or a new epoch that counts from one."""
        now = asyncio.get_running_loop().time()
        if now - self._verified_at >= _VERIFY_PAUSE_SECONDS:
            self._verified_at = now
            self.services.run(self._verify_quietly())

    async def _verify_quietly(self) -> None:
        try:
            await self.verify()
        except Exception as error:
            log.info("stream_verify_failed", channel=self.channel, error=repr(error))
