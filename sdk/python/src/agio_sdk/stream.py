"""The multiplexed stream: reconnects to its own channels, resumes where it was, never loses silently."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any

import aiohttp
import msgspec

from agio_sdk.backfill import Backfill, Fetch
from agio_sdk.backoff import AuthenticationBreaker, Backoff
from agio_sdk.buffer import WhenFull
from agio_sdk.connection import Connection
from agio_sdk.dispatch import Dispatcher
from agio_sdk.errors import AgioError, StreamClosed
from agio_sdk.gaps import OnGap
from agio_sdk.pace import Pace
from agio_sdk.socket import CertificateRefused, Encoding, HandshakeRefused, Socket, SocketEnded
from agio_sdk.states import OnState, StateChange, StateFeed, StreamState, log
from agio_sdk.subscription import Subscription
from agio_sdk.verdicts import Verdict, judge
from agio_sdk.wire import decoder

__all__ = ["Stream", "StreamState", "Token"]

FAILED_CODE = 1011
UNREADABLE_CODE = 1003
PROBABLY_FOR_GOOD = frozenset({400, 401, 403, 404, 405, 406, 410, 426})
"""What a handshake is refused with when the same handshake will hardly succeed a little later."""

UNREADABLE = (msgspec.MsgspecError, ValueError, ArithmeticError)
"""What a message raises that is not as documented, down to the digits of a price."""
BAD_CREDENTIAL = frozenset({4401, 4408})
"""Close codes that speak of the credential; soon after connecting they count as refusals of it."""

Token = Callable[[], Awaitable[str]]
"""Gives the credential to connect with, and again when it is about to expire."""


class Stream:
    """A connection that looks after itself; made by `Agio.stream()`.

    States: connecting, resuming, live, stale (silent for longer than a heartbeat and a margin), closed.
    Reconnects with full jitter from 0.5 to 20 s, never sooner than the server asks, and gives up only when
    the close code says so (4500-4999) or the handshake was refused three times in a row.
    """

    def __init__(
        self,
        session: Callable[[], aiohttp.ClientSession],
        url: str,
        token: str | Token,
        encoding: Encoding = "json",
        on_state: OnState | None = None,
        *,
        compress: bool = False,
        fetch: Fetch | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._session = session
        self._url = url
        self._given_token = token
        self._encoding: Encoding = encoding
        self._compress = compress
        self._backfill = Backfill(fetch) if fetch is not None else None
        self._pace = pace or Pace()
        self._decode = decoder(encoding)
        self._subscriptions: dict[str, Subscription] = {}
        self._states = StateFeed(on_state)
        self._dispatcher = Dispatcher(self._subscriptions, self._states, self._token, encoding, self._pace)
        self._connection: Connection | None = None
        self._runner: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._backoff = Backoff(self._pace)
        self._breaker = AuthenticationBreaker(self._pace)
        self._spoke_for = 0.0
        """Seconds from the beginning of the last connection to its last message."""
        self._failure: StreamClosed | None = None

    @property
    def state(self) -> StreamState:
        return self._states.state

    @property
    def on_state(self) -> OnState | None:
        """Called with every new state."""
        return self._states.on_state

    @on_state.setter
    def on_state(self, callback: OnState | None) -> None:
        self._states.on_state = callback

    @property
    def sources(self) -> dict[str, str]:
        """Each source upstream of the server as `live`, `stale` or `closed`, as the last heartbeat told."""
        return dict(self._dispatcher.sources)

    def changes(self) -> AsyncGenerator[StateChange, None]:
        """The present state and every change from then on, with its reason; ends after `closed`."""
        return self._states.changes()

    async def subscribe(
        self,
        channel: str,
        *,
        position: tuple[str, int] | None = None,
        start: int | datetime | None = None,
        depth: int | None = None,
        tier: str | None = None,
        limit: int | None = None,
        when_full: WhenFull | None = None,
        on_gap: OnGap | None = None,
        backfill: bool = False,
    ) -> Subscription:
        """Subscribe and wait for the server's answer.

        Log channels: `position` = (epoch, sequence) resumes just after it; `start` = a sequence or a time
        begins with history from there on, then goes on live. `backfill` reads from REST what cannot be
        resumed. State and book channels: `tier` = 50ms, 100ms, 250ms or 1s conflates; `depth` is how many
        levels a book shows.

        `limit` messages may wait to be read: 100,000 of a log, 10,000 of other channels. When there are more,
        `when_full` says what happens: `fail` ends the subscription with QueueFull (the default of logs),
        `drop_oldest` gives up the oldest and announces the gap (the default of others). `latest` is no queue:
        it keeps the newest value of each key, such as an asset, and announces what it replaces on logs only.

        Raises ChannelRefused for an unknown or foreign channel, StreamClosed when the stream is closed for
        good, AgioError when the channel is subscribed already.
        """
        if self._failure is not None:
            raise self._failure
        if channel in self._subscriptions:
            raise AgioError(f"{channel} is subscribed already on this stream")
        if position is not None and start is not None:
            raise ValueError("give position or start, not both")
        subscription = Subscription(
            self,
            channel,
            request=_request(start, depth, tier),
            limit=limit,
            when_full=when_full,
            on_gap=on_gap,
            position=position,
            read_hole=self._hole_reader() if backfill else None,
        )
        self._subscriptions[channel] = subscription
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        elif self._connection is not None:
            await self._try(self._ask(self._connection, subscription))
        try:
            await subscription.confirmed
        except asyncio.CancelledError:
            await self.unsubscribe(subscription)
            raise
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stop a subscription; called by `Subscription.aclose`."""
        if self._subscriptions.get(subscription.channel) is subscription:
            del self._subscriptions[subscription.channel]
            self._dispatcher.forget(subscription)
            if self._connection is not None:
                await self._try(self._connection.unsubscribe(subscription.channel))

    def give_up(self, subscription: Subscription, error: Exception) -> None:
        """End a subscription that cannot go on; its reader gets the error after what is waiting."""
        subscription.fail(error)
        if self._subscriptions.get(subscription.channel) is subscription:
            del self._subscriptions[subscription.channel]
            self._dispatcher.forget(subscription)
            self._start(self._leave(subscription))

    async def _ask(self, connection: Connection, subscription: Subscription) -> None:
        if connection.holds(subscription):
            return
        if subscription.channel in connection.known:
            # One that has just ended, of which the server has not been told yet.
            await connection.unsubscribe(subscription.channel)
        await connection.subscribe([subscription])

    async def _leave(self, subscription: Subscription) -> None:
        """Tell the server, unless somebody was quick to subscribe again, which has told it."""
        if self._connection is not None and self._connection.holds(subscription):
            await self._try(self._connection.unsubscribe(subscription.channel))

    async def aclose(self) -> None:
        """Close the socket and end every subscription; safe to call twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.cancel()
            await asyncio.gather(runner, return_exceptions=True)
        for subscription in list(self._subscriptions.values()):
            await subscription.aclose()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._states.set(StateChange(state=StreamState.CLOSED, reason="closed by this client"))

    # From connection to connection

    async def _run(self) -> None:
        try:
            while not (verdict := await self._connect_and_serve()).is_final:
                await self._pause(verdict)
            self._end(StreamClosed(verdict.code, verdict.reason))
        except Exception as error:
            log.exception("the stream failed")
            self._end(StreamClosed(FAILED_CODE, f"the stream failed: {error!r}"))

    async def _pause(self, verdict: Verdict) -> None:
        delay = self._backoff.next_delay(verdict.retry_after_seconds)
        change = StateChange(
            state=StreamState.CONNECTING,
            reason=verdict.reason,
            code=verdict.code,
            attempt=self._backoff.attempt,
            retry_in_seconds=delay,
        )
        self._states.set(change)
        await self._pace.sleep(delay)

    async def _connect_and_serve(self) -> Verdict:
        """One connection, and those that took over from it, from beginning to end."""
        try:
            connection = await self._connect()
        except HandshakeRefused as refusal:
            return self._judge_handshake(refusal)
        except SocketEnded as end:
            return judge(end.code, end.reason)
        verdict = await self._serve(connection)
        if verdict.code not in BAD_CREDENTIAL or self._spoke_for >= self._pace.healthy:
            self._breaker.succeeded()
            return verdict
        self._breaker.failed()
        return msgspec.structs.replace(verdict, is_final=self._breaker.is_open)

    def _end(self, error: StreamClosed) -> None:
        self._failure = error
        self._states.set(StateChange(state=StreamState.CLOSED, reason=error.reason, code=error.code))
        for subscription in self._subscriptions.values():
            subscription.fail(error)

    def _judge_handshake(self, refusal: HandshakeRefused) -> Verdict:
        if isinstance(refusal, CertificateRefused) or refusal.status in PROBABLY_FOR_GOOD:
            self._breaker.failed()
        reason = refusal.reason
        if self._breaker.is_open:
            reason += f", {self._pace.refusals} times in a row"
        return Verdict(refusal.status, reason, self._breaker.is_open, refusal.retry_after_seconds)

    async def _token(self) -> str:
        return self._given_token if isinstance(self._given_token, str) else await self._given_token()

    async def _connect(self) -> Connection:
        """Open a socket and resubscribe everything at its position."""
        try:
            token = await self._token()
        except Exception as error:
            log.warning("no token to connect with", exc_info=True)
            raise HandshakeRefused(401) from error
        socket = await Socket.open(
            self._session(),
            self._url,
            headers={"Authorization": f"Bearer {token}"},
            protocols=(f"agio.v1.{self._encoding}",),
            compress=self._compress,
            connect_seconds=self._pace.connect,
            close_seconds=self._pace.close,
        )
        connection = Connection(socket, self._decode, self._pace, is_binary=self._encoding == "msgpack")
        try:
            await connection.subscribe(list(self._subscriptions.values()))
        except SocketEnded:
            await connection.close()
            raise
        return connection

    async def _serve(self, connection: Connection) -> Verdict:
        """Read until the connection ends, moving to another one when its server drains."""
        replacement: asyncio.Task[Connection] | None = None
        try:
            await self._use(connection)
            while True:
                verdict = await self._read(connection)
                if verdict is not None and verdict.is_final:
                    return verdict
                if replacement is not None and verdict is not None:
                    await asyncio.wait({replacement}, timeout=self._pace.takeover)
                if replacement is not None and replacement.done() and replacement.exception() is None:
                    self._start(connection.close())
                    connection, replacement = replacement.result(), None
                    await self._use(connection)
                elif verdict is not None:
                    return verdict
                elif connection.drains_after_seconds is not None and replacement is None:
                    replacement = asyncio.create_task(self._replace(connection))
        except SocketEnded as end:
            return judge(end.code, end.reason)
        finally:
            self._connection = None
            self._spoke_for = connection.heard_at - connection.opened_at
            self._backoff.was_healthy(self._spoke_for)
            await self._abandon(replacement)
            self._start(connection.close())

    async def _read(self, connection: Connection) -> Verdict | None:
        """Handle the next message; how the connection ended if there is none."""
        try:
            await self._dispatcher.read(connection, await connection.receive())
        except SocketEnded as end:
            reason = "nothing was heard for too long" if connection.is_stale else end.reason
            return judge(end.code, reason)
        except UNREADABLE as error:
            return judge(UNREADABLE_CODE, f"a message that cannot be read: {error}")
        return None

    async def _use(self, connection: Connection) -> None:
        """Make a connection the one in use, with what was subscribed while it was being opened."""
        self._connection = connection
        if self._subscriptions:
            self._states.set(StateChange(state=StreamState.RESUMING))
        connection.start(connection.watch(self._told_of_silence))
        await connection.subscribe(
            [each for each in self._subscriptions.values() if not connection.holds(each)]
        )

    def _told_of_silence(self) -> None:
        self._states.set(StateChange(state=StreamState.STALE, reason="nothing was heard for too long"))

    async def _replace(self, old: Connection) -> Connection:
        """Open the connection that takes over from one whose server drains; tries until it is cancelled.

        It takes over once its server has answered for all channels: until then the old one is listened to.
        """
        backoff = Backoff(self._pace)
        await self._pace.sleep(old.drains_after_seconds or 0.0)
        while True:
            least = 0.0
            connection: Connection | None = None
            try:
                connection = await self._connect()
                await connection.receive_answer()
            except HandshakeRefused as refusal:
                least = refusal.retry_after_seconds
            except (SocketEnded, *UNREADABLE):
                await self._discard(connection)
            except asyncio.CancelledError:
                await self._discard(connection)
                raise
            else:
                # Wakes the reader of the old one, should it be quiet.
                self._start(old.socket.close())
                return connection
            await self._pace.sleep(backoff.next_delay(least))

    async def _abandon(self, replacement: "asyncio.Task[Connection] | None") -> None:
        if replacement is None:
            return
        replacement.cancel()
        opened = (await asyncio.gather(replacement, return_exceptions=True))[0]
        if isinstance(opened, Connection):
            await opened.close()

    async def _discard(self, connection: Connection | None) -> None:
        if connection is not None:
            await connection.close()

    async def _try(self, action: Awaitable[object]) -> None:
        """Do something on a socket that may be gone: the reader notices and reconnects."""
        try:
            await action
        except SocketEnded:
            return

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hole_reader(self) -> Backfill:
        if self._backfill is None:
            raise AgioError("this stream has no REST interface to fill holes from")
        return self._backfill


def _request(start: int | datetime | None, depth: int | None, tier: str | None) -> dict[str, object]:
    """The members of a `sub` entry that were given."""
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise ValueError("start needs a time zone")
        members: dict[str, object] = {"start": start.isoformat().replace("+00:00", "Z")}
    else:
        members = {} if start is None else {"start": start}
    if depth is not None:
        members["depth"] = depth
    if tier is not None:
        members["tier"] = tier
    return members
