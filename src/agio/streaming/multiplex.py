"""The session of `/stream`: many channels on one connection, asked for by operations."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

import structlog
from typing_extensions import override

from agio.identity.api import Principal
from agio.kernel.problem import Problem
from agio.kernel.time import format_instant
from agio.platform.channels import ChannelHandle
from agio.streaming.book_hub import BookHub, BookSubscription
from agio.streaming.encoding import Encoding, encode_message
from agio.streaming.errors import (
    AlreadySubscribed,
    ChannelUnavailable,
    CloseCode,
    InvalidOperation,
    NotSubscribed,
    RateLimited,
    TierNotAvailable,
    TooManySubscriptions,
    Unauthenticated,
)
from agio.streaming.frames import PING, frame
from agio.streaming.hub import Hub, Subscription
from agio.streaming.log_hub import LogHub
from agio.streaming.log_subscription import LogSubscription
from agio.streaming.messages import (
    MAX_CHANNEL_LENGTH,
    Authenticate,
    ChannelRequest,
    MessageId,
    Operation,
    Ping,
    Resync,
    Subscribe,
    Unsubscribe,
    decode_operation,
)
from agio.streaming.ports import Wire
from agio.streaming.rates import TokenBucket
from agio.streaming.session import Session, SessionServices, describe_problem, verdict
from agio.streaming.state_hub import StateHub, StateSubscription
from agio.streaming.tiers import TIERS

log = structlog.get_logger(__name__)

_MALFORMED_LIMIT = 10
_IGNORED_LIMIT = 100
_OPEN_AT_ONCE = 16


class MultiplexSession(Session):
    """Answers operations in order, one at a time, and keeps the connection's heartbeat."""

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
        self._messages = TokenBucket(settings.messages_per_second, settings.message_burst, self.clock)
        self._opens = TokenBucket(settings.opens_per_second, settings.open_burst, self.clock)
        self._operations: deque[Operation] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._ignored = 0
        self._malformed = 0
        self._heartbeat_at = self.clock()

    @override
    def opened(self) -> None:
        super().opened()
        if self.principal is not None:
            self.send(self._welcome(self.principal, None))

    @override
    def received(self, payload: bytes, *, is_text: bool) -> None:
        if is_text == (self.queue.encoding is Encoding.MSGPACK):
            self.close(CloseCode.UNSUPPORTED_DATA, f"this connection speaks {self.queue.encoding.value}")
            return
        if not self._messages.take():
            self._refuse_rate()
            return
        self._ignored = 0
        try:
            operation = decode_operation(self.queue.encoding, payload)
        except InvalidOperation as problem:
            self._malformed += 1
            self.send_error(problem, None)
            if self._malformed >= _MALFORMED_LIMIT:
                self.finish(CloseCode.MALFORMED, "too many malformed messages")
            return
        if len(self._operations) >= self.services.settings.max_pending_operations:
            self._refuse_rate()
            return
        self._operations.append(operation)
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())

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
        if is_silent or now - self._heartbeat_at >= settings.heartbeat_seconds:
            self._heartbeat_at = now
            self._send_heartbeat()

    @override
    def end_subscription(self, subscription: Subscription, reason: Problem) -> None:
        super().end_subscription(subscription, reason)
        notice = {"op": "unsub", "n": subscription.hub.number, "ch": subscription.channel}
        self.send({**notice, **describe_problem(reason), "retry": True})

    @override
    def _release(self) -> None:
        super()._release()
        self._operations.clear()
        if self._worker is not None and self._worker is not asyncio.current_task():
            self._worker.cancel()

    def send(self, message: Mapping[str, object]) -> None:
        self.queue.put_frame(encode_message(self.queue.encoding, message))

    def send_error(self, problem: Problem, message_id: MessageId) -> None:
        identity = {} if message_id is None else {"id": message_id}
        self.send({**identity, "op": "error", **describe_problem(problem)})

    def _refuse_rate(self) -> None:
        self._ignored += 1
        if self._ignored == 1:
            wait_ms = self._messages.wait_ms()
            self.send_error(RateLimited("slow down", extra={"retry_after_ms": wait_ms}), None)
        elif self._ignored > _IGNORED_LIMIT:
            self.finish(CloseCode.TOO_MANY_MESSAGES, "too many messages")

    async def _work(self) -> None:
        try:
            while self._operations and not self.is_closed:
                operation = self._operations.popleft()
                try:
                    await self._perform(operation)
                except Problem as problem:
                    self.send_error(problem, operation.id)
                except Exception:
                    log.exception("stream_operation_failed", connection=self.connection_id)
                    self.send_error(ChannelUnavailable("try again in a few seconds"), operation.id)
        finally:
            self._worker = None

    async def _perform(self, operation: Operation) -> None:
        if isinstance(operation, Ping):
            reply = {"op": "pong", "server_time": format_instant(self.services.clock.now())}
            self.send(reply if operation.id is None else {"id": operation.id, **reply})
        elif isinstance(operation, Authenticate):
            await self._authenticate(operation)
        elif self.principal is None:
            raise Unauthenticated("send auth first")
        elif isinstance(operation, Subscribe):
            await self._subscribe(operation, self.principal)
        elif isinstance(operation, Unsubscribe):
            self._unsubscribe(operation)
        else:
            await self._resync(operation)

    async def _authenticate(self, operation: Authenticate) -> None:
        is_first = self.principal is None
        try:
            principal = await self.authenticate(operation.token, operation.ticket)
            self.become(principal)
        except Problem as problem:
            self.send_error(problem, operation.id)
            if is_first:
                self.finish(*verdict(problem))
            return
        if is_first:
            self.send(self._welcome(principal, operation.id))
            return
        await self._recheck_rights(principal)
        expires_at = format_instant(principal.expires_at)
        identity = {} if operation.id is None else {"id": operation.id}
        self.send({**identity, "op": "auth", "expires_at": expires_at})

    async def _recheck_rights(self, principal: Principal) -> None:
        """The renewed credential may hold fewer rights: keep only what it may see."""
        for subscription in list(self.subscriptions.values()):
            if subscription is None:
                continue
            try:
                await self._open_handle(subscription.channel, principal)
            except Problem as problem:
                self.end_subscription(subscription, problem)

    async def _open_handle(self, channel: str, principal: Principal) -> ChannelHandle:
        kind, key = self.services.hubs.kind(channel)
        self.services.policy.require(principal, kind.scope)
        return await kind.open(principal, key)

    async def _subscribe(self, operation: Subscribe, principal: Principal) -> None:
        requests = [
            ChannelRequest(ch=item) if isinstance(item, str) else item
            for item in operation.ch[: self.services.settings.max_subscriptions + 1]
        ]
        if len(operation.ch) > self.services.settings.max_subscriptions:
            raise TooManySubscriptions(f"at most {self.services.settings.max_subscriptions} at a time")
        gate = asyncio.Semaphore(_OPEN_AT_ONCE)

        async def prepare(request: ChannelRequest) -> Subscription | dict[str, object]:
            async with gate:
                return await self._prepare(request, principal)

        outcomes = await asyncio.gather(*(prepare(request) for request in requests))
        if self.is_closed:
            return
        prepared = [outcome for outcome in outcomes if isinstance(outcome, Subscription)]
        # From here to the last `activate` nothing waits: the answer tells exactly what follows it.
        self.send(
            {
                "id": operation.id,
                "subs": [subscription.describe() for subscription in prepared],
                "errs": [outcome for outcome in outcomes if not isinstance(outcome, Subscription)],
            }
        )
        for subscription in prepared:
            subscription.activate()

    async def _prepare(
        self, request: ChannelRequest, principal: Principal
    ) -> Subscription | dict[str, object]:
        """Open one channel as far as possible; an error entry when it is refused."""
        try:
            self._reserve(request)
        except Problem as problem:
            return {"ch": request.ch[:MAX_CHANNEL_LENGTH], **describe_problem(problem)}
        try:
            return await self._open(request, principal)
        except Problem as problem:
            refusal = problem
        except Exception as error:
            log.warning("stream_open_failed", channel=request.ch, error=repr(error))
            refusal = ChannelUnavailable("try again in a few seconds")
        self.subscriptions.pop(request.ch, None)
        return {"ch": request.ch, **describe_problem(refusal)}

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
        if not self._opens.take():
            raise RateLimited(
                "too many subscriptions at once", extra={"retry_after_ms": self._opens.wait_ms()}
            )
        self.subscriptions[request.ch] = None

    async def _open(self, request: ChannelRequest, principal: Principal) -> Subscription:
        kind, _ = self.services.hubs.kind(request.ch)
        handle = await self._open_handle(request.ch, principal)
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
            return LogSubscription(
                request.ch, handle, hub, self.queue, ended, request.position, self.fill_lock
            )
        if request.tier not in TIERS:
            raise TierNotAvailable(f"tiers are {', '.join(TIERS)}")
        if isinstance(hub, StateHub):
            return StateSubscription(request.ch, handle, hub, self.queue, ended, request.tier)
        if isinstance(hub, BookHub):
            return BookSubscription(request.ch, handle, hub, self.queue, ended, request.tier)
        raise TypeError(f"no subscription fits {type(hub).__name__}")

    def _unsubscribe(self, operation: Unsubscribe) -> None:
        ended: list[str] = []
        refused: list[dict[str, object]] = []
        for channel in dict.fromkeys(operation.ch):
            subscription = self.subscriptions.get(channel)
            if subscription is None:
                problem = NotSubscribed("this connection does not have it")
                refused.append({"ch": channel[:MAX_CHANNEL_LENGTH], **describe_problem(problem)})
            else:
                self.remove(subscription)
                ended.append(channel)
        if operation.id is not None:
            self.send({"id": operation.id, "unsubs": ended, "errs": refused})

    async def _resync(self, operation: Resync) -> None:
        refused: list[dict[str, object]] = []
        done: list[str] = []
        for channel in dict.fromkeys(operation.ch):
            subscription = self.subscriptions.get(channel)
            try:
                if subscription is None:
                    raise NotSubscribed("this connection does not have it")
                if not self._opens.take():
                    raise RateLimited("too fast", extra={"retry_after_ms": self._opens.wait_ms()})
                await subscription.resync()
                done.append(channel)
            except Problem as problem:
                refused.append({"ch": channel[:MAX_CHANNEL_LENGTH], **describe_problem(problem)})
        if operation.id is not None:
            self.send({"id": operation.id, "resyncs": done, "errs": refused})

    def _welcome(self, principal: Principal, message_id: MessageId) -> dict[str, object]:
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

    def _send_heartbeat(self) -> None:
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
        self.queue.put_frame(frame(PING, b""))
