"""The TypeScript SDK in Node against a real platform, whose API is killed while it is followed."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.e2e.customer import service_of
from tests.typescript import SDK, node, tour

from agio_sdk import Agio
from benchmarks.harness import Platform

FOLLOW = Path(__file__).parent / "follow.ts"
SYMBOLS = ("BTC-USD", "ETH-USD")
PATIENCE_SECONDS = 120
Told = dict[str, object]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of our own, as its API is killed."""
    platform = Platform.start(tmp_path_factory.mktemp("typescript"))
    yield platform
    platform.stop()


def environment(platform: Platform) -> dict[str, str]:
    return {
        **os.environ,
        "AGIO_URL": platform.url,
        "AGIO_API_KEY": platform.api_key,
        "NODE_EXTRA_CA_CERTS": platform.ca_file,
        "NODE_NO_WARNINGS": "1",
    }


class Follower:
    """What a Node process that follows the platform has told so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.told: list[Told] = []
        self._process = process
        self._changed = asyncio.Condition()

    async def read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._changed:
                self.told.append(json.loads(line))
                self._changed.notify_all()

    def of(self, kind: str) -> list[Told]:
        return [one for one in self.told if one["kind"] == kind]

    def trades(self, symbol: str) -> list[Told]:
        return [one for one in self.of("trade") if one["symbol"] == symbol]

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with self._changed:
            await self._changed.wait_for(is_so)

    async def news(self, count: int) -> None:
        """Wait for so many further trades of every symbol, and for a further update of the book."""
        wanted = {symbol: len(self.trades(symbol)) + count for symbol in SYMBOLS}
        books = len(self.of("book"))
        await self.until(
            lambda: (
                all(len(self.trades(symbol)) >= number for symbol, number in wanted.items())
                and len(self.of("book")) > books
            )
        )


@asynccontextmanager
async def following(platform: Platform, encoding: str) -> AsyncIterator[Follower]:
    """Follow until the block ends; then the process ends by itself, without a complaint."""
    process = await asyncio.create_subprocess_exec(
        node(),
        FOLLOW,
        encoding,
        *SYMBOLS,
        env=environment(platform),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stderr is not None
    follower = Follower(process)
    reading = asyncio.create_task(follower.read())
    complaints = asyncio.create_task(process.stderr.read())
    try:
        yield follower
        process.stdin.close()
        await reading
        assert (await process.wait(), await complaints) == (0, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await asyncio.gather(reading, complaints, return_exceptions=True)


async def kill_api(platform: Platform) -> None:
    before = service_of(platform, "api")
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    while (now := service_of(platform, "api")).restarts == before.restarts or now.status != "ready":
        await asyncio.sleep(0.05)


async def check_trades(platform: Platform, follower: Follower) -> None:
    """What came is what is stored: all of it, once, in order, with the same text."""
    async with Agio(platform.url, platform.api_key, ca_file=platform.ca_file) as agio:
        for symbol in SYMBOLS:
            told = follower.trades(symbol)
            first = told[0]["q"]
            assert isinstance(first, int)
            assert [one["q"] for one in told] == list(range(first, first + len(told)))
            stored = (await agio.market_trades(symbol, after_seq=first - 1, limit=1000)).items
            pairs = list(zip(told, stored, strict=False))
            assert all((one["price"], one["size"]) == (str(row.price), str(row.size)) for one, row in pairs)
            assert len(pairs) == min(len(told), 1000)


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
async def test_everything_once_and_in_order_across_the_end_of_the_api(
    platform: Platform, encoding: str
) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), following(platform, encoding) as follower:
        await follower.news(3)
        await kill_api(platform)
        await follower.news(5)
    await check_trades(platform, follower)
    states = [one["state"] for one in follower.of("state")]
    assert states[:3] == ["resuming", "live", "connecting"]
    assert states[-3:] == ["resuming", "live", "closed"]
    gaps = follower.of("gap")
    # A book begins anew with a snapshot, and says what it has not seen; no log has a gap.
    assert all(gap["channel"] == "book:BTC-USD" and gap["recovered"] for gap in gaps)
    assert all(one["isValid"] for one in follower.of("book"))
    assert sorted(str(one["symbol"]) for one in follower.of("end")) == sorted(SYMBOLS)


async def test_the_tour_of_the_readme_runs(platform: Platform, tmp_path: Path) -> None:
    program = tour().replace('"agio-sdk"', json.dumps((SDK / "src" / "index.ts").as_uri()))
    (tmp_path / "tour.mts").write_text(program, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        node(),
        tmp_path / "tour.mts",
        env=environment(platform),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            told, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert (process.returncode, complaints) == (0, b""), told
    assert b"volume of the first 20 trades" in told
    assert b"checked true" in told
    assert b"bytes" in told
