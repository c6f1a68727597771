"""RFC 6455 by Autobahn's cases: the SDKs' own connections as clients of kosoku's fuzzing server."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.conformance.autobahn import (
    DEFLATE,
    FRAMING,
    LIMITS,
    NOT_OFFERED,
    failures,
    results_of,
    serve_cases,
)
from tests.typescript import node

from agio_sdk.socket import Socket, SocketEnded

AGENT = "agio-sdk"
AT_ONCE = 8
NODE_OPTIONS = ("--experimental-transform-types", "--no-warnings")
ECHO = Path(__file__).parent / "echo_socket.ts"

Run = Callable[[str, int], Awaitable[None]]


async def echo(session: aiohttp.ClientSession, url: str) -> None:
    """The SDK's socket, which connects, reads and closes as ever; what it reads is sent back."""
    socket = await Socket.open(session, url, compress=True)
    try:
        while True:
            await socket.send(await socket.receive())
    except SocketEnded:
        await socket.close()


async def run_python(base: str, count: int) -> None:
    numbers = iter(range(1, count + 1))

    async def run_one_after_the_other(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            await echo(session, f"{base}/runCase?case={number}&agent={AGENT}")

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(run_one_after_the_other(session) for _ in range(AT_ONCE)))


async def run_typescript(base: str, count: int) -> None:
    process = await asyncio.create_subprocess_exec(
        node(), *NODE_OPTIONS, ECHO, base, str(count), str(AT_ONCE)
    )
    try:
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


async def run_cases(run: Run, cases: Collection[str]) -> list[Any]:
    async with serve_cases(cases) as server:
        base = f"ws://{server.address}:{server.port}"
        count = int(await tell(f"{base}/getCaseCount"))
        await run(base, count)
        await tell(f"{base}/updateReports?agent={AGENT}")
        async with asyncio.timeout(30):
            return await results_of(server)


async def tell(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        message = await socket.receive()
        return str(message.data)


@pytest.mark.slow
@pytest.mark.parametrize("run", [run_python, run_typescript])
async def test_sdk(run: Run) -> None:
    """What fails is run once more, on its own: a busy machine may not have the second that a case gives."""
    results = await run_cases(run, (*FRAMING, *LIMITS, *DEFLATE))
    again = [result.case_id for result in results if not result.passed]
    second = await run_cases(run, again) if again else []

    assert len(results) > 300
    assert failures(second, NOT_OFFERED) == []
