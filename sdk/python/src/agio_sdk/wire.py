"""One WebSocket of a stream: its messages, and the channel numbers that are valid on it."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec

from agio_sdk.errors import AgioError
from agio_sdk.subscription import Subscription

DEFAULT_HEARTBEAT_MS = 15_000


class Confirmed(msgspec.Struct):
    """A subscription that the server granted."""

    ch: str
    n: int
    epoch: str = ""
    seq: int = 0
    recovered: bool = True


class Refused(msgspec.Struct):
    """A subscription that the server did not grant; `retry` says that it may at another time."""

    ch: str
    code: str
    detail: str = ""
    retry: bool = False


class Frame(msgspec.Struct, gc=False):
    """Any message from the server; which fields are set depends on `op`, and a push has none."""

    op: str = ""
    id: int | None = None
    n: int = -1
    q: int = 0
    t: int = 0
    d: msgspec.Raw = msgspec.Raw(b"")
    p: int | None = None
    crc: int | None = None
    subs: list[Confirmed] | None = None
    errs: list[Refused] | None = None
    first: int = msgspec.field(default=0, name="from")
    to: int = 0
    code: str = ""
    detail: str = ""
    retry: bool = False
    retry_after_ms: int = 0
    slot: int = 0
    hb_ms: int = DEFAULT_HEARTBEAT_MS
    top: dict[str, int] = {}


class HandshakeRefused(AgioError):
    """The server answered the upgrade with a problem."""

    def __init__(self, status: int, retry_after_seconds: float) -> None:
        super().__init__(f"the server refused the stream with HTTP {status}")
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class Connection:
    """An open WebSocket and what has been asked for on it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, encoding: str) -> None:
        self.socket = socket
        self.numbers: dict[int, Subscription] = {}
        self.known: dict[str, Subscription] = {}
        """What was asked for last, by channel."""
        self.asked: dict[int, list[Subscription]] = {}
        self.heartbeat_ms = DEFAULT_HEARTBEAT_MS
        self.drains_after_seconds: float | None = None
        """The server is about to stop, and wants us to leave after so long."""
        self._waiting: set[asyncio.Task[None]] = set()
        self._is_repeating = False
        self._next_id = 1
        self._is_binary = encoding == "msgpack"

    async def send(self, message: dict[str, object]) -> None:
        if self._is_binary:
            await self.socket.send_bytes(msgspec.msgpack.encode(message))
        else:
            await self.socket.send_str(msgspec.json.encode(message).decode())

    async def subscribe(self, subscriptions: list[Subscription]) -> None:
        """Ask for channels, each from its position."""
        if not subscriptions:
            return
        request_id, self._next_id = self._next_id, self._next_id + 1
        self.asked[request_id] = subscriptions
        self.known.update({subscription.channel: subscription for subscription in subscriptions})
        entries = [subscription.wire_request() for subscription in subscriptions]
        await self.send({"id": request_id, "op": "sub", "ch": entries})

    async def unsubscribe(self, channel: str) -> None:
        request_id, self._next_id = self._next_id, self._next_id + 1
        self.known.pop(channel, None)
        await self.send({"id": request_id, "op": "unsub", "ch": [channel]})

    def subscribe_later(self, subscription: Subscription, seconds: float) -> None:
        """Ask again for a channel that could not be served just now, unless it is not wanted any more."""

        async def ask() -> None:
            if self.known.get(subscription.channel) is subscription:
                await self.subscribe([subscription])

        self._do_later(ask, seconds)

    def repeat_later(self, seconds: float) -> None:
        """The server left out messages that came too fast: repeat what it has not answered by then."""
        if self._is_repeating:
            return
        self._is_repeating = True

        async def repeat() -> None:
            self._is_repeating = False
            unanswered = {each.channel: each for group in self.asked.values() for each in group}
            wanted = [each for each in unanswered.values() if self.known.get(each.channel) is each]
            # Whether the end of an earlier subscription was heard is not known either.
            ended = [each.channel for each in wanted if each.is_established]
            if ended:
                await self.send({"op": "unsub", "ch": ended})
            await self.subscribe(wanted)

        self._do_later(repeat, seconds)

    def _do_later(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        async def wait_and_work() -> None:
            await asyncio.sleep(seconds)
            with contextlib.suppress(aiohttp.ClientError, OSError):
                await work()

        task = asyncio.create_task(wait_and_work())
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def close(self) -> None:
        """Close the socket and forget what was to be asked again."""
        waiting = list(self._waiting)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await self.socket.close()


def decoders(
    encoding: str,
) -> tuple[Callable[[str | bytes], Frame], Callable[[str | bytes], list[Frame]]]:
    """How to read one message, and a batch of them."""
    if encoding == "json":
        return msgspec.json.Decoder(Frame).decode, msgspec.json.Decoder(list[Frame]).decode
    one = msgspec.msgpack.Decoder(Frame, strict=False)
    many = msgspec.msgpack.Decoder(list[Frame], strict=False)
    return (lambda data: one.decode(_as_bytes(data))), (lambda data: many.decode(_as_bytes(data)))


def is_batch(data: str | bytes) -> bool:
    """Whether a WebSocket message holds an array of messages."""
    if isinstance(data, str):
        return data.startswith("[")
    first = data[0] if data else 0
    return 0x90 <= first <= 0x9F or first in {0xDC, 0xDD}


def _as_bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data
