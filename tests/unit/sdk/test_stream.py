"""The stream against a server that plays a script: drains, refusals, lost requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from agio_sdk import ChannelRefused, Stream, StreamClosed, Subscription

Script = Callable[["Peer"], Awaitable[None]]
HAS_ENDED = 1012


class Peer:
    """The server's end of one connection."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self.socket = socket

    async def welcome(self) -> None:
        await self.socket.send_json({"op": "welcome", "hb_ms": 15_000})

    async def hear(self, operation: str) -> dict[str, Any]:
        message: dict[str, Any] = await self.socket.receive_json(timeout=5)
        assert message["op"] == operation
        return message

    async def grant(self, *, number: int = 1, seq: int = 0) -> int:
        """Answer a subscription of one channel; the position it asked for."""
        message = await self.hear("sub")
        (entry,) = message["ch"]
        after: int = entry.get("from", {}).get("seq", seq)
        granted = {"ch": entry["ch"], "n": number, "epoch": "e", "seq": seq, "recovered": True}
        await self.socket.send_json({"id": message["id"], "subs": [granted], "errs": []})
        return after

    async def refuse(self, code: str, *, retry: bool) -> None:
        message = await self.hear("sub")
        errors = [{"ch": entry["ch"], "code": code, "retry": retry} for entry in message["ch"]]
        await self.socket.send_json({"id": message["id"], "subs": [], "errs": errors})

    async def push(self, *sequences: int, number: int = 1) -> None:
        await self.socket.send_json([{"n": number, "q": q, "t": 0, "d": {}} for q in sequences])


@asynccontextmanager
async def streaming(*scripts: Script, is_alone: bool = False) -> AsyncIterator[Stream]:
    """A stream to a server that plays one script for each connection; if alone, one after the other."""
    waiting = list(scripts)
    failures: list[BaseException] = []
    playing = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal playing
        if is_alone and playing:
            return web.Response(status=503)
        script = waiting.pop(0)
        playing += 1
        socket = web.WebSocketResponse(protocols=("agio.v1.json",))
        await socket.prepare(request)
        try:
            await script(Peer(socket))
        except BaseException as failure:
            failures.append(failure)
            raise
        finally:
            playing -= 1
        return socket

    app = web.Application()
    app.router.add_get("/stream", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        stream = Stream(lambda: session, f"http://127.0.0.1:{port}/stream", "key")
        yield stream
        await stream.aclose()
    await runner.cleanup()
    assert failures == []
    assert waiting == []


async def sequences(subscription: Subscription, count: int) -> list[int]:
    return [(await anext(subscription)).q for _ in range(count)]


async def silence(peer: Peer) -> None:
    """Wait for the client to go."""
    async for _ in peer.socket:
        pass


class TestDrain:
    async def test_another_node_takes_over_without_loss_or_repetition(self) -> None:
        has_moved = asyncio.Event()

        async def old(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(1, 2, 3)
            await peer.socket.send_json({"op": "drain", "within_ms": 3000, "slot": 0})
            await has_moved.wait()
            await peer.push(4, 5)
            await silence(peer)

        async def new(peer: Peer) -> None:
            await peer.welcome()
            after = await peer.grant()
            assert after == 3
            await peer.push(*range(after + 1, 9))
            has_moved.set()
            await silence(peer)

        async with streaming(old, new) as stream:
            subscription = await stream.subscribe("trades:X")
            assert await sequences(subscription, 8) == list(range(1, 9))

    async def test_the_only_node_is_listened_to_until_it_goes(self) -> None:
        async def old(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.socket.send_json({"op": "drain", "within_ms": 3000, "slot": 0})
            # Time to be asked in vain; the test holds without it too.
            await asyncio.sleep(0.1)
            await peer.push(1, 2)
            await peer.socket.close(code=HAS_ENDED)

        async def new(peer: Peer) -> None:
            await peer.welcome()
            assert await peer.grant() == 2
            await peer.push(3)
            await silence(peer)

        async with streaming(old, new, is_alone=True) as stream:
            subscription = await stream.subscribe("trades:X")
            assert await sequences(subscription, 3) == [1, 2, 3]

    async def test_what_is_subscribed_meanwhile_moves_too(self) -> None:
        is_connected, is_subscribed = asyncio.Event(), asyncio.Event()

        async def old(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.socket.send_json({"op": "drain", "within_ms": 3000, "slot": 0})
            await is_connected.wait()
            await peer.grant(number=2)
            await is_subscribed.wait()
            await peer.socket.close(code=HAS_ENDED)

        async def new(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            is_connected.set()
            await peer.grant(number=2)
            await peer.push(1, number=2)
            await silence(peer)

        async with streaming(old, new) as stream:
            await stream.subscribe("trades:X")
            await is_connected.wait()
            second = await stream.subscribe("trades:Y")
            is_subscribed.set()
            assert await sequences(second, 1) == [1]


class TestRefusals:
    async def test_what_worked_before_and_is_away_is_asked_for_again(self) -> None:
        async def first(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(1)
            await peer.socket.close(code=HAS_ENDED)

        async def second(peer: Peer) -> None:
            await peer.welcome()
            await peer.refuse("channel_unavailable", retry=True)
            assert await peer.grant() == 1
            await peer.push(2)
            await silence(peer)

        async with streaming(first, second) as stream:
            subscription = await stream.subscribe("trades:X")
            assert await sequences(subscription, 2) == [1, 2]

    async def test_what_never_worked_is_refused(self) -> None:
        async def only(peer: Peer) -> None:
            await peer.welcome()
            await peer.refuse("channel_unavailable", retry=True)
            await silence(peer)

        async with streaming(only) as stream:
            with pytest.raises(ChannelRefused):
                await stream.subscribe("trades:X")

    async def test_a_message_that_was_left_out_is_repeated(self) -> None:
        async def only(peer: Peer) -> None:
            await peer.welcome()
            await peer.hear("sub")
            await peer.socket.send_json({"op": "error", "code": "rate_limited", "retry": True})
            await peer.grant()
            await peer.push(1)
            await silence(peer)

        async with streaming(only) as stream:
            subscription = await stream.subscribe("trades:X")
            assert await sequences(subscription, 1) == [1]

    async def test_a_message_that_is_refused_as_a_whole_is_an_error(self) -> None:
        async def only(peer: Peer) -> None:
            await peer.welcome()
            message = await peer.hear("sub")
            refusal = {"op": "error", "id": message["id"], "code": "too_many_subscriptions"}
            await peer.socket.send_json(refusal)
            await silence(peer)

        async with streaming(only) as stream:
            with pytest.raises(ChannelRefused) as refused:
                await stream.subscribe("trades:X")
            assert refused.value.code == "too_many_subscriptions"

    @pytest.mark.parametrize("code", [4500, 4502])
    async def test_some_ends_are_for_good(self, code: int) -> None:
        async def only(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.socket.close(code=code, message=b"go away")

        async with streaming(only) as stream:
            subscription = await stream.subscribe("trades:X")
            with pytest.raises(StreamClosed) as closed:
                await anext(subscription)
            assert closed.value.code == code
