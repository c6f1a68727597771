"""`GET /stream/sse` over TLS through uvicorn and the application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from tests.integration.streaming.conftest import GOOD, PATIENCE_SECONDS, World, receive, subscribe
from tests.unit.streaming.fakes import read_events

from agio.streaming.settings import KIB, StreamingSettings

Event = tuple[str | None, list[dict[str, object]]]


class Reader:
    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.events: list[Event] = []
        self._text = b""

    async def until(self, last: int) -> list[dict[str, object]]:
        """Read until a push with this sequence came; all pushes."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not any(push["q"] == last for push in self.pushes()[-500:]):
                part = await self.answer.content.readany()
                if not part:
                    raise aiohttp.ClientPayloadError("the events ended")
                whole, end, self._text = (self._text + part).rpartition(b"\n\n")
                self.events += read_events(whole + end)
        return self.pushes()

    def pushes(self) -> list[dict[str, object]]:
        return [message for _, found in self.events for message in found if "q" in message]


@asynccontextmanager
async def read(
    world: World, query: str, token: str | None = GOOD, **headers: str
) -> AsyncIterator[tuple[aiohttp.ClientResponse, Reader]]:
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    url = f"https://127.0.0.1:{world.port}{query}"
    async with (
        aiohttp.ClientSession() as http,
        http.get(url, ssl=world.tls, headers=headers) as answer,
    ):
        yield answer, Reader(answer)


async def trade(world: World, count: int) -> None:
    for batch in world.trades.trades(count, 5):
        await world.publish("trades", "ES", batch)


class TestRead:
    async def test_events_equal_the_socket_and_resume_exactly_once(self, world: World) -> None:
        async with world.connect() as socket:
            await subscribe(socket, "trades:ES")
            async with read(world, "/stream/sse?ch=trades:ES&ch=balances:acc_1") as (answer, reader):
                await trade(world, 50)
                events = await reader.until(50)
                assert answer.content_type == "text/event-stream"
            messages: list[dict[str, object]] = []
            while not messages or messages[-1]["q"] != 50:
                messages += await receive(socket)
            assert events == messages

            await trade(world, 30)
            last = [identity for identity, _ in reader.events if identity][-1]
            async with read(world, "/stream/sse?ch=trades:ES", **{"Last-Event-ID": last}) as (_, again):
                await trade(world, 20)
                assert [push["q"] for push in await again.until(100)] == list(range(51, 101))

    async def test_start_brings_history_once_and_a_returning_reader_goes_on(self, world: World) -> None:
        path = "/stream/sse?ch=trades:ES&ch=balances:acc_1&start=4"
        world.trades.trades(10)
        async with read(world, path) as (_, reader):
            await trade(world, 2)
            assert [push["q"] for push in await reader.until(12)] == list(range(4, 13))

        last = [identity for identity, _ in reader.events if identity][-1]
        async with read(world, path, **{"Last-Event-ID": last}) as (_, again):
            await trade(world, 2)
            assert [push["q"] for push in await again.until(14)] == [13, 14]

    async def test_reader_that_leaves_is_forgotten(self, world: World) -> None:
        async with read(world, "/stream/sse?ch=trades:ES") as (_, reader):
            await trade(world, 1)
            await reader.until(1)
            assert len(world.gateway._sessions) == 1
        async with asyncio.timeout(PATIENCE_SECONDS):
            while world.gateway._sessions:
                await asyncio.sleep(0.01)

    async def test_drain_ends_with_the_reason(self, world: World) -> None:
        async with read(world, "/stream/sse?ch=trades:ES") as (answer, _):
            await world.gateway.drain(0.1)
            async with asyncio.timeout(PATIENCE_SECONDS):
                text = await answer.read()

        told = [message.get("op") for _, found in read_events(text) for message in found]
        assert told[-2:] == ["drain", "close"]


class TestStall:
    @pytest.fixture
    def streaming_settings(self) -> StreamingSettings:
        return StreamingSettings(queue_seconds=0.5, close_seconds=0.5, write_bytes=16 * KIB, verify_seconds=5)

    async def test_stalled_reader_is_cut_off_and_resumes(self, world: World) -> None:
        async with read(world, "/stream/sse?ch=trades:ES") as (answer, reader):
            answer.connection.transport.pause_reading()  # type: ignore[union-attr]
            async with asyncio.timeout(PATIENCE_SECONDS):
                while world.gateway._sessions:
                    await trade(world, 500)
                    await asyncio.sleep(0.01)
            answer.connection.transport.resume_reading()  # type: ignore[union-attr]
            with pytest.raises(aiohttp.ClientError):
                await reader.until(10**9)
        top, last = len(world.trades.history), ""
        seen = [push["q"] for push in reader.pushes()]
        while seen[-1] != top:
            last = [last, *(identity for identity, _ in reader.events if identity)][-1]
            async with read(world, "/stream/sse?ch=trades:ES", **{"Last-Event-ID": last}) as (_, reader):
                # A machine that is too slow for half a second makes a stalled reader of this one too.
                with suppress(aiohttp.ClientError):
                    await reader.until(top)
            seen += [push["q"] for push in reader.pushes()]

        assert seen == list(range(1, top + 1))


class TestRefuse:
    async def test_ticket_works_once(self, world: World) -> None:
        path = "/stream/sse?ch=trades:ES&ticket=tkt_good"
        async with read(world, path, None) as (answer, _):
            assert answer.status == 200
        async with read(world, path, None) as (answer, _):
            assert answer.status == 401

    @pytest.mark.parametrize(
        ("query", "token", "status"),
        [
            ("?ch=trades:ES", None, 401),
            ("?ch=trades:ES", "nonsense", 401),
            ("?ch=trades:ES", "blind", 403),
            ("?ch=trades:NOPE", GOOD, 404),
            ("?ch=trades:ES&last_event_id=nonsense", GOOD, 422),
            ("?ch=trades:ES&start=yesterday", GOOD, 422),
            ("?ch=trades:ES&start=7", GOOD, 422),
            ("?ch=balances:acc_1&start=1", GOOD, 422),
            ("", GOOD, 422),
        ],
    )
    async def test_reason_comes_as_a_problem(
        self, world: World, query: str, token: str | None, status: int
    ) -> None:
        async with read(world, f"/stream/sse{query}", token) as (answer, _):
            assert (answer.status, answer.content_type) == (status, "application/problem+json")

    async def test_other_origin(self, world: World) -> None:
        async with read(world, "/stream/sse?ch=trades:ES", Origin="https://evil.example") as (answer, _):
            assert answer.status == 403
        async with read(world, "/stream/sse?ch=trades:ES", Origin="https://friend.example") as (answer, _):
            assert answer.headers["Access-Control-Allow-Origin"] == "https://friend.example"

    @pytest.mark.parametrize("path", ["/stream", "/stream/ES"])
    async def test_plain_request_learns_how_to_open_a_socket(self, world: World, path: str) -> None:
        async with read(world, path, None) as (answer, _):
            problem = await answer.json(content_type=None)

        assert (answer.status, problem["code"]) == (426, "upgrade_required")
        assert "wss://" in problem["detail"]
        assert answer.headers["Upgrade"] == "websocket"
