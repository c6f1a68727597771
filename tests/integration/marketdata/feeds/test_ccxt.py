"""The acceptance suite's guarantees that hold through ccxt, against Bitstamp's recorded session.

Not proven, because ccxt keeps the books to itself and Bitstamp numbers nothing: a difference that is lost or
damaged on its way. Throughout, `Believer` checks that whatever is told is a state that the venue's book had.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.marketdata.feeds.replay_server import Fault, ReplayServer
from tests.integration.marketdata.feeds.venues import SIDES
from tests.integration.marketdata.feeds.world import SETTINGS, World, eventually, recorded

from agio.marketdata.feeds.ccxt_feed import CcxtFeed, open_ccxt_feed
from agio.marketdata.feeds.ccxt_library import FeedUnavailable, load_library
from agio.marketdata.feeds.connector import Endpoints
from agio.marketdata.feeds.port import FeedState
from agio.marketdata.feeds.requests import UnknownInstruments
from agio.marketdata.normalised import Instrument, Verdict

PAIRS = {"ETH-USD": "ETH/USD", "XRP-EUR": "XRP/EUR"}
SETTLED = 60
"""Book frames after which both books have begun: ccxt asks for a snapshot after seven differences."""


@pytest.fixture(scope="module")
def library() -> Any:
    try:
        return load_library()
    except FeedUnavailable as missing:
        pytest.skip(str(missing))


class CcxtWorld(World):
    def theirs(self, instrument: Instrument) -> str:
        return instrument.symbol.replace("-", "").lower()


@asynccontextmanager
async def playing(real_data: Path, library: Any, *faults: Fault) -> AsyncIterator[CcxtWorld]:
    recording = recorded(real_data / "market" / "ws" / "BITSTAMP.jsonl.zst")
    side = SIDES["BITSTAMP"](recording, [symbol.replace("-", "").lower() for symbol in PAIRS])
    async with ReplayServer(side, faults or (Fault(SETTLED, "duplicate"),)) as server:
        endpoints = Endpoints(f"ws://{server.address}", f"http://{server.address}")
        world = CcxtWorld(server, [])
        _, instruments = await open_ccxt_feed("bitstamp", PAIRS, world.clock, endpoints)
        world.instruments = {one.symbol: one for one in instruments}
        world.feed = CcxtFeed(
            "bitstamp",
            library,
            instruments,
            world.clock,
            SETTINGS,
            endpoints,
            random=lambda: 0.5,
            sleep=world.sleep,
        )
        server.is_settled = lambda: not world.feed.status().doubtful
        running = asyncio.create_task(world.feed.run(world.believer))
        try:
            yield world
            assert not running.done() or running.exception() is None
        finally:
            world.feed.stop()
            async with asyncio.timeout(60):
                await running


async def test_books_equal_the_reference_and_no_trade_is_lost(real_data: Path, library: Any) -> None:
    async with playing(real_data, library) as world:
        await world.catch_up(10)

        status = world.feed.status()
        assert (status.state, status.doubtful, status.proofs) == (FeedState.LIVE, {}, 0)
        assert (status.counters.connects, status.counters.malformed, status.counters.gaps) == (1, 0, 0)
        assert all(judgement.verdict is Verdict.OK for judgement in world.believer.judgements)
        told = sum(frame.channel == "trades" for frame in world.server.side.frames)
        await eventually(lambda: len(world.believer.trades) == told)
        assert len({trade.trade_id for trade in world.believer.trades}) == told


async def test_a_lost_connection_doubts_every_book_and_brings_new_ones(real_data: Path, library: Any) -> None:
    async with playing(real_data, library, Fault(SETTLED, "abort")) as world:
        await world.catch_up(10)

        counters = world.feed.status().counters
        assert (counters.connects, counters.reconnects) == (2, 1)
        verdicts = [judgement.verdict for judgement in world.believer.judgements]
        assert verdicts.count(Verdict.GAP) == len(PAIRS)
        assert verdicts.count(Verdict.OK) == 2 * len(PAIRS)


async def test_silence_is_stale_and_ends_the_connection(real_data: Path, library: Any) -> None:
    async with playing(real_data, library, Fault(SETTLED, "stall")) as world:
        await asyncio.wait_for(world.server.stalled.wait(), 60)

        world.clock.advance(timedelta(seconds=61))

        await eventually(lambda: world.feed.status().counters.stale == 1)
        assert FeedState.STALE in world.believer.states
        await world.catch_up(10)


async def test_what_there_is_not_is_said(real_data: Path, library: Any) -> None:
    side = SIDES["BITSTAMP"](recorded(real_data / "market" / "ws" / "BITSTAMP.jsonl.zst"), ["ethusd"])
    async with ReplayServer(side) as server:
        endpoints = Endpoints(f"ws://{server.address}", f"http://{server.address}")
        clock = CcxtWorld(server, []).clock
        with pytest.raises(UnknownInstruments, match="BITSTAMP has no NO/SUCH"):
            await open_ccxt_feed("bitstamp", {"NO-SUCH": "NO/SUCH"}, clock, endpoints)
        with pytest.raises(FeedUnavailable, match="'nosuchvenue'"):
            await open_ccxt_feed("nosuchvenue", {"A-B": "A/B"}, clock, endpoints)
