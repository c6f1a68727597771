"""A session: what one connection may see, what it has asked for, and when it ends."""

import asyncio
from typing import Protocol

from agio.identity.api import Authenticator, Forbidden, Policy, Principal
from agio.kernel.ids import KeyId, new_id
from agio.kernel.problem import Problem
from agio.platform.channels import UnknownChannel
from agio.platform.clock import Clock
from agio.streaming.encoding import Encoding
from agio.streaming.errors import CloseCode, OtherSubject, Unauthenticated, may_retry
from agio.streaming.hub import HubServices, Subscription
from agio.streaming.log_subscription import LogSubscription
from agio.streaming.outbound import OutboundQueue, QueueBudget
from agio.streaming.ports import SourceStates, Wire
from agio.streaming.registry import HubRegistry

_RETRY_AFTER_MS = 2_000
_MAX_REASON = 80
"""Characters; a close frame holds 123 bytes."""


class Sessions(Protocol):
    """Who counts sessions and keeps their limits."""

    def identify(self, session: "Session", principal: Principal) -> None:
        """Count a session for its key; raises KeyRevoked, or Overloaded when the key has too many."""
        ...

    def leave(self, session: "Session") -> None: ...

    def pressure(self, session: "Session", *, is_pressing: bool) -> None: ...


class SessionServices:
    """What the sessions of a process share."""

    def __init__(
        self,
        hubs: HubRegistry,
        shared: HubServices,
        budget: QueueBudget,
        authenticator: Authenticator,
        policy: Policy,
        clock: Clock,
        sources: SourceStates,
        sessions: Sessions,
    ) -> None:
        self.hubs = hubs
        self.shared = shared
        self.settings = shared.settings
        self.metrics = shared.metrics
        self.budget = budget
        self.authenticator = authenticator
        self.policy = policy
        self.clock = clock
        self.sources = sources
        self.sessions = sessions


