"""The session of `/stream/{symbol}`: one symbol's trades, nothing to learn."""

import asyncio

import structlog
from typing_extensions import override

from agio.identity.api import Principal
from agio.kernel.problem import Problem
from agio.platform.channels import ChannelHandle, ChannelKind
from agio.streaming.encoding import Encoding
from agio.streaming.errors import ChannelUnavailable, CloseCode
from agio.streaming.frames import PING, frame
from agio.streaming.hub import Subscription
from agio.streaming.log_hub import LogHub
from agio.streaming.log_subscription import LogSubscription
from agio.streaming.messages import Authenticate, decode_operation
from agio.streaming.ports import Wire
from agio.streaming.session import Session, SessionServices, verdict

log = structlog.get_logger(__name__)


class SimpleSession(Session):
    """Sends each trade as one message; takes nothing but a first `auth`."""

    door = "simple"

    def __init__(
        self,
        services: SessionServices,
        wire: Wire,
        symbol: str,
        address: str,
        principal: Principal | None,
        handle: ChannelHandle | None,
    ) -> None:
        super().__init__(services, wire, Encoding.SIMPLE, address, principal)
        self._channel = f"trades:{symbol}"
        self._handle = handle
        self._worker: asyncio.Task[None] | None = None
        self._pinged_at = self.clock()

    @override
    def opened(self) -> None:
        super().opened()
        if self.principal is not None:
            self._worker = asyncio.create_task(self._begin(self.principal, None))

    @override
    def received(self, payload: bytes, *, is_text: bool) -> None:
        if self.principal is not None or self._worker is not None:
            self.close(CloseCode.MALFORMED, "this stream takes no messages after auth")
            return
        try:
            operation = decode_operation(Encoding.JSON, payload)
        except Problem:
            operation = None
        if not isinstance(operation, Authenticate):
            self.close(CloseCode.MALFORMED, 'the first message is {"op":"auth","token":...}')
            return
        self._worker = asyncio.create_task(self._begin(None, operation))

    @override
    def sweep(self) -> None:
        super().sweep()
        now = self.clock()
        if not self.is_closed and now - self._pinged_at >= self.services.settings.heartbeat_seconds:
            self._pinged_at = now
            self.queue.put_frame(frame(PING, b""))

    @override
    def end_subscription(self, subscription: Subscription, reason: Problem) -> None:
        super().end_subscription(subscription, reason)
        self.finish(CloseCode.CHANNEL_RESET, reason.title)

    @override
    def _release(self) -> None:
        super()._release()
        if self._worker is not None and self._worker is not asyncio.current_task():
            self._worker.cancel()

    async def _begin(self, principal: Principal | None, operation: Authenticate | None) -> None:
        try:
            if principal is None:
                token, ticket = (operation.token, operation.ticket) if operation else (None, None)
                principal = await self.authenticate(token, ticket)
                self.become(principal)
            await self._subscribe(principal)
        except Problem as problem:
            self.close(*verdict(problem))
        except Exception:
            log.exception("stream_open_failed", channel=self._channel)
            self.close(*verdict(ChannelUnavailable()))

    async def _subscribe(self, principal: Principal) -> None:
        kind, handle = await open_trades(self.services, self._channel, principal, self._handle)
        hub = await self.services.hubs.acquire(self._channel, kind, handle)
        if self.is_closed or not isinstance(hub, LogHub):
            self.services.hubs.release(hub)
            return
        subscription = LogSubscription(
            self._channel, handle, hub, self.queue, self.end_subscription, None, self.fill_lock
        )
        self.subscriptions[self._channel] = subscription
        self.services.metrics.subscriptions.inc()
        subscription.activate()


async def open_trades(
    services: SessionServices, channel: str, principal: Principal, handle: ChannelHandle | None = None
) -> tuple[ChannelKind, ChannelHandle]:
    """Authorise and open a symbol's trades; raises a Problem such as UnknownChannel."""
    kind, key = services.hubs.kind(channel)
    services.policy.require(principal, kind.scope)
    return kind, handle if handle is not None else await kind.open(principal, key)
