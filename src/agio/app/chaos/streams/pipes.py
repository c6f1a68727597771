"""Two pipes of our own: one in front of the nodes, as a load balancer, and one to the bus, which may lose."""

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

BUFFER_BYTES: Final = 16 * 1024
LINE_BYTES: Final = 1024 * 1024
PERISHABLE: Final = (b"md.", b"ev.")

_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Balancer:
    """New connections go to the node that is named; those that are open stay where they are."""

    def __init__(self) -> None:
        self.node_port = 0
        self.port = 0
        self.lines: dict[int, str] = {}
        """By the port of a client: which node it came to."""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await _listen(self._serve, BUFFER_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        await _stop(self._server, self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _join(self._open, self._carry(reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Little is held here: what a reader does not take must be felt by the node."""
        made = socket.socket()
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        node_port = self.node_port
        self.lines[writer.get_extra_info("peername")[1]] = str(node_port)
        try:
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", node_port))
                there, to_node = await asyncio.open_connection(sock=made, limit=BUFFER_BYTES)
        except (OSError, TimeoutError):
            made.close()
            writer.transport.abort()
            return
        writer.transport.set_write_buffer_limits(BUFFER_BYTES)
        own = writer.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        await _both(_copy(reader, to_node), _copy(there, writer), (writer, to_node))


class BusPipe:
    """Carries NATS; while it is lossy, messages of streams get lost, come twice, or come late."""

    def __init__(self, bus_port: int, seed: int) -> None:
        self._bus_port = bus_port
        self._random = random.Random(seed)  # noqa: S311
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.port = 0
        self.is_lossy = False
        self.lost = self.doubled = self.delayed = 0

    async def start(self) -> None:
        self._server = await _listen(self._serve, LINE_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        await _stop(self._server, self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _join(self._open, self._carry(reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, to_bus = await asyncio.open_connection("127.0.0.1", self._bus_port, limit=LINE_BYTES)
        except OSError:
            writer.transport.abort()
            return
        await _both(_copy(reader, to_bus), self._filter(there, writer), (writer, to_bus))

    async def _filter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The protocol is lines; MSG and HMSG name the size of what follows as their last word."""
        late: bytes = b""
        while line := await reader.readline():
            if not line.startswith((b"MSG ", b"HMSG ")):
                writer.write(line)
            else:
                words = line.split()
                message = line + await reader.readexactly(int(words[-1]) + 2)
                if self.is_lossy and words[1].startswith(PERISHABLE):
                    message, late = self._spoil(message, late)
                elif late:
                    message, late = message + late, b""
                writer.write(message)
            await writer.drain()

    def _spoil(self, message: bytes, late: bytes) -> tuple[bytes, bytes]:
        """What is sent now, and what is held back for the next one."""
        chance = self._random.random()
        if chance < 0.25:
            self.lost += 1
            return b"", late
        if chance < 0.40:
            self.doubled += 1
            return message + message + late, b""
        if chance < 0.55 and not late:
            self.delayed += 1
            return b"", message
        return message + late, b""


async def _listen(serve: _Serve, limit: int) -> asyncio.Server:
    return await asyncio.start_server(serve, "127.0.0.1", 0, limit=limit)


async def _stop(server: asyncio.Server | None, tasks: set[asyncio.Task[None]]) -> None:
    if server is not None:
        server.close()
    for task in list(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _join(tasks: set[asyncio.Task[None]], work: Awaitable[None]) -> None:
    task = asyncio.current_task()
    if task is not None:
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        await work


async def _both(
    there: Awaitable[None], back: Awaitable[None], writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
) -> None:
    """Until either way ends; then both are cut off, as when a cable is."""
    ways = [asyncio.ensure_future(there), asyncio.ensure_future(back)]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for writer in writers:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.drain()
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for writer in writers:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(BUFFER_BYTES):
        writer.write(data)
        await writer.drain()