class Session:
    """The part that both doors have in common: identity, subscriptions, queue, end."""

    door = "stream"
    queue_type: type[OutboundQueue] = OutboundQueue

    def __init__(
        self,
        services: SessionServices,
        wire: Wire,
        encoding: Encoding,
        address: str,
        principal: Principal | None,
    ) -> None:
        self.connection_id = new_id("con")
        self.services = services
        self.wire = wire
        self.address = address
        self.principal = principal
        self.is_closed = False
        self.subscriptions: dict[str, Subscription | None] = {}
        """By channel; None while it is being opened."""
        self.fill_lock = asyncio.Lock()
        self.clock = asyncio.get_running_loop().time
        self.opened_at = self.clock()
        self.connected_at = services.clock.now()
        self.queue = self.queue_type(
            wire,
            encoding,
            services.settings,
            services.shared.ticker,
            services.budget,
            services.metrics,
            interests=self.subscriptions,
            overflowed=lambda reason: self.close(CloseCode.SLOW_CONSUMER, reason),
            level_changed=self._watch_lag,
        )
        self.sweep_turn = 0
        self.counted_as: KeyId | None = None
        """The key that this connection is counted for; None for a stranger."""
        self._is_asked_to_renew = False
        self._is_pressing = False

    def opened(self) -> None:
        """The handshake is done."""
        self._limit_messages()

    def received(self, payload: bytes, *, is_text: bool) -> None:
        """A whole message arrived."""

    def writable(self) -> None:
        """The transport has room again."""
        self.queue.flush()

    def lost(self) -> None:
        """The connection is gone."""
        self._release()

    def close(self, code: int, reason: str) -> None:
        """End the session; what is queued is not sent any more."""
        if self.is_closed:
            return
        self._release()
        self.wire.close(code, reason)

    def finish(self, code: int, reason: str) -> None:
        """End the session after one last try to write what is queued."""
        self.queue.flush()
        self.close(code, reason)

    def drain(self, within_ms: int, slot_ms: int) -> None:
        """Say that this node is about to stop."""

    def sweep(self) -> None:
        """Look after time: called about once a second, four times when something waits."""
        settings, now = self.services.settings, self.clock()
        if self.queue.age_seconds() > settings.queue_seconds:
            self.close(CloseCode.SLOW_CONSUMER, "the oldest message waited too long")
        elif self.wire.seconds_unheard() > settings.unanswered_seconds:
            self.close(CloseCode.UNANSWERED, "no answer to pings")
        elif self.principal is None:
            if now - self.opened_at > settings.authentication_seconds:
                self.close(CloseCode.AUTHENTICATION_TIMEOUT, "authenticate within 5 seconds")
        else:
            self._sweep_expiry(self.principal)
        if not self.is_closed:
            self._watch_lag()

    def become(self, principal: Principal) -> None:
        """Take on an identity, or a renewed one of the same subject."""
        known = self.principal
        if known is not None and known.scope != principal.scope:
            raise OtherSubject("use a key of the same organisation and environment, or another connection")
        self.services.sessions.identify(self, principal)
        self.principal = principal
        self._is_asked_to_renew = False
        self._limit_messages()

    async def authenticate(self, token: str | None, ticket: str | None) -> Principal:
        """Check a key or a ticket; raises a Problem."""
        if token is not None:
            return await self.services.authenticator.authenticate(token, self.address)
        if ticket is not None:
            return await self.services.authenticator.redeem_ticket(ticket, self.address)
        raise Unauthenticated("send a token or a ticket")

    def end_subscription(self, subscription: Subscription, reason: Problem) -> None:  # noqa: ARG002
        """A channel ended by itself."""
        self.remove(subscription)

    def remove(self, subscription: Subscription) -> None:
        if self.subscriptions.get(subscription.channel) is subscription:
            del self.subscriptions[subscription.channel]
        if not subscription.is_closed:
            subscription.close()
            self.services.metrics.subscriptions.dec()
            self.services.hubs.release(subscription.hub)

    def _release(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        for subscription in list(self.subscriptions.values()):
            if subscription is not None:
                self.remove(subscription)
        self.subscriptions.clear()
        self.queue.close()
        self._press(is_pressing=False)
        self.services.sessions.leave(self)

    def _limit_messages(self) -> None:
        settings = self.services.settings
        self.wire.limit_messages(
            settings.max_message_bytes
            if self.principal is not None
            else settings.max_message_bytes_before_authentication
        )

    def _sweep_expiry(self, principal: Principal) -> None:
        settings = self.services.settings
        left = (principal.expires_at - self.services.clock.now()).total_seconds()
        if left < -settings.expiry_grace_seconds:
            self.close(CloseCode.CREDENTIAL_EXPIRED, "the credential expired")
        elif left < settings.reauthenticate_seconds and not self._is_asked_to_renew:
            self._is_asked_to_renew = True
            self.ask_to_renew(principal)

    def ask_to_renew(self, principal: Principal) -> None:
        """Tell the client that its credential ends soon."""

    def _watch_lag(self) -> None:
        is_pressing, now = False, self.clock()
        for subscription in self.subscriptions.values():
            if not isinstance(subscription, LogSubscription):
                continue
            since = subscription.lagging_since
            if since is not None and now - since > self.services.settings.lag_seconds:
                self.close(CloseCode.SLOW_CONSUMER, f"{subscription.channel} is read too slowly")
                return
            if subscription.channel.startswith("trades:"):
                is_pressing |= since is not None or self.queue.is_pressed
        self._press(is_pressing=is_pressing)

    def _press(self, *, is_pressing: bool) -> None:
        if is_pressing != self._is_pressing:
            self._is_pressing = is_pressing
            self.services.sessions.pressure(self, is_pressing=is_pressing)


def describe_problem(problem: Problem) -> dict[str, object]:
    """The members that every error on the stream has."""
    entry: dict[str, object] = {"code": problem.code, "detail": problem.detail, "retry": may_retry(problem)}
    if "retry_after_ms" in problem.extra:
        entry["retry_after_ms"] = problem.extra["retry_after_ms"]
    return entry


def verdict(problem: Problem) -> tuple[CloseCode, str]:
    """Close code and reason for a connection that is of no use: may the client come back as it is?"""
    if may_retry(problem):
        after_ms = problem.extra.get("retry_after_ms", _RETRY_AFTER_MS)
        return CloseCode.OVERLOAD, f'{{"retry_after_ms":{after_ms}}}'
    reason = f"{problem.title}: {problem.detail}"[:_MAX_REASON]
    if isinstance(problem, UnknownChannel):
        return CloseCode.UNKNOWN_CHANNEL, reason
    if isinstance(problem, Forbidden):
        return CloseCode.FORBIDDEN, reason
    return CloseCode.REFUSED_CREDENTIAL, reason
