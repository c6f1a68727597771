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

DEFAULT_HEARTBEAT_MS = 15_000
STALE_HEARTBEATS = 2.0
LARGEST_MESSAGE = 16 * 1024 * 1024
REPLACEMENT_SECONDS = 10.0


class StreamState(Enum):
    CONNECTING = "connecting"
    LIVE = "live"
    STALE = "stale"
    RESUMING = "resuming"
    CLOSED = "closed"


class _Confirmed(msgspec.Struct):
    ch: str
    n: int
    epoch: str = ""
    seq: int = 0
    recovered: bool = True
    replay: int = 0


class _Refused(msgspec.Struct):
    ch: str
    code: str
    detail: str = ""
    retry: bool = False


class _Frame(msgspec.Struct, gc=False):
    """Any message from the server; which fields are set depends on `op`, and a push has none."""

    op: str = ""
    id: int | None = None
    n: int = -1
    q: int = 0
    t: int = 0
    d: msgspec.Raw = msgspec.Raw(b"")
    p: int | None = None
    crc: int | None = None
    subs: list[_Confirmed] | None = None
    errs: list[_Refused] | None = None
    first: int = msgspec.field(default=0, name="from")
    to: int = 0
    code: str = ""
    detail: str = ""
    retry: bool = False
    hb_ms: int = DEFAULT_HEARTBEAT_MS
    top: dict[str, int] = {}


