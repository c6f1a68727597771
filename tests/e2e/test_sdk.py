"""The Python SDK against a server that is killed, restarted, or does not like us."""

import asyncio
import csv
import io
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from tests.e2e.customer import Trader, service_of

from agio_sdk import (
    Agio,
    ApiError,
    ChannelRefused,
    Message,
    QueueFull,
    Stream,
    StreamClosed,
    StreamState,
    Subscription,
    SyncAgio,
    WhenFull,
)
from agio_sdk.models import Balance, Order, Quote, Trade
from benchmarks.harness import Platform

SYMBOLS = ("BTC-USD", "ETH-USD", "EUR-USD", "ACME-USD")
PATIENCE_SECONDS = 90
Gap = tuple[str, int, int, bool]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of our own, as its API is ended several times."""
    platform = Platform.start(tmp_path_factory.mktemp("sdk"))
    yield platform
    platform.stop()


def client(platform: Platform, **options: str | bool) -> Agio:
    return Agio(platform.url, platform.api_key, ca_file=platform.ca_file, **options)  # type: ignore[arg-type]


async def end_api(platform: Platform, number: signal.Signals) -> None:
    """Send the API a signal and wait until the supervisor has another one ready."""
    before = service_of(platform, "api")
    assert before.pid is not None
    os.kill(before.pid, number)
    while (now := service_of(platform, "api")).restarts == before.restarts or now.status != "ready":
        await asyncio.sleep(0.05)


class Follower:
    """Reads log channels and remembers everything that it was told."""

    def __init__(self, agio: Agio) -> None:
        self._agio = agio
        self.states: list[StreamState] = []
        self.gaps: list[Gap] = []
        self.trades: dict[str, list[Trade]] = {symbol: [] for symbol in SYMBOLS}
        self.orders: list[tuple[int, Order]] = []
        self._subscriptions: list[Subscription] = []

    @asynccontextmanager
    async def following(self, account_id: str) -> AsyncIterator[None]:
        self._agio.stream(on_state=self.states.append)
        tasks = [asyncio.create_task(self._follow_trades(symbol)) for symbol in SYMBOLS]
        tasks.append(asyncio.create_task(self._follow_orders(account_id)))
        while len(self._subscriptions) < len(tasks):
            await asyncio.sleep(0.01)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def news(self, count: int) -> None:
        """Wait for so many further trades of every symbol."""
        wanted = {symbol: len(trades) + count for symbol, trades in self.trades.items()}
        while any(len(self.trades[symbol]) < number for symbol, number in wanted.items()):
            await asyncio.sleep(0.05)

    async def check_trades(self) -> None:
        """What came is what is stored: all of it, once, in order."""
        for symbol, told in self.trades.items():
            assert [trade.seq for trade in told] == list(range(told[0].seq, told[0].seq + len(told)))
            stored: list[Trade] = []
            while len(stored) < len(told):
                after = told[0].seq - 1 + len(stored)
                stored += (await self._agio.market_trades(symbol, after_seq=after, limit=1000)).items
            assert told == stored[: len(told)]

    async def _subscribe(self, channel: str) -> Subscription:
        subscription = await self._agio.subscribe(channel, on_gap=lambda *gap: self.gaps.append(gap))
        self._subscriptions.append(subscription)
        return subscription

    async def _follow_trades(self, symbol: str) -> None:
        async for message in await self._subscribe(f"trades:{symbol}"):
            self.trades[symbol].append(msgspec.structs.replace(message.decode(Trade), seq=message.q))

    async def _follow_orders(self, account_id: str) -> None:
        async for message in await self._subscribe(f"orders:{account_id}"):
            self.orders.append((message.q, message.decode(Order)))


class TestReconnecting:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    async def test_everything_once_and_in_order_across_the_end_of_the_api(
        self, platform: Platform, number: signal.Signals
    ) -> None:
        async with client(platform) as agio, client(platform) as other, asyncio.timeout(PATIENCE_SECONDS):
            account = await agio.open_account("followed")
            await agio.deposit(account.account_id, "USD", Decimal("100000.00"))
            follower, trader = Follower(agio), Trader(other, account.account_id, number.name)
            async with follower.following(account.account_id), trader.trading():
                await follower.news(3)
                await end_api(platform, number)
                await follower.news(5)
            await self._check_orders(agio, account.account_id, follower, trader)
            await follower.check_trades()
        assert follower.gaps == []
        assert follower.states[:2] == [StreamState.RESUMING, StreamState.LIVE]
        # Told to leave, it may be at the next process before it has lost the first one.
        assert follower.states[2] in {StreamState.CONNECTING, StreamState.RESUMING}
        assert follower.states[-3:] == [StreamState.RESUMING, StreamState.LIVE, StreamState.CLOSED]

    async def _check_orders(self, agio: Agio, account_id: str, follower: Follower, trader: Trader) -> None:
        stored = await agio.collect(
            lambda cursor: agio.orders(account_id, status="all", limit=100, cursor=cursor)
        )
        assert sorted(order.order_id for order in stored) == sorted(trader.acknowledged)
        sequences = [q for q, _ in follower.orders]
        assert sequences == list(range(1, len(sequences) + 1))
        for order_id in trader.acknowledged:
            versions = [order.version for _, order in follower.orders if order.order_id == order_id]
            assert versions == sorted(set(versions))


class TestHistory:
    async def test_history_then_live_across_the_end_of_the_api_on_both_doors(
        self, platform: Platform
    ) -> None:
        gaps: list[Gap] = []
        told: list[list[Trade]] = [[], []]

        async def follow(place: list[Trade], messages: AsyncIterator[Message]) -> None:
            async for message in messages:
                trade = message.decode(Trade)
                place.append(msgspec.structs.replace(trade, seq=message.q))

        async def both_reach(sequence: int) -> None:
            while any(not trades or trades[-1].seq < sequence for trades in told):
                await asyncio.sleep(0.05)

        def on_gap(*gap: object) -> None:
            gaps.append(gap)  # type: ignore[arg-type]

        async with client(platform) as agio, asyncio.timeout(PATIENCE_SECONDS):
            readers = [
                follow(told[0], agio.messages("trades:BTC-USD", start=1, on_gap=on_gap)),
                follow(told[1], aiter(agio.events("trades:BTC-USD", on_gap=on_gap))),
            ]
            tasks = [asyncio.create_task(reader) for reader in readers]
            top = (await agio.market.latest_trade("BTC-USD")).seq
            await both_reach(top + 2)
            await end_api(platform, signal.SIGKILL)
            await both_reach(top + 10)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            last = told[0][-1].seq
            stored = [trade async for trade in agio.market.trades("BTC-USD") if trade.seq <= last]
        by_socket, by_events = told
        assert by_socket == stored
        assert [trade.seq for trade in by_socket] == list(range(1, last + 1))
        first = by_events[0].seq
        assert [trade.seq for trade in by_events] == list(range(first, first + len(by_events)))
        common = min(last, by_events[-1].seq)
        assert by_events[: common - first + 1] == by_socket[first - 1 : common]
        assert gaps == []

    async def test_a_book_is_whole_again_after_the_end_of_the_api(self, platform: Platform) -> None:
        async with client(platform) as agio, asyncio.timeout(PATIENCE_SECONDS):
            subscription = await agio.subscribe("book:BTC-USD", depth=5)
            await anext(subscription)
            await end_api(platform, signal.SIGKILL)
            while not (await anext(subscription)).is_snapshot:
                pass
            book = subscription.book
            assert book is not None
            assert book.is_valid
            assert book.best_bid is not None
            assert book.best_ask is not None
            assert book.best_bid.price < book.best_ask.price
            assert len(book.levels().bids) == 5

    async def test_past_by_pages_tables_and_files(self, platform: Platform, tmp_path: Path) -> None:
        async with client(platform) as agio, asyncio.timeout(PATIENCE_SECONDS):
            end = (await agio.market.latest_trade("BTC-USD")).venue_time
            trades = await agio.market.trades("BTC-USD", end=end, page_size=50).all()
            assert [trade.seq for trade in trades] == list(range(1, len(trades) + 1))
            columns = await agio.market.trades("BTC-USD", end=end).columns()
            assert columns["seq"] == [trade.seq for trade in trades]
            done = await agio.market.export("trades", "BTC-USD", tmp_path / "trades.csv", end=end)
            rows = list(csv.DictReader(io.StringIO(done.paths[0].read_text())))
            assert [int(row["seq"]) for row in rows] == columns["seq"]
            assert [Decimal(row["price"]) for row in rows] == [trade.price for trade in trades]
            done = await agio.market.export("trades", "BTC-USD", tmp_path / "trades.parquet", end=end)
            assert done.paths[0].read_bytes()[:4] == b"PAR1"
            assert (await agio.market.bars("BTC-USD", "1s").all())[-1].close > 0
            assert (await agio.market.quotes("BTC-USD", page_size=10).page()).items
            assert (await agio.market.book("BTC-USD", 3)).bids
            assert (await agio.market.status()).venues
            symbols = [instrument.symbol async for instrument in agio.market.instruments()]
            assert (await agio.market.instrument(symbols[0])).tick_size > 0
            assert (await agio.market.quote("BTC-USD")).ask


class TestRefusals:
    async def test_a_wrong_key_is_not_tried_for_ever(
        self, platform: Platform, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempts = 0
        connect = Stream._connect

        async def count(stream: Stream) -> object:
            nonlocal attempts
            attempts += 1
            return await connect(stream)

        monkeypatch.setattr(Stream, "_connect", count)
        wrong = "agio_sandbox_" + "0" * 49
        async with Agio(platform.url, wrong, ca_file=platform.ca_file) as agio, asyncio.timeout(30):
            states: list[StreamState] = []
            agio.stream(on_state=states.append)
            with pytest.raises(StreamClosed) as closed:
                await agio.subscribe("trades:BTC-USD")
            assert closed.value.code == 401
            assert attempts == 3
            assert states == [StreamState.CLOSED]
            with pytest.raises(StreamClosed):
                await agio.subscribe("trades:ETH-USD")
            with pytest.raises(ApiError) as refused:
                await agio.me()
            assert (refused.value.status, refused.value.code) == (401, "unauthorized")
        assert attempts == 3

    async def test_one_bad_channel_does_not_harm_the_others(self, platform: Platform) -> None:
        async with client(platform) as agio, asyncio.timeout(PATIENCE_SECONDS):
            good = await agio.subscribe("trades:BTC-USD")
            for channel in ("trades:NOPE-USD", "nothing:x", f"orders:acc_{'0' * 20}"):
                with pytest.raises(ChannelRefused) as refused:
                    await agio.subscribe(channel)
                assert refused.value.code == "unknown_channel"
            assert (await anext(good)).decode(Trade).price > 0

    async def test_being_too_fast_is_only_slower(self, platform: Platform) -> None:
        async with client(platform) as agio, asyncio.timeout(PATIENCE_SECONDS):
            for _ in range(30):
                await (await agio.subscribe("quotes:BTC-USD")).aclose()
            assert (await anext(await agio.subscribe("quotes:BTC-USD"))).decode(Quote).bid


class TestSubscriptions:
    async def test_an_ended_one_ends_and_can_be_begun_again(self, platform: Platform) -> None:
        async with client(platform) as agio, asyncio.timeout(PATIENCE_SECONDS):
            first = await agio.subscribe("trades:BTC-USD")
            await anext(first)
            await first.aclose()
            rest = [message.q async for message in first]
            assert first.last is not None
            again = await agio.subscribe("trades:BTC-USD", position=(first.epoch, first.last))
            assert (await anext(again)).q == first.last + 1
            assert rest == sorted(rest)

    async def test_a_caller_who_gives_up_leaves_nothing_behind(self, platform: Platform) -> None:
        async with client(platform) as agio, asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await agio.subscribe("trades:BTC-USD")
            assert (await anext(await agio.subscribe("trades:BTC-USD"))).q > 0

    async def test_fail_says_where_to_go_on(self, platform: Platform) -> None:
        async with client(platform) as agio, asyncio.timeout(PATIENCE_SECONDS):
            subscription, top, gaps = await self._replay(agio, "fail")
            got: list[int] = []
            while len(got) < top:
                try:
                    got.append((await anext(subscription)).q)
                except QueueFull as full:
                    subscription = await agio.subscribe(
                        "trades:BTC-USD", position=full.position, limit=10, when_full="fail"
                    )
            assert got[:top] == list(range(1, top + 1))
            assert gaps == []

    async def test_following_slowly_loses_nothing(self, platform: Platform) -> None:
        async with client(platform) as agio, asyncio.timeout(PATIENCE_SECONDS):
            got: list[int] = []
            async for message in agio.messages("trades:BTC-USD", start=1, limit=10):
                got.append(message.q)
                if len(got) == 100:
                    break
            assert got == list(range(1, 101))

    async def test_drop_oldest_says_what_it_lost(self, platform: Platform) -> None:
        async with client(platform) as agio, asyncio.timeout(PATIENCE_SECONDS):
            subscription, top, gaps = await self._replay(agio, "drop_oldest")
            while (subscription.last or 0) < top:
                await asyncio.sleep(0.02)
            got = [message.q for message in await subscription.next_batch()]
            assert len(got) == 10
            assert [first for _, first, _, _ in gaps] + got == list(range(1, got[-1] + 1))

    async def test_latest_keeps_the_newest(self, platform: Platform) -> None:
        async with client(platform) as agio, asyncio.timeout(PATIENCE_SECONDS):
            subscription, top, gaps = await self._replay(agio, "latest")
            while (subscription.last or 0) < top:
                await asyncio.sleep(0.02)
            newest = subscription.last
            assert (await anext(subscription)).q == newest
            assert len(gaps) == (newest or 0) - 1

    @staticmethod
    async def _replay(agio: Agio, when_full: WhenFull) -> tuple[Subscription, int, list[Gap]]:
        """A subscription from the very first trade with room for ten; how many there are at least."""
        probe = await agio.subscribe("trades:BTC-USD")
        epoch, top = probe.epoch, probe.last or 0
        await probe.aclose()
        assert top > 30
        gaps: list[Gap] = []
        subscription = await agio.subscribe(
            "trades:BTC-USD",
            position=(epoch, 0),
            limit=10,
            when_full=when_full,
            on_gap=lambda *gap: gaps.append(gap),
        )
        return subscription, top, gaps


class TestEncodings:
    async def test_both_tell_the_same(self, platform: Platform) -> None:
        async with (
            client(platform) as text,
            client(platform, encoding="msgpack") as binary,
            client(platform, compress=True) as compressed,
            asyncio.timeout(PATIENCE_SECONDS),
        ):
            account_id = platform.account_id
            order = await text.place_order(account_id, "ACME-USD", "buy", Decimal(1))
            # The balances stand still once it is filled.
            while not (await text.order(order.order_id)).is_closed:
                await asyncio.sleep(0.05)
            probe = await text.subscribe("trades:ETH-USD")
            position = (probe.epoch, max(0, (probe.last or 0) - 5))
            await probe.aclose()
            for channel, kind, start in (
                ("trades:ETH-USD", Trade, position),
                (f"orders:{account_id}", Order, (await self._epoch(text, account_id), 0)),
                (f"balances:{account_id}", Balance, None),
            ):
                told = []
                for agio in (text, binary, compressed):
                    subscription = await agio.subscribe(channel, position=start)
                    messages = [await anext(subscription) for _ in range(2)]
                    told.append([(message.q, message.decode(kind)) for message in messages])
                    await subscription.aclose()
                assert told[0] == told[1] == told[2]
            book = await binary.subscribe("book:BTC-USD")
            assert book.book is not None
            for _ in range(20):
                await anext(book)
                assert book.book.is_valid

    @staticmethod
    async def _epoch(agio: Agio, account_id: str) -> str:
        subscription = await agio.subscribe(f"orders:{account_id}")
        await subscription.aclose()
        return subscription.epoch


class TestSync:
    def test_a_script_without_an_event_loop(self, platform: Platform) -> None:
        with SyncAgio(platform.url, platform.api_key, ca_file=platform.ca_file) as agio:
            assert agio.me().organisation_id == platform.organisation_id
            sequences = []
            for trade in agio.trades("BTC-USD"):
                sequences.append(trade.seq)
                if len(sequences) == 3:
                    break
            assert sequences == list(range(sequences[0], sequences[0] + 3))
            with agio.subscribe(f"orders:{platform.account_id}") as orders:
                placed = agio.place_order(platform.account_id, "ACME-USD", "buy", Decimal(1))
                # What happened to earlier orders may be told still.
                assert placed.order_id in (message.decode(Order).order_id for message in orders)
            with pytest.raises(ApiError):
                agio.order("ord_unknown")

    def test_a_wrong_key_leaves_no_thread(self, platform: Platform) -> None:
        with SyncAgio(platform.url, "agio_sandbox_wrong", ca_file=platform.ca_file) as agio:
            with pytest.raises(ApiError):
                agio.me()
            thread = agio._thread
        assert not thread.is_alive()
