"""A server that plays a script for each connection, over real sockets, and the client of it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from agio_sdk import Agio, Pace, StateChange, Stream, Subscription

RESTART = 1012

Json = dict[str, Any]
Gap = tuple[str, int, int, bool]


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self.request = request
        self._is_binary = socket.ws_protocol == "agio.v1.msgpack"

    async def send(self, message: object) -> None:
        if self._is_binary:
            await self.socket.send_bytes(msgspec.msgpack.encode(message))
        else:
            await self.socket.send_json(message)

    async def welcome(self, **members: object) -> None:
        await self.send({"op": "welcome", "hb_ms": 15_000, **members})

    async def hear(self, operation: str) -> Json:
        data = await self.socket.receive(timeout=10)
        assert data.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}, data
        is_text = data.type is aiohttp.WSMsgType.TEXT
        message: Json = (msgspec.json if is_text else msgspec.msgpack).decode(data.data)
        assert message["op"] == operation, message
        return message

    async def grant(self, *, number: int = 1, seq: int = 0, epoch: str = "e", **members: object) -> Any:
        """Answer a subscription of one channel; the entry that asked for it."""
        message = await self.hear("sub")
        (entry,) = message["ch"]
        granted = {"ch": entry["ch"], "n": number, "epoch": epoch, "seq": seq, **members}
        await self.send({"id": message["id"], "subs": [granted], "errs": []})
        return entry

    async def refuse(self, code: str, *, retry: bool, **members: object) -> None:
        message = await self.hear("sub")
        errors = [{"ch": entry["ch"], "code": code, "retry": retry, **members} for entry in message["ch"]]
        await self.send({"id": message["id"], "subs": [], "errs": errors})

    async def push(self, *sequences: int, number: int = 1) -> None:
        await self.send([{"n": number, "q": q, "t": 0, "d": {}} for q in sequences])

    async def close(self, code: int = RESTART, reason: str = "") -> None:
        await self.socket.close(code=code, message=reason.encode())

    async def silence(self) -> None:
        """Wait for the client to go."""
        async for _ in self.socket:
            pass


Script = Callable[[Peer], Awaitable[None]]
Refusal = Callable[[], web.Response]


def refusal(status: int, **headers: str) -> Refusal:
    """A handshake that is refused, in place of a script."""
    return lambda: web.Response(status=status, headers=headers)


class Timer:
    """Remembers how long the stream wanted to sleep, and sleeps a moment; its clock moves when told to."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(min(seconds, 0.001))

    def clock(self) -> float:
        return self.now

    def pace(self, **settings: Any) -> Pace:
        return Pace(sleep=self.sleep, clock=self.clock, **settings)


QUICK = Pace(first_delay=0.001, longest_delay=0.002, repeat=0.001)


@asynccontextmanager
async def serving(routes: Sequence[web.RouteDef]) -> AsyncIterator[str]:
    """An HTTP server on loopback; its URL."""
    app = web.Application()
    app.router.add_routes(routes)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def talking(
    *scripts: Script | Refusal,
    is_alone: bool = False,
    routes: Sequence[web.RouteDef] = (),
    pace: Pace = QUICK,
    **options: Any,
) -> AsyncIterator[Agio]:
    """A client of a server that plays one script for each connection; if alone, one after the other.

    Everything in every script has happened, without a failure, when the block ends.
    """
    waiting = list(scripts)
    failures: list[BaseException] = []
    playing = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal playing
        if is_alone and playing:
            return web.Response(status=503)
        script = waiting.pop(0)
        if script.__code__.co_argcount == 0:
            return script()  # type: ignore[call-arg,return-value]
        playing += 1
        socket = web.WebSocketResponse(protocols=("agio.v1.json", "agio.v1.msgpack"))
        await socket.prepare(request)
        try:
            await script(Peer(socket, request))  # type: ignore[call-arg,misc]
        except BaseException as failure:
            failures.append(failure)
            raise
        finally:
            playing -= 1
        return socket

    async with serving([web.get("/stream", answer), *routes]) as url, asyncio.timeout(30):
        options.setdefault("api_key", "agio_sandbox_key")
        async with Agio(url, options.pop("api_key"), pace=pace, **options) as agio:
            yield agio
    assert failures == []
    assert waiting == []


@asynccontextmanager
async def streaming(*scripts: Script | Refusal, **options: Any) -> AsyncIterator[Stream]:
    """The stream of such a client."""
    async with talking(*scripts, **options) as agio:
        yield agio.stream()


async def sequences(subscription: Subscription, count: int) -> list[int]:
    return [(await anext(subscription)).q for _ in range(count)]


async def changes_until(stream: Stream, is_last: Callable[[StateChange], bool]) -> list[StateChange]:
    """The changes of state up to the one that is waited for."""
    told: list[StateChange] = []
    async for change in stream.changes():
        told.append(change)
        if is_last(change):
            break
    return told