class _HandshakeRefused(AgioError):
    def __init__(self, status: int, retry_after_seconds: float) -> None:
        super().__init__(f"the server refused the stream with HTTP {status}")
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class _Connection:
    """One WebSocket and the channel numbers that are valid on it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, encoding: str) -> None:
        self.socket = socket
        self.numbers: dict[int, Subscription] = {}
        self.asked: dict[int, list[Subscription]] = {}
        self.heartbeat_ms = DEFAULT_HEARTBEAT_MS
        self._next_id = 1
        self._is_binary = encoding == "msgpack"

    async def send(self, message: dict[str, object]) -> None:
        if self._is_binary:
            await self.socket.send_bytes(msgspec.msgpack.encode(message))
        else:
            await self.socket.send_str(msgspec.json.encode(message).decode())

    async def subscribe(self, subscriptions: list[Subscription]) -> None:
        if not subscriptions:
            return
        request_id, self._next_id = self._next_id, self._next_id + 1
        self.asked[request_id] = subscriptions
        entries = [subscription.wire_request() for subscription in subscriptions]
        await self.send({"id": request_id, "op": "sub", "ch": entries})

    async def unsubscribe(self, channel: str) -> None:
        request_id, self._next_id = self._next_id, self._next_id + 1
        await self.send({"id": request_id, "op": "unsub", "ch": [channel]})


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
        self._on_state = on_state
        self._subscriptions: dict[str, Subscription] = {}
        self._connection: _Connection | None = None
        self._runner: asyncio.Task[None] | None = None
        self._backoff = Backoff()
        self._breaker = AuthenticationBreaker()
        self._failure: StreamClosed | None = None
        self.state = StreamState.CONNECTING
        self._decode_one, self._decode_many = _decoders(encoding)

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
        await subscription.confirmed
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Stop a subscription; called by `Subscription.aclose`."""
        self._subscriptions.pop(subscription.channel, None)
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
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._set_state(StreamState.CONNECTING)
                wait_at_least = 0.0
                try:
                    connection = await self._connect()
                except _HandshakeRefused as refusal:
                    self._judge_handshake(refusal)
                    wait_at_least = refusal.retry_after_seconds
                except (aiohttp.ClientError, OSError, TimeoutError):
                    pass
                else:
                    self._breaker.succeeded()
                    started = loop.time()
                    wait_at_least = await self._serve(connection)
                    self._backoff.was_healthy(loop.time() - started)
                await asyncio.sleep(self._backoff.next_delay(wait_at_least))
        except StreamClosed as error:
            self._failure = error
            self._set_state(StreamState.CLOSED)
            for subscription in self._subscriptions.values():
                subscription.fail(error)

    def _judge_handshake(self, refusal: _HandshakeRefused) -> None:
        if refusal.status in {401, 403}:
            self._breaker.failed()
            if self._breaker.is_open:
                raise StreamClosed(refusal.status, "the server refused this key three times") from refusal

    async def _connect(self) -> _Connection:
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
            raise _HandshakeRefused(error.status, float(after) if after.isdigit() else 0.0) from error
        connection = _Connection(socket, self._encoding)
        await connection.subscribe(list(self._subscriptions.values()))
        if self._subscriptions:
            self._set_state(StreamState.RESUMING)
        return connection

    async def _serve(self, connection: _Connection) -> float:
        """Read until the socket ends; returns the least seconds to wait.

        Raises StreamClosed when the end is for good.
        """
        self._connection = connection
        replacement: asyncio.Task[_Connection] | None = None
        try:
            while True:
                try:
                    message = await connection.socket.receive(
                        connection.heartbeat_ms / 1000 * STALE_HEARTBEATS
                    )
                except TimeoutError:
                    self._set_state(StreamState.STALE)
                    return 0.0
                if message.type not in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
                    if replacement is None:
                        return self._verdict(connection.socket.close_code or 1006, str(message.extra or ""))
                    connection, replacement = await self._switch(connection, replacement), None
                    continue
                if await self._read(connection, message.data) and replacement is None:
                    replacement = asyncio.create_task(self._connect())
                if replacement is not None and replacement.done():
                    connection, replacement = await self._switch(connection, replacement), None
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError):
            return 0.0
        finally:
            self._connection = None
            if replacement is not None:
                replacement.cancel()
            await self._try(connection.socket.close())

    async def _switch(self, old: _Connection, replacement: asyncio.Task[_Connection]) -> _Connection:
        """Leave a draining node for the connection that was opened before it goes."""
        async with asyncio.timeout(REPLACEMENT_SECONDS):
            new = await replacement
        self._connection = new
        await self._try(old.socket.close())
        return new

    def _verdict(self, code: int, reason: str) -> float:
        if 4500 <= code <= 4999:
            raise StreamClosed(code, reason or "closed by the server")
        try:
            return float(msgspec.json.decode(reason, type=dict[str, float]).get("retry_after_ms", 0)) / 1000
        except msgspec.MsgspecError:
            return 0.0

    async def _read(self, connection: _Connection, data: str | bytes) -> bool:
        """Handle one WebSocket message; returns True when the server is draining."""
        is_draining = False
        is_array = data.startswith("[") if isinstance(data, str) else _is_msgpack_array(data)
        frames = self._decode_many(data) if is_array else [self._decode_one(data)]
        for frame in frames:
            if (frame.op == "" and frame.id is None) or frame.op == "snap":
                await self._push(connection, frame)
            else:
                is_draining |= await self._control(connection, frame)
        return is_draining

    async def _push(self, connection: _Connection, frame: _Frame) -> None:
        subscription = connection.numbers.get(frame.n)
        if subscription is None:
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

    async def _control(self, connection: _Connection, frame: _Frame) -> bool:
        if frame.id is not None and (frame.subs is not None or frame.errs is not None):
            self._answered(connection, frame)
        elif frame.op == "welcome":
            connection.heartbeat_ms = frame.hb_ms
        elif frame.op == "hb":
            await self._check_tops(connection, frame.top)
        elif frame.op == "skipped" and frame.n in connection.numbers:
            connection.numbers[frame.n].skipped(frame.first, frame.to)
        elif frame.op == "reauth":
            await connection.send({"op": "auth", "token": self._api_key})
        elif frame.op == "unsub" and frame.n in connection.numbers:
            subscription = connection.numbers.pop(frame.n)
            if frame.retry:
                subscription.is_resuming = True
                await connection.subscribe([subscription])
                return False
            self._subscriptions.pop(subscription.channel, None)
            subscription.fail(ChannelRefused(subscription.channel, frame.code, frame.detail))
        return frame.op == "drain"

    def _answered(self, connection: _Connection, frame: _Frame) -> None:
        asked = {
            subscription.channel: subscription for subscription in connection.asked.pop(frame.id or 0, [])
        }
        for confirmed in frame.subs or []:
            subscription = asked.get(confirmed.ch)
            if subscription is not None:
                connection.numbers[confirmed.n] = subscription
                subscription.confirm(confirmed.epoch, confirmed.seq, is_recovered=confirmed.recovered)
        for refused in frame.errs or []:
            subscription = asked.get(refused.ch)
            if subscription is not None:
                self._subscriptions.pop(subscription.channel, None)
                subscription.fail(ChannelRefused(refused.ch, refused.code, refused.detail))
        self._set_state(StreamState.LIVE)

    async def _check_tops(self, connection: _Connection, tops: dict[str, int]) -> None:
        """A heartbeat names the newest sequence of each log channel: being behind it means silent loss."""
        for number, top in tops.items():
            subscription = connection.numbers.get(int(number))
            if subscription is not None and subscription.is_log and (subscription.last or 0) < top:
                await self._resume(connection, subscription)

    async def _resume(self, connection: _Connection, subscription: Subscription) -> None:
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
            if self._on_state is not None:
                self._on_state(state)


def _decoders(
    encoding: str,
) -> tuple[Callable[[str | bytes], _Frame], Callable[[str | bytes], list[_Frame]]]:
    if encoding == "json":
        return msgspec.json.Decoder(_Frame).decode, msgspec.json.Decoder(list[_Frame]).decode
    one = msgspec.msgpack.Decoder(_Frame, strict=False)
    many = msgspec.msgpack.Decoder(list[_Frame], strict=False)
    return (lambda data: one.decode(_as_bytes(data))), (lambda data: many.decode(_as_bytes(data)))


def _as_bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _is_msgpack_array(data: bytes) -> bool:
    first = data[0]
    return 0x90 <= first <= 0x9F or first in {0xDC, 0xDD}
