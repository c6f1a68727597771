import asyncio
from typing import Any

import pytest

from agio_sdk.errors import ChannelRefused
from agio_sdk.subscription import Message, Subscription, WhenFull


class Unstream:
    """Stands where the stream stands: a subscription only tells it that it ends."""

    async def unsubscribe(self, subscription: Subscription) -> None:
        return None


def make(
    channel: str = "trades:ES", *, limit: int = 100, when_full: WhenFull = "block", **options: Any
) -> Subscription:
    stream: Any = Unstream()
    return Subscription(
        stream,
        channel,
        request={},
        limit=limit,
        when_full=when_full,
        on_gap=options.get("on_gap"),
        position=options.get("position"),
    )


def message(q: int, channel: str = "trades:ES") -> Message:
    return Message(channel, q, 0, b"{}")


class TestLogChannels:
    async def test_duplicates_are_dropped_and_a_hole_asks_for_a_resume(self) -> None:
        subscription = make()
        subscription.confirm("e1", 10, is_recovered=True)
        assert subscription.accept(message(11))
        assert subscription.accept(message(11))
        assert subscription.accept(message(9))
        assert not subscription.accept(message(13))
        assert [each.q for each in await subscription.next_batch()] == [11]

    async def test_the_resume_asks_for_its_own_position(self) -> None:
        subscription = make()
        subscription.confirm("e1", 10, is_recovered=True)
        subscription.accept(message(11))
        assert subscription.wire_request() == {"ch": "trades:ES", "from": {"epoch": "e1", "seq": 11}}

    async def test_what_cannot_be_recovered_is_told(self) -> None:
        gaps: list[tuple[str, int, int, bool]] = []
        subscription = make(on_gap=lambda *gap: gaps.append(gap))
        subscription.confirm("e1", 10, is_recovered=True)
        subscription.confirm("e2", 500, is_recovered=False)
        assert gaps == [("trades:ES", 11, 500, False)]
        assert subscription.accept(message(501))

    async def test_a_given_position_is_replayed_from(self) -> None:
        subscription = make(position=("e1", 0))
        subscription.confirm("e1", 90, is_recovered=True)
        assert subscription.accept(message(1))
        assert subscription.accept(message(2))


class TestBuffer:
    async def test_drop_oldest_loses_and_says_so(self) -> None:
        gaps: list[tuple[str, int, int, bool]] = []
        subscription = make(limit=2, when_full="drop_oldest", on_gap=lambda *gap: gaps.append(gap))
        for q in (1, 2, 3):
            subscription.accept(message(q))
        assert [each.q for each in await subscription.next_batch()] == [2, 3]
        assert gaps == [("trades:ES", 1, 1, False)]

    async def test_latest_keeps_one(self) -> None:
        subscription = make("quotes:ES", when_full="latest")
        for q in (1, 5, 9):
            subscription.accept(message(q))
        assert [each.q for each in await subscription.next_batch()] == [9]

    async def test_block_stops_the_reader_until_there_is_room(self) -> None:
        subscription = make(limit=1)
        subscription.accept(message(1))
        waiting = asyncio.create_task(subscription.wait_for_room())
        await asyncio.sleep(0)
        assert not waiting.done()
        await anext(subscription)
        await asyncio.wait_for(waiting, 1)

    async def test_a_refusal_reaches_whoever_waits_or_reads(self) -> None:
        subscription = make()
        subscription.fail(ChannelRefused("trades:ES", "unknown_channel"))
        with pytest.raises(ChannelRefused):
            await subscription.confirmed
        with pytest.raises(ChannelRefused):
            await anext(subscription)

    async def test_closing_ends_the_iteration(self) -> None:
        subscription = make()
        subscription.accept(message(1))
        await subscription.aclose()
        assert [each.q async for each in subscription] == [1]
