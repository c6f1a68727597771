"""What every connector must do, against its venue's recorded session on a real socket.

Throughout, `Believer` checks each delivery: whatever is told or served as good is a state that the venue's
book really had. Time is virtual: nothing here waits for a timer, and a slow machine changes nothing.
"""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from tests.integration.marketdata.feeds.replay_server import Fault
from tests.integration.marketdata.feeds.world import CONNECTORS, EVERY_SYMBOL, eventually, playing
from tests.unit.marketdata.decoders.sessions import VENUES

from agio.marketdata.feeds.port import FeedState
from agio.marketdata.feeds.settings import FeedSettings
from agio.marketdata.normalised import Verdict

LIMIT = 120
"""Book frames of the tests with faults."""
PROOFS = {"KRAKEN": 4_269, "OKX": 290, "COINBASE": 773, "BINANCE": 172}
"""Checksums that agreed, or numbered updates without a hole after the first snapshot."""
every_venue = pytest.mark.parametrize("venue", list(CONNECTORS))
proven_by_checksum = pytest.mark.parametrize("venue", ["KRAKEN", "OKX"])

GARBAGE = (
    "",
    "no json",
    "{",
    "[]",
    "null",
    '{"event":5}',
    "[1,2,3,4]",
    '{"channel":"l2_data"}',
    '{"stream":"x"}',
    "[" * 5000,
    '{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{}]}',
)


@every_venue
class TestFollow:
    async def test_books_equal_the_reference_and_nothing_is_doubted(
        self, real_data: Path, venue: str
    ) -> None:
        async with playing(real_data, venue, symbols=EVERY_SYMBOL[venue]) as world:
            await world.catch_up(VENUES[venue].proven_depth)

            status = world.feed.status()
            assert status.state is FeedState.LIVE
            assert status.doubtful == {}
            assert status.proofs == PROOFS[venue]
            assert all(judgement.verdict is Verdict.OK for judgement in world.believer.judgements)
            counters = status.counters
            assert (counters.connects, counters.reconnects, counters.resyncs) == (1, 0, 0)
            assert (counters.gaps, counters.bad_checksums, counters.malformed) == (0, 0, 0)
            frames = [frame for frame in world.server.side.frames if frame.channel == "trades"]
            assert len(world.believer.trades) >= len(frames)
            assert status.skew_ns is not None

    async def test_stop_closes_the_connection_and_tells_so(self, real_data: Path, venue: str) -> None:
        async with playing(real_data, venue, limit=10) as world:
            await eventually(lambda: not world.feed.status().doubtful)

            world.feed.stop()

            await eventually(lambda: world.believer.states[-1] is FeedState.CLOSED)
            await eventually(lambda: world.server.clients == 0)
            assert world.believer.books == {}
            assert all(world.feed.good(symbol) is None for symbol in world.instruments)
            assert world.server.attempts == 1


@every_venue
class TestDoubt:
    async def test_a_lost_frame_is_flagged_and_only_the_book_is_taken_anew(
        self, real_data: Path, venue: str
    ) -> None:
        async with playing(real_data, venue, Fault(20, "drop"), limit=LIMIT) as world:
            await world.catch_up(VENUES[venue].proven_depth)

            counters = world.feed.status().counters
            assert world.server.happened == ["drop"]
            assert counters.gaps + counters.bad_checksums >= 1
            assert counters.resyncs >= 1
            assert counters.reconnects == 0

    @pytest.mark.parametrize("kind", ["duplicate", "swap"])
    async def test_a_disordered_frame_never_makes_a_wrong_book(
        self, real_data: Path, venue: str, kind: str
    ) -> None:
        async with playing(real_data, venue, Fault(20, kind), limit=LIMIT) as world:
            await world.catch_up(VENUES[venue].proven_depth)

            assert world.server.happened == [kind]
            assert world.feed.status().counters.reconnects == 0

    async def test_garbage_doubts_the_books_and_is_survived(self, real_data: Path, venue: str) -> None:
        async with playing(real_data, venue, Fault(20, "garbage", texts=GARBAGE), limit=LIMIT) as world:
            await world.catch_up(VENUES[venue].proven_depth)

            counters = world.feed.status().counters
            assert counters.malformed >= 5
            assert counters.gaps >= 1
            assert counters.reconnects == 0


@proven_by_checksum
class TestChecksum:
    async def test_a_wrong_digit_is_found_at_once(self, real_data: Path, venue: str) -> None:
        async with playing(real_data, venue, Fault(20, "corrupt"), limit=LIMIT) as world:
            await world.catch_up(VENUES[venue].proven_depth)

            counters = world.feed.status().counters
            assert world.server.happened == ["corrupt"]
            assert (counters.bad_checksums, counters.resyncs, counters.reconnects) == (1, 1, 0)


@every_venue
class TestLoss:
    async def test_silence_is_stale_and_ends_in_a_new_connection(self, real_data: Path, venue: str) -> None:
        async with playing(real_data, venue, Fault(20, "stall"), limit=LIMIT) as world:
            await asyncio.wait_for(world.server.stalled.wait(), 30)
            await eventually(lambda: not world.feed.status().doubtful)
            silent_seconds = CONNECTORS[venue][0].stale_seconds

            world.clock.advance(timedelta(seconds=silent_seconds - 1))
            await asyncio.sleep(0.05)
            assert world.feed.status().state is FeedState.LIVE
            world.clock.advance(timedelta(seconds=2))
            await world.catch_up(VENUES[venue].proven_depth)

            assert FeedState.STALE in world.believer.states
            counters = world.feed.status().counters
            assert (counters.stale, counters.reconnects, counters.connects) == (1, 1, 2)

    async def test_every_way_of_closing_ends_in_right_books(self, real_data: Path, venue: str) -> None:
        faults = [
            Fault(10, "close", 1000, lost=3),
            Fault(25, "close", 1012),
            Fault(40, "abort", lost=5),
            Fault(55, "close", 4001, lost=1),
        ]
        async with playing(real_data, venue, *faults, limit=LIMIT) as world:
            await world.catch_up(VENUES[venue].proven_depth)

            counters = world.feed.status().counters
            assert len(world.server.happened) == 4
            assert (counters.connects, counters.reconnects) == (5, 4)
            assert world.pauses == [0.25, 0.5, 1.0, 2.0]
            assert all(pause <= 20 for pause in world.pauses)

    async def test_a_refusing_venue_is_not_stormed(self, real_data: Path, venue: str) -> None:
        settings = FeedSettings(tick_seconds=0.01, connects_per_minute=5, backoff_limit_seconds=1.0)
        async with playing(real_data, venue, limit=20, refusals=22, settings=settings) as world:
            await world.catch_up(VENUES[venue].proven_depth)

            assert world.server.attempts == 23
            assert world.clock.monotonic() >= 4 * 60
            counters = world.feed.status().counters
            assert counters.held >= 4
            assert world.feed.status().last_error == "refused with status 503"
