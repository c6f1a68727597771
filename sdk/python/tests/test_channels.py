"""What a subscription makes of its channel: gaps, holes, history, full queues, encodings."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest
from aiohttp import web
from sdk.python.tests.script import Gap, Peer, Timer, sequences, streaming, talking

from agio_sdk import Gap as Marker
from agio_sdk import Message, QueueFull, StreamState


class TestLogs:
    async def test_a_hole_is_asked_for_from_where_we_are(self) -> None:
        async def lossy(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant(seq=10)
            await peer.push(11, 11, 9, 13, 14)
            await peer.hear("unsub")
            entry = await peer.grant(seq=14)
            assert entry["from"] == {"epoch": "e", "seq": 11}
            await peer.push(12, 13, 14)
            await peer.silence()

        gaps: list[Gap] = []
        async with streaming(lossy) as stream:
            subscription = await stream.subscribe("trades:X", on_gap=lambda *gap: gaps.append(gap))
            assert await sequences(subscription, 4) == [11, 12, 13, 14]
        assert gaps == []

    async def test_holes_without_end_give_the_connection_up(self) -> None:
        timer = Timer()

        async def whole(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(1)
            await peer.silence()

        async def broken(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(7)
            async for each in peer.socket:
                message = msgspec.json.decode(each.data)
                if message["op"] == "sub":
                    granted = {"ch": "trades:X", "n": 1, "epoch": "e", "seq": 9}
                    await peer.send({"id": message["id"], "subs": [granted], "errs": []})
                    await peer.push(7)

        async with streaming(broken, whole, pace=timer.pace(resyncs=3)) as stream:
            assert await sequences(await stream.subscribe("trades:X", position=("e", 0)), 1) == [1]

    @pytest.mark.parametrize(
        ("epoch", "seq", "reason", "expected"),
        [("e", 90, "too_far", (2, 90)), ("e", 90, "trimmed", (2, 90)), ("f", 5, "epoch", (2, 5))],
    )
    async def test_what_cannot_be_resumed_is_told_at_its_place(
        self, epoch: str, seq: int, reason: str, expected: tuple[int, int]
    ) -> None:
        async def first(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(1)
            await peer.close()

        async def second(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant(epoch=epoch, seq=seq, recovered=False, reason=reason)
            await peer.push(seq + 1)
            await peer.silence()

        gaps: list[Gap] = []
        async with streaming(first, second) as stream:
            subscription = await stream.subscribe("trades:X", on_gap=lambda *gap: gaps.append(gap))
            items = subscription.with_gaps()
            one, gap, two = [await anext(items) for _ in range(3)]
        assert gaps == [("trades:X", *expected, False)]
        assert isinstance(one, Message)
        assert isinstance(two, Message)
        assert (one.q, two.q) == (1, seq + 1)
        assert isinstance(gap, Marker)
        assert (gap.first, gap.last, gap.reason, gap.epoch) == (*expected, reason, epoch)

    async def test_history_then_live_and_after_an_interruption_from_where_we_were(self) -> None:
        async def first(peer: Peer) -> None:
            await peer.welcome()
            entry = await peer.grant(seq=3, first=2, recovered=True, replay=2)
            assert entry == {"ch": "trades:X", "start": "2026-01-31T12:00:00Z"}
            await peer.push(2, 3)
            await peer.close()

        async def second(peer: Peer) -> None:
            await peer.welcome()
            entry = await peer.grant(seq=4, recovered=True, replay=1)
            assert entry == {"ch": "trades:X", "from": {"epoch": "e", "seq": 3}}
            await peer.push(4)
            await peer.silence()

        async with streaming(first, second) as stream:
            start = datetime(2026, 1, 31, 12, tzinfo=UTC)
            assert await sequences(await stream.subscribe("trades:X", start=start), 3) == [2, 3, 4]

    async def test_skipped_is_told(self) -> None:
        async def slow(peer: Peer) -> None:
            await peer.welcome()
            entry = await peer.grant()
            assert entry == {"ch": "quotes:X", "tier": "100ms"}
            await peer.send({"op": "skipped", "n": 1, "from": 3, "to": 8})
            await peer.push(9)
            await peer.silence()

        gaps: list[Gap] = []
        async with streaming(slow) as stream:
            quotes = await stream.subscribe("quotes:X", tier="100ms", on_gap=lambda *gap: gaps.append(gap))
            assert await sequences(quotes, 1) == [9]
        assert gaps == [("quotes:X", 3, 8, False)]


class TestBackfill:
    @staticmethod
    async def items(stored: range, epoch: str, reason: str) -> tuple[list[Message | Marker], list[Gap]]:
        """What a reader sees of 1, live again from 8 on, when REST has `stored` of it."""

        async def first(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(1)
            await peer.close()

        async def second(peer: Peer) -> None:
            await peer.welcome()
            rest = "/api/market/X/trades?after_seq=0"
            await peer.grant(epoch=epoch, seq=7, recovered=False, reason=reason, rest=rest)
            # Live messages do not overtake what REST still has to give.
            await peer.push(8, 9)
            await peer.silence()

        async def page(request: web.Request) -> web.Response:
            after = int(request.query.get("cursor") or request.query["after_seq"])
            found = [seq for seq in stored if seq > after][:3]
            more = str(found[-1]) if found and found[-1] < stored[-1] else None
            return web.json_response({"items": [{"seq": seq} for seq in found], "next_cursor": more})

        gaps: list[Gap] = []
        routes = [web.get("/api/market/X/trades", page)]
        async with talking(first, second, routes=routes) as agio:
            subscription = await agio.subscribe(
                "trades:X", backfill=True, on_gap=lambda *gap: gaps.append(gap)
            )
            told: list[Message | Marker] = []
            async for item in subscription.with_gaps():
                told.append(item)
                if isinstance(item, Message) and item.q == 9:
                    break
        return told, gaps

    async def test_the_hole_comes_from_rest_before_anything_later(self) -> None:
        told, gaps = await self.items(range(1, 20), "e", "too_far")
        messages = [item for item in told if isinstance(item, Message)]
        assert [message.q for message in messages] == list(range(1, 10))
        assert [message.q for message in messages if message.is_late] == list(range(2, 8))
        assert gaps == [("trades:X", 2, 7, True)]

    async def test_what_rest_lacks_is_lost_and_told(self) -> None:
        told, gaps = await self.items(range(5, 20), "e", "trimmed")
        assert [item.q for item in told if isinstance(item, Message)] == [1, 5, 6, 7, 8, 9]
        assert gaps == [("trades:X", 2, 7, True), ("trades:X", 2, 4, False)]

    async def test_a_new_epoch_is_read_from_its_beginning(self) -> None:
        told, gaps = await self.items(range(1, 20), "f", "epoch")
        assert [item.q for item in told if isinstance(item, Message)] == [1, *range(1, 10)]
        assert gaps == [("trades:X", 2, 7, False)]


class TestFullQueues:
    @staticmethod
    async def all_at_once(peer: Peer) -> None:
        await peer.welcome()
        await peer.grant()
        await peer.push(*range(1, 31))
        await peer.silence()

    async def test_fail_hands_over_what_waits_and_says_where_to_go_on(self) -> None:
        async with streaming(self.all_at_once) as stream:
            subscription = await stream.subscribe("trades:X", limit=10, when_full="fail")
            assert await sequences(subscription, 10) == list(range(1, 11))
            with pytest.raises(QueueFull) as full:
                await anext(subscription)
            assert full.value.position == ("e", 10)

    async def test_follow_goes_on_by_itself(self) -> None:
        async def patient(peer: Peer) -> None:
            await peer.welcome()
            number, after = 1, 0
            while after < 30:
                entry = await peer.grant(number=number, seq=30, recovered=True)
                after = entry.get("from", {"seq": 0})["seq"]
                await peer.push(*range(after + 1, 31), number=number)
                number += 1
                if after < 20:
                    await peer.hear("unsub")
                else:
                    break
            await peer.silence()

        async with talking(patient) as agio:
            got: list[int] = []
            async for message in agio.messages("trades:X", position=("e", 0), limit=10):
                got.append(message.q)
                if message.q == 30:
                    break
            assert got == list(range(1, 31))

    async def test_drop_oldest_tells_each_and_marks_them_together(self) -> None:
        gaps: list[Gap] = []
        async with streaming(self.all_at_once) as stream:
            subscription = await stream.subscribe(
                "trades:X", limit=10, when_full="drop_oldest", on_gap=lambda *gap: gaps.append(gap)
            )
            while subscription.last != 30:
                await asyncio.sleep(0)
            items = subscription.with_gaps()
            marker = await anext(items)
            assert isinstance(marker, Marker)
            assert (marker.first, marker.last, marker.reason) == (1, 20, "queue")
            assert await sequences(subscription, 10) == list(range(21, 31))
        assert [first for _, first, _, _ in gaps] == list(range(1, 21))

    async def test_latest_keeps_the_newest_of_each_key(self) -> None:
        async def balances(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            assets = ["USD", "BTC", "USD", "USD", "BTC"]
            await peer.send([{"n": 1, "q": q, "t": 0, "d": {"asset": a}} for q, a in enumerate(assets, 1)])
            await peer.silence()

        async with streaming(balances) as stream:
            subscription = await stream.subscribe("balances:acc", when_full="latest")
            while subscription.last != 5:
                await asyncio.sleep(0)
            assert await sequences(subscription, 2) == [4, 5]

    async def test_one_slow_reader_does_not_hold_up_the_others(self) -> None:
        async def both(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant(number=1)
            await peer.grant(number=2)
            await peer.push(*range(1, 31), number=1)
            await peer.push(1, number=2)
            await peer.silence()

        async with streaming(both) as stream:
            slow = await stream.subscribe("trades:SLOW", limit=5)
            assert await sequences(await stream.subscribe("trades:X"), 1) == [1]
            assert await sequences(slow, 5) == [1, 2, 3, 4, 5]
            assert stream.state is StreamState.LIVE


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["json", "msgpack"])
    @pytest.mark.parametrize("compress", [False, True])
    async def test_both_say_the_same_compressed_or_not(self, encoding: str, compress: bool) -> None:
        offered: list[str | None] = []

        async def one(peer: Peer) -> None:
            offered.append(peer.request.headers.get("Sec-WebSocket-Extensions"))
            await peer.welcome()
            await peer.grant()
            await peer.send({"n": 1, "q": 1, "t": 5, "d": {"price": "1.50", "size": "2" * 2000}})
            await peer.silence()

        class Trade(msgspec.Struct):
            price: str
            size: str

        async with talking(one, encoding=encoding, compress=compress) as agio:
            message = await anext(agio.messages("trades:X"))
        assert message.decode(Trade) == Trade("1.50", "2" * 2000)
        assert (offered[0] is not None) == compress
