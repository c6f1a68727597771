"""What sessions with many channels share: opening channels, welcome, heartbeat, notices."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog
from typing_extensions import override

from agio.identity.api import Principal
from agio.kernel.problem import Problem
from agio.kernel.time import format_instant
from agio.platform.channels import ChannelHandle
from agio.streaming.book_depth import depth_class
from agio.streaming.book_hub import BookHub, BookSubscription
from agio.streaming.encoding import Encoding, encode_message
from agio.streaming.errors import (
    AlreadySubscribed,
    ChannelUnavailable,
    InvalidOperation,
    RateLimited,
    StartNotAvailable,
    TierNotAvailable,
    TooManySubscriptions,
)
from agio.streaming.hub import Hub, Subscription
from agio.streaming.log_hub import LogHub
from agio.streaming.log_subscription import LogSubscription, Start
from agio.streaming.messages import MAX_CHANNEL_LENGTH, ChannelRequest, MessageId
from agio.streaming.ports import Wire
from agio.streaming.rates import TokenBucket
from agio.streaming.session import Session, SessionServices, describe_problem
from agio.streaming.state_hub import StateHub, StateSubscription
from agio.streaming.tiers import TIERS

log = structlog.get_logger(__name__)

_OPEN_AT_ONCE = 16
_LOOK_SECONDS = 1.0
"""How often a connection is looked after: what must not come late begins so much earlier."""


class Refusal:
    """A channel that was not opened, and why."""

    def __init__(self, channel: str, problem: Problem) -> None:
        self.channel = channel[:MAX_CHANNEL_LENGTH]
        self.problem = problem

    def describe(self) -> dict[str, object]:
        return {"ch": self.channel, **describe_problem(self.problem)}


class ChannelSession(Session):
    """Opens channels for one connection and keeps its heartbeat."""

    def __init__(
        self,
        services: SessionServices,
        wire: Wire,
        encoding: Encoding,
        address: str,
        principal: Principal | None,
    ) -> None:
        super().__init__(services, wire, encoding, address, principal)
        settings = services.settings
        self.opens = TokenBucket(settings.opens_per_second, settings.open_burst, self.clock)
        self._heartbeat_at = self.clock()

    @override
    def drain(self, within_ms: int, slot_ms: int) -> None:
        self.send({"op": "drain", "within_ms": within_ms, "slot": slot_ms})

    @override
    def ask_to_renew(self, principal: Principal) -> None:
        self.send({"op": "reauth", "expires_at": format_instant(principal.expires_at)})

    @override
    def sweep(self) -> None:
        super().sweep()
        if self.is_closed or self.principal is None:
            return
        settings, now = self.services.settings, self.clock()
        is_silent = now - max(self.queue.flushed_at, self._heartbeat_at) >= settings.heartbeat_silence_seconds
        if is_silent or now - self._heartbeat_at >= settings.heartbeat_seconds - _LOOK_SECONDS:
            self._heartbeat_at = now
            self.send_heartbeat()

    @override
    def end_subscription(self, subscription: Subscription, reason: Problem) -> None:
        super().end_subscription(subscription, reason)
        notice = {"op": "unsub", "n": subscription.hub.number, "ch": subscription.channel}
        self.send({**notice, **describe_problem(reason)})

    def send(self, message: Mapping[str, object]) -> None:
        # Whoever asks waits for the answer: it does not wait for the tick.
        self.queue.put_frame(encode_message(self.queue.encoding, message), is_urgent=True)

    async def open_handle(self, channel: str, principal: Principal) -> ChannelHandle:
        kind, key = self.services.hubs.kind(channel)
        self.services.policy.require(principal, kind.scope)
        return await kind.open(principal, key)

    async def open_channels(
        self, requests: Sequence[ChannelRequest], principal: Principal
    ) -> tuple[list[Subscription], list[Refusal]]:
        """Open channels as far as possible: ready to be described and activated, or refused."""
        gate = asyncio.Semaphore(_OPEN_AT_ONCE)

        async def prepare(request: ChannelRequest) -> Subscription | Refusal:
            async with gate:
                return await self._prepare(request, principal)

        prepared = await asyncio.gather(*(prepare(request) for request in requests))
        outcomes = [self._drop_ended(outcome) for outcome in prepared]
        return (
            [outcome for outcome in outcomes if isinstance(outcome, Subscription)],
            [outcome for outcome in outcomes if isinstance(outcome, Refusal)],
        )

    def _drop_ended(self, outcome: Subscription | Refusal) -> Subscription | Refusal:
        """A channel that began anew while others were being opened would stay silent: refuse it."""
        if isinstance(outcome, Refusal) or not outcome.hub.is_closed:
            return outcome
        self.remove(outcome)
        return Refusal(
            outcome.channel, ChannelUnavailable("the channel began anew meanwhile; subscribe again")
        )

    async def _prepare(self, request: ChannelRequest, principal: Principal) -> Subscription | Refusal:
        try:
            self._reserve(request)
        except Problem as problem:
            return Refusal(request.ch, problem)
        try:
            return await self._open(request, principal)
        except Problem as problem:
            refusal = problem
        except Exception as error:
            log.warning("stream_open_failed", channel=request.ch, error=repr(error))
            refusal = ChannelUnavailable("try again in a few seconds")
        self.subscriptions.pop(request.ch, None)
        return Refusal(request.ch, refusal)

    def _reserve(self, request: ChannelRequest) -> None:
        """Check what needs no waiting, and take the channel's place."""
        if len(request.ch) > MAX_CHANNEL_LENGTH:
            raise InvalidOperation(f"a channel's name has at most {MAX_CHANNEL_LENGTH} characters")
        if request.ch in self.subscriptions:
            raise AlreadySubscribed("unsubscribe first to change tier or position")
        if len(self.subscriptions) >= self.services.settings.max_subscriptions:
            raise TooManySubscriptions(
                f"at most {self.services.settings.max_subscriptions} on one connection"
            )
        if request.position is not None and request.position.seq < 0:
            raise InvalidOperation("from.seq is 0 or more")
        if request.start is not None and request.position is not None:
            raise InvalidOperation("give from or start, not both")
        if not self.opens.take():
            raise RateLimited(
                "too many subscriptions at once", extra={"retry_after_ms": self.opens.wait_ms()}
            )
        self.subscriptions[request.ch] = None

    async def _open(self, request: ChannelRequest, principal: Principal) -> Subscription:
        kind, _ = self.services.hubs.kind(request.ch)
        handle = await self.open_handle(request.ch, principal)
        hub = await self.services.hubs.acquire(request.ch, kind, handle)
        try:
            subscription = self._make(request, handle, hub)
            await subscription.prepare()
        except BaseException:
            self.services.hubs.release(hub)
            raise
        if self.is_closed:
            self.services.hubs.release(hub)
            raise ChannelUnavailable("the connection is closed")
        self.subscriptions[request.ch] = subscription
        self.services.metrics.subscriptions.inc()
        return subscription

    def _make(self, request: ChannelRequest, handle: ChannelHandle, hub: Hub) -> Subscription:
        ended: Callable[[Subscription, Problem], None] = self.end_subscription
        if isinstance(hub, LogHub):
            if request.tier != "raw":
                raise TierNotAvailable("nothing is ever left out of a log: its only tier is raw")
            position = request.position if request.start is None else Start.read(request.start)
            return LogSubscription(request.ch, handle, hub, self.queue, ended, position, self.fill_lock)
        if request.start is not None:
            raise StartNotAvailable("only logs have a history")
        if request.tier not in TIERS:
            raise TierNotAvailable(f"tiers are {', '.join(TIERS)}")
        if isinstance(hub, StateHub):
            return StateSubscription(request.ch, handle, hub, self.queue, ended, request.tier)
        if isinstance(hub, BookHub):
            depth = depth_class(request.depth)
            return BookSubscription(request.ch, handle, hub, self.queue, ended, request.tier, depth)
        raise TypeError(f"no subscription fits {type(hub).__name__}")

    def welcome(self, principal: Principal, message_id: MessageId) -> dict[str, object]:
        settings = self.services.settings
        identity = {} if message_id is None else {"id": message_id}
        return {
            **identity,
            "op": "welcome",
            "conn": self.connection_id,
            "server_time": format_instant(self.services.clock.now()),
            "expires_at": format_instant(principal.expires_at),
            "hb_ms": round(settings.heartbeat_silence_seconds * 1000),
            "limits": {
                "subscriptions": settings.max_subscriptions,
                "message_bytes": settings.max_message_bytes,
                "messages_per_second": settings.messages_per_second,
                "queue_bytes": settings.queue_bytes,
                "queue_seconds": settings.queue_seconds,
                "replay_messages": settings.replay_limit,
            },
            "resume_window_s": settings.resume_window_seconds,
        }

    def send_heartbeat(self) -> None:
        """Tell what this connection has got so far: silent loss becomes visible to the client."""
        top = {
            str(subscription.hub.number): subscription.position
            for subscription in self.subscriptions.values()
            if subscription is not None and subscription.position is not None
        }
        message = {
            "op": "hb",
            "server_time": format_instant(self.services.clock.now()),
            "top": top,
            "sources": dict(self.services.sources()),
        }
        self.queue.put_late(
            lambda: encode_message(self.queue.encoding, {**message, "count": self.queue.written_pushes})
        )
