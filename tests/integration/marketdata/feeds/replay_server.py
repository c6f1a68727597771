"""Plays a recorded session over a real WebSocket on loopback, and does to it what a test scripts.

The market goes on while a client has all its books subscribed (and fetched, where they come by REST), and
waits else: nothing is lost but what a test wants to be lost. Without a speed it goes as fast as the client
reads: every few frames it waits for a pong, which a client sends only when it has read that far.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import NamedTuple, Self

from tests.integration.marketdata.feeds.venues import MarketFrame, Request, VenueSide
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as HttpRequest
from websockets.http11 import Response

FRAMES_AHEAD = 16
"""Most frames that the market is ahead of its reader."""
PATIENCE_SECONDS = 120.0


class Fault(NamedTuple):
    """Happens at the first book frame from the `at`-th on that sets a size near the best price."""

    at: int
    kind: str
    """drop, duplicate, corrupt, swap, stall, close, abort, garbage."""
    code: int = 1000
    lost: int = 0
    """Frames by which the market goes on while nobody is connected."""
    texts: tuple[str, ...] = ()


class Client:
    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.subscribed: set[tuple[str, str]] = set()
        self.sequence = 0
        self.since_pong = 0
        self.swapped: str | None = None
        self.unfetched: set[str] = set()


class ReplayServer:
    def __init__(
        self, side: VenueSide, faults: tuple[Fault, ...] = (), *, speed: float = 0.0, refusals: int = 0
    ) -> None:
        self.side = side
        self.speed = speed
        self.refusals = refusals
        """Connections that will be refused."""
        self.attempts = 0
        self.replies = 0
        self.happened: list[str] = []
        self.is_settled: Callable[[], bool] = lambda: True
        """No fault happens before this holds: faults are to meet books that are good."""
        self.stalled = asyncio.Event()
        self.finished = asyncio.Event()
        self._faults = sorted(faults)
        self._clients: list[Client] = []
        self._changed = asyncio.Condition()
        self._turn = asyncio.Lock()
        self._books = 0
        self._lost = 0
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._answer_http, ping_interval=None, max_queue=64
        )
        self._player = asyncio.create_task(self._play())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._player.cancel()
        with suppress(asyncio.CancelledError):
            await self._player
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def address(self) -> str:
        assert self._server is not None
        host, port = next(iter(self._server.sockets)).getsockname()
        return f"{host}:{port}"

    @property
    def clients(self) -> int:
        return len(self._clients)

    def account(self) -> str:
        """Where the market stands, for the message of a failing test."""
        waits = [f"{sorted(one.unfetched)} not fetched" for one in self._clients]
        return f"{self._books} book frames, {self._lost} to lose, {self.happened} happened, clients: {waits}"

    async def _answer_http(self, connection: ServerConnection, request: HttpRequest) -> Response | None:
        if "Upgrade" in request.headers:
            self.attempts += 1
            if self.refusals > 0:
                self.refusals -= 1
                return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "busy")
            return None
        # In turn: a book that is answered while its stream is being subscribed would have a hole after it.
        async with self._turn:
            body = self.side.rest(request.path)
            if body is None:
                return connection.respond(HTTPStatus.NOT_FOUND, "unknown")
            for client in self._clients:
                client.unfetched = {
                    symbol for symbol in client.unfetched if f"symbol={symbol}&" not in request.path
                }
        await self._notify()
        return connection.respond(HTTPStatus.OK, body)

    async def _serve(self, socket: ServerConnection) -> None:
        client = Client(socket)
        client.unfetched = set(self.side.symbols) if self.side.has_rest_books else set()
        self._clients.append(client)
        try:
            for text in self.side.greeting():
                await self._send(client, text)
            assert socket.request is not None
            await self._answer(client, self.side.from_address(socket.request.path), "")
            async for text in socket:
                reply = self.side.reply(str(text))
                if reply is not None:
                    self.replies += 1
                    await self._send(client, reply)
                asked = self.side.read_request(str(text))
                if asked is not None:
                    await self._answer(client, [asked], str(text))
        except ConnectionClosed:
            pass
        finally:
            self._clients.remove(client)

    async def _answer(self, client: Client, requests: list[Request], text: str) -> None:
        """As the venue does: acknowledgements, then a snapshot of each book; all of it in one turn."""
        async with self._turn:
            for request in requests:
                keys = {(request.channel, symbol) for symbol in request.symbols}
                client.subscribed = (
                    client.subscribed | keys if request.is_subscribe else client.subscribed - keys
                )
                for answer in self.side.acknowledge(request, text):
                    await self._send(client, answer)
                if request.is_subscribe and request.channel == "book":
                    for symbol in request.symbols:
                        snapshot = self.side.snapshot(symbol)
                        if snapshot is not None:
                            await self._send(client, snapshot)
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _is_followed(self) -> bool:
        wanted = {("book", symbol) for symbol in self.side.symbols}
        return any(wanted <= client.subscribed and not client.unfetched for client in self._clients)

    async def _play(self) -> None:
        before = None
        for frame in self.side.frames:
            if self.speed and before is not None:
                await asyncio.sleep((frame.at_ns - before) / 1e9 / self.speed)
            before = frame.at_ns
            if self._lost == 0:
                async with self._changed:
                    await self._changed.wait_for(self._is_followed)
            fault = self._due(frame)
            while fault is not None and not self.is_settled():
                await asyncio.sleep(0.005)
            async with self._turn:
                corrupted = self._corrupt(frame) if fault is not None and fault.kind == "corrupt" else ""
                self.side.advance(frame)
                # Nobody is waited for while frames are lost; one who is back already gets them.
                self._lost = max(0, self._lost - 1)
                for client in list(self._clients):
                    if frame.channel == "life" or (frame.channel, frame.symbol) in client.subscribed:
                        with suppress(ConnectionClosed):
                            await self._tell(client, frame, fault, corrupted)
        self.finished.set()

    def _due(self, frame: MarketFrame) -> Fault | None:
        if frame.channel != "book":
            return None
        self._books += 1
        if not self._faults or self._books <= self._faults[0].at or self.side.near_best(frame) is None:
            return None
        return self._faults.pop(0)

    def _corrupt(self, frame: MarketFrame) -> str:
        """Another digit in the size of a level near the best one."""
        change = self.side.near_best(frame)
        assert change is not None
        _, price, size = change
        other = re.sub(r"[0-9]", lambda digit: str((int(digit[0]) + 1) % 10), size, count=1)
        return re.sub(f'"{re.escape(price)}", ?"{re.escape(size)}"', f'"{price}","{other}"', frame.text)

    async def _tell(self, client: Client, frame: MarketFrame, fault: Fault | None, corrupted: str) -> None:
        if fault is not None:
            self.happened.append(fault.kind)
        match fault.kind if fault is not None else "":
            case "drop":
                client.sequence += 1
            case "swap":
                client.swapped = self._number(client, frame.text)
            case "duplicate":
                text = self._number(client, frame.text)
                await client.socket.send(text)
                await client.socket.send(text)
            case "corrupt":
                await self._send(client, corrupted)
            case "garbage" if fault is not None:
                await self._send(client, frame.text)
                for text in fault.texts:
                    await client.socket.send(text)
            case "stall" | "close" | "abort" if fault is not None:
                await self._end(client, fault)
            case _:
                await self._send(client, frame.text)
                if client.swapped is not None and frame.channel == "book":
                    await client.socket.send(client.swapped)
                    client.swapped = None
        await self._pace(client)

    async def _end(self, client: Client, fault: Fault) -> None:
        """Close the connection, or say nothing until the client does."""
        self._lost = fault.lost
        client.subscribed = set()
        if fault.kind == "close":
            await client.socket.close(fault.code)
        elif fault.kind == "abort":
            client.socket.transport.abort()
        else:
            self.stalled.set()
            await asyncio.wait_for(client.socket.wait_closed(), PATIENCE_SECONDS)

    async def _pace(self, client: Client) -> None:
        client.since_pong += 1
        if client.since_pong >= FRAMES_AHEAD and not self.speed:
            client.since_pong = 0
            await asyncio.wait_for(await client.socket.ping(), PATIENCE_SECONDS)

    async def _send(self, client: Client, text: str) -> None:
        await client.socket.send(self._number(client, text))

    def _number(self, client: Client, text: str) -> str:
        numbered = self.side.number(text, client.sequence)
        client.sequence += 1
        return numbered
