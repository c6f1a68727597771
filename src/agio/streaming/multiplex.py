"""The session of `/stream`: many channels on one connection, asked for by operations."""

import asyncio
from collections import deque
from collections.abc import Sequence

import structlog
from typing_extensions import override

from agio.identity.api import Principal
from agio.kernel.problem import Problem
from agio.kernel.time import format_instant
from agio.streaming.channel_session import ChannelSession
from agio.streaming.encoding import Encoding
from agio.streaming.errors import (
    ChannelUnavailable,
    CloseCode,
    InvalidOperation,
    NotSubscribed,
    RateLimited,
    TooManySubscriptions,
    Unauthenticated,
)
from agio.streaming.frames import PING, frame
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
from agio.streaming.session import SessionServices, describe_problem, verdict

log = structlog.get_logger(__name__)

_MALFORMED_LIMIT = 10
_IGNORED_LIMIT = 100


class MultiplexSession(ChannelSession):
    """Answers operations in order, one at a time."""

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
        self._operations: deque[Operation] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._ignored = 0
        self._malformed = 0

    @override
    def opened(self) -> None:
        super().opened()
        if self.principal is not None:
            self.send(self.welcome(self.principal, None))

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
    def send_heartbeat(self) -> None:
        super().send_heartbeat()
        self.queue.put_frame(frame(PING, b""))

    @override
    def _release(self) -> None:
        super()._release()
        self._operations.clear()
        if self._worker is not None and self._worker is not asyncio.current_task():
            self._worker.cancel()

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
            self.send(self.welcome(principal, operation.id))
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
                await self.open_handle(subscription.channel, principal)
            except Problem as problem:
                subscription.end(problem)
            except Exception as error:
                # Unknown is not allowed: the client asks for the channel again.
                log.warning("stream_right_not_checked", channel=subscription.channel, error=repr(error))
                subscription.end(ChannelUnavailable("subscribe again in a few seconds"))

    async def _subscribe(self, operation: Subscribe, principal: Principal) -> None:
        self._require_few(operation.ch)
        requests = [ChannelRequest(ch=item) if isinstance(item, str) else item for item in operation.ch]
        prepared, refused = await self.open_channels(requests, principal)
        if self.is_closed:
            return
        # From here to the last `activate` nothing waits: the answer tells exactly what follows it.
        self.send(
            {
                "id": operation.id,
                "subs": [subscription.describe() for subscription in prepared],
                "errs": [refusal.describe() for refusal in refused],
            }
        )
        for subscription in prepared:
            subscription.activate()

    def _require_few(self, channels: Sequence[object]) -> None:
        """A message that names more channels than a connection can have is refused whole."""
        if len(channels) > self.services.settings.max_subscriptions:
            raise TooManySubscriptions(f"at most {self.services.settings.max_subscriptions} at a time")

    def _unsubscribe(self, operation: Unsubscribe) -> None:
        self._require_few(operation.ch)
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
        self._require_few(operation.ch)
        refused: list[dict[str, object]] = []
        done: list[str] = []
        for channel in dict.fromkeys(operation.ch):
            subscription = self.subscriptions.get(channel)
            try:
                if subscription is None:
                    raise NotSubscribed("this connection does not have it")
                if not self.opens.take():
                    raise RateLimited("too fast", extra={"retry_after_ms": self.opens.wait_ms()})
                await subscription.resync()
                done.append(channel)
            except Problem as problem:
                refused.append({"ch": channel[:MAX_CHANNEL_LENGTH], **describe_problem(problem)})
        if operation.id is not None:
            self.send({"id": operation.id, "resyncs": done, "errs": refused})
