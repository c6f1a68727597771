"""The multiplexed stream: reconnects to its own channels, resumes where it was, never loses silently."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Literal

import aiohttp
import msgspec

from agio_sdk.backoff import AuthenticationBreaker, Backoff
from agio_sdk.errors import AgioError, ChannelRefused, StreamClosed
from agio_sdk.subscription import Message, OnGap, Subscription, WhenFull
from agio_sdk.wire import Connection, Frame, HandshakeRefused, decoders, is_batch

STALE_HEARTBEATS = 2.0
LARGEST_MESSAGE = 16 * 1024 * 1024
FAILED_CODE = 1011
THROTTLED_SECONDS = 0.5

_Lost = (HandshakeRefused, aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError)


class StreamState(Enum):
    CONNECTING = "connecting"
    LIVE = "live"
    STALE = "stale"
    RESUMING = "resuming"
    CLOSED = "closed"


class Stream:
    """A connection that looks after itself; made by `Agio.stream()`.

    States: connecting, live, stale (nothing heard for two heartbeats), resuming, closed. Reconnects with
    full jitter from 0.5 to 20 s, never sooner than the server asks, and gives up only when the close code
    says so (4500-4999) or the key was refused three times in a row.
    """

    def __init__(
        self,
        session: Callable[[], aiohttp.ClientSession],
        url: str,
        api_key: str,
        encoding: Literal["json", "msgpack"] = "json",
        on_state: Callable[[StreamState], None] | None = None,
    ) -> None:
        self._session = session
        self._url = url
        self._api_key = api_key
        self._encoding = encoding
        self.on_state = on_state
        self._subscriptions: dict[str, Subscription] = {}
        self._connection: Connection | None = None
        self._runner: asyncio.Task[None] | None = None
        self._backoff = Backoff()
        self._breaker = AuthenticationBreaker()
        self._failure: StreamClosed | None = None
        self.state = StreamState.CONNECTING
        self._decode_one, self._decode_many = decoders(encoding)

    async def subscribe(
        self,
        channel: str,
        *,
        position: tuple[str, int] | None = None,
        depth: int | None = None,
        tier: str | None = None,
        limit: int = 100_000,
        when_full: WhenFull = "block",
        on_gap: OnGap | None = None,
    ) -> Subscription:
        """Subscribe and wait for the server's answer.

        `position` = (epoch, sequence) replays a log channel from just after it. Raises ChannelRefused for
        an unknown or foreign channel, StreamClosed when the stream is closed for good, AgioError when the
        channel is subscribed already.
        """
        if self._failure is not None:
            raise self._failure
        if channel in self._subscriptions:
            raise AgioError(f"{channel} is subscribed already on this stream")
        request: dict[str, object] = {
            name: value for name, value in (("depth", depth), ("tier", tier)) if value is not None
        }
        subscription = Subscription(
            self, channel, request=request, limit=limit, when_full=when_full, on_gap=on_gap, position=position
        )
        self._subscriptions[channel] = subscription
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        elif self._connection is not None:
            await self._try(self._connection.subscribe([subscription]))
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
            if self._connection is not None:
                await self._try(self._connection.unsubscribe(subscription.channel))

    async def aclose(self) -> None:
        """Close the socket and end every subscription."""
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
            self._runner = None
        for subscription in list(self._subscriptions.values()):
            await subscription.aclose()
        self._set_state(StreamState.CLOSED)

    async def _run(self) -> None:
        try:
            while True:
                wait_at_least = await self._connect_and_serve()
                await asyncio.sleep(self._backoff.next_delay(wait_at_least))
        except StreamClosed as error:
            self._end(error)
        except Exception as error:
            self._end(StreamClosed(FAILED_CODE, f"the stream failed: {error!r}"))
            raise

    async def _connect_and_serve(self) -> float:
        """One connection, from its beginning to its end; returns the least seconds to wait before the next.

        Raises StreamClosed when the end is for good.
        """
        loop = asyncio.get_running_loop()
        self._set_state(StreamState.CONNECTING)
        try:
            connection = await self._connect()
        except HandshakeRefused as refusal:
            self._judge_handshake(refusal)
            return refusal.retry_after_seconds
        except _Lost:
            return 0.0
        self._breaker.succeeded()
        started = loop.time()
        wait_at_least = await self._serve(connection)
        self._backoff.was_healthy(loop.time() - started)
        return wait_at_least

    def _end(self, error: StreamClosed) -> None:
        self._failure = error
        self._set_state(StreamState.CLOSED)
        for subscription in self._subscriptions.values():
            subscription.fail(error)

    def _judge_handshake(self, refusal: HandshakeRefused) -> None:
        if refusal.status in {401, 403}:
            self._breaker.failed()
            if self._breaker.is_open:
                raise StreamClosed(refusal.status, "the server refused this key three times") from refusal

    async def _connect(self) -> Connection:
        """Open a socket and resubscribe everything at its position."""
        try:
            socket = await self._session().ws_connect(
                self._url,
                headers={"Authorization": f"Bearer {self._api_key}"},
                protocols=(f"agio.v1.{self._encoding}",),
                max_msg_size=LARGEST_MESSAGE,
                autoping=True,
            )
        except aiohttp.WSServerHandshakeError as error:
            after = error.headers.get("Retry-After", "") if error.headers is not None else ""
            raise HandshakeRefused(error.status, float(after) if after.isdigit() else 0.0) from error
        connection = Connection(socket, self._encoding)
        await connection.subscribe(list(self._subscriptions.values()))
        return connection

    async def _serve(self, connection: Connection) -> float:
        """Read until the socket ends; returns the least seconds to wait. Raises StreamClosed."""
        replacement: asyncio.Task[Connection] | None = None
        try:
            await self._use(connection)
            while True:
                try:
                    message = await connection.socket.receive(
                        connection.heartbeat_ms / 1000 * STALE_HEARTBEATS
                    )
                except TimeoutError:
                    self._set_state(StreamState.STALE)
                    return 0.0
                has_ended = message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}
                if not has_ended:
                    await self._read(connection, message.data)
                if replacement is not None and replacement.done():
                    await self._try(connection.close())
                    connection, replacement = replacement.result(), None
                    await self._use(connection)
                elif has_ended:
                    return self._verdict(connection.socket.close_code or 1006, str(message.extra or ""))
                elif connection.drains_after_seconds is not None and replacement is None:
                    replacement = asyncio.create_task(self._replace(connection.drains_after_seconds))
        except _Lost:
            return 0.0
        finally:
            self._connection = None
            await self._abandon(replacement)
            await self._try(connection.close())

    async def _use(self, connection: Connection) -> None:
        """Make a connection the one in use, with what was subscribed while it was being opened."""
        self._connection = connection
        if self._subscriptions:
            self._set_state(StreamState.RESUMING)
        await connection.subscribe(
            [
                subscription
                for subscription in self._subscriptions.values()
                if connection.known.get(subscription.channel) is not subscription
            ]
        )

    async def _replace(self, after_seconds: float) -> Connection:
        """Open the connection that takes over from one whose server drains; tries until it is cancelled."""
        backoff = Backoff()
        await asyncio.sleep(after_seconds)
        while True:
            try:
                return await self._connect()
            except _Lost:
                await asyncio.sleep(backoff.next_delay())

    async def _abandon(self, replacement: "asyncio.Task[Connection] | None") -> None:
        if replacement is None:
            return
        replacement.cancel()
        opened = (await asyncio.gather(replacement, return_exceptions=True))[0]
        if isinstance(opened, Connection):
            await self._try(opened.close())

    def _verdict(self, code: int, reason: str) -> float:
        if 4500 <= code <= 4999:
            raise StreamClosed(code, reason or "closed by the server")
        try:
            return float(msgspec.json.decode(reason, type=dict[str, float]).get("retry_after_ms", 0)) / 1000
        except msgspec.MsgspecError:
            return 0.0

    async def _read(self, connection: Connection, data: str | bytes) -> None:
        """Handle one WebSocket message."""
        frames = self._decode_many(data) if is_batch(data) else [self._decode_one(data)]
        for frame in frames:
            if (frame.op == "" and frame.id is None) or frame.op == "snap":
                await self._push(connection, frame)
            else:
                await self._control(connection, frame)

    async def _push(self, connection: Connection, frame: Frame) -> None:
        subscription = connection.numbers.get(frame.n)
        if subscription is None or self._subscriptions.get(subscription.channel) is not subscription:
            return
        message = Message(
            subscription.channel,
            frame.q,
            frame.t,
            bytes(frame.d),
            frame.op == "snap",
            frame.p,
            frame.crc,
            self._encoding,
        )
        if not subscription.accept(message):
            await self._resume(connection, subscription)
        await subscription.wait_for_room()

    async def _control(self, connection: Connection, frame: Frame) -> None:
        if frame.id is not None and (frame.subs is not None or frame.errs is not None):
            await self._answered(connection, frame)
        elif frame.op == "welcome":
            connection.heartbeat_ms = frame.hb_ms
        elif frame.op == "hb":
            await self._check_tops(connection, frame.top)
        elif frame.op == "skipped" and frame.n in connection.numbers:
            connection.numbers[frame.n].skipped(frame.first, frame.to)
        elif frame.op == "reauth":
            await connection.send({"op": "auth", "token": self._api_key})
        elif frame.op == "unsub" and frame.n in connection.numbers:
            await self._unsubscribed(connection, frame)
        elif frame.op == "error":
            self._told_of_error(connection, frame)
        elif frame.op == "drain":
            connection.drains_after_seconds = frame.slot / 1000

    async def _answered(self, connection: Connection, frame: Frame) -> None:
        asked = {
            subscription.channel: subscription for subscription in connection.asked.pop(frame.id or 0, [])
        }
        for confirmed in frame.subs or []:
            subscription = asked.get(confirmed.ch)
            if subscription is not None and self._subscriptions.get(confirmed.ch) is subscription:
                connection.numbers[confirmed.n] = subscription
                subscription.confirm(confirmed.epoch, confirmed.seq, is_recovered=confirmed.recovered)
            elif confirmed.ch in connection.known and confirmed.ch not in self._subscriptions:
                await connection.unsubscribe(confirmed.ch)
        for refused in frame.errs or []:
            subscription = asked.get(refused.ch)
            if subscription is None:
                continue
            if refused.code == "already_subscribed":
                await self._settle(connection, subscription)
            else:
                self._refused(connection, subscription, refused.code, refused.detail, may_retry=refused.retry)
        self._set_state(StreamState.LIVE)

    async def _unsubscribed(self, connection: Connection, frame: Frame) -> None:
        """A channel ended on the server's side."""
        subscription = connection.numbers.pop(frame.n)
        if frame.retry:
            subscription.is_resuming = True
            await connection.subscribe([subscription])
        else:
            self._refused(connection, subscription, frame.code, frame.detail, may_retry=False)

    async def _settle(self, connection: Connection, subscription: Subscription) -> None:
        """We asked twice and the other answer counts, or the end of an earlier subscription was not heard."""
        is_in_use = subscription in connection.numbers.values() and not subscription.is_resuming
        if not is_in_use and self._subscriptions.get(subscription.channel) is subscription:
            await connection.unsubscribe(subscription.channel)
            await connection.subscribe([subscription])

    def _told_of_error(self, connection: Connection, frame: Frame) -> None:
        """A whole message was refused: for now, or as it is."""
        if frame.retry:
            connection.repeat_later(max(THROTTLED_SECONDS, frame.retry_after_ms / 1000))
            return
        for subscription in connection.asked.pop(frame.id, []) if frame.id is not None else []:
            self._refused(connection, subscription, frame.code, frame.detail, may_retry=False)

    def _refused(
        self, connection: Connection, subscription: Subscription, code: str, detail: str, *, may_retry: bool
    ) -> None:
        """What worked before and is away for a moment is asked for again; everything else fails."""
        if may_retry and subscription.is_established:
            connection.subscribe_later(subscription, Backoff().next_delay(0.2))
            return
        if self._subscriptions.get(subscription.channel) is subscription:
            del self._subscriptions[subscription.channel]
        connection.known.pop(subscription.channel, None)
        subscription.fail(ChannelRefused(subscription.channel, code, detail))

    async def _check_tops(self, connection: Connection, tops: dict[str, int]) -> None:
        """A heartbeat names the newest sequence of each log channel: being behind it means silent loss."""
        for number, top in tops.items():
            subscription = connection.numbers.get(int(number))
            if subscription is not None and subscription.is_log and (subscription.last or 0) < top:
                await self._resume(connection, subscription)

    async def _resume(self, connection: Connection, subscription: Subscription) -> None:
        if subscription.is_resuming:
            return
        subscription.is_resuming = True
        await connection.unsubscribe(subscription.channel)
        await connection.subscribe([subscription])

    async def _try(self, action: Awaitable[object]) -> None:
        """Do something on a socket that may be gone: the reader notices and reconnects."""
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await action

    def _set_state(self, state: StreamState) -> None:
        if state is not self.state:
            self.state = state
            if self.on_state is not None:
                self.on_state(state)
