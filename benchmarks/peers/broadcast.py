"""The fan-out of the package `websockets`: a line from the publisher goes to every client."""

import asyncio
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve


async def main(port: int, lines_port: int) -> None:
    clients: set[ServerConnection] = set()

    async def keep(client: ServerConnection) -> None:
        clients.add(client)
        try:
            await client.wait_closed()
        finally:
            clients.discard(client)

    async def tell(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            broadcast(clients, line[:-1].decode())

    async with (
        serve(keep, "127.0.0.1", port, compression=None),
        await asyncio.start_server(tell, "127.0.0.1", lines_port),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
