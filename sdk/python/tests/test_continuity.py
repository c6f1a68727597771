"""Any interleaving of losses, repetitions, disconnects, drains and new epochs gives each message of a log
once and in order, or a gap that says exactly which are missing."""

import asyncio
from collections import deque
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agio_sdk import Gap, Message, Subscription
from agio_sdk.buffer import LatestBuffer, MessageBuffer
from agio_sdk.sequencer import Granted, Sequencer, Taken

CHANNEL = "trades:X"
MOST_RESUMES = 20
Step = tuple[str, int]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["publish"] * 3
            + ["deliver"] * 5
            + ["lose", "repeat", "old", "disconnect", "drain", "take over", "trim", "begin anew", "heartbeat"]
        ),
        st.integers(1, 4),
    ),
    max_size=60,
)


class Server:
    """A log and its connections: what is written to one is delivered in order, unless it is lost."""

    def __init__(self) -> None:
        self.number = 1
        self.top = 0
        self.trimmed = 0

    @property
    def epoch(self) -> str:
        return f"e{self.number}"

    def publish(self, count: int, connections: list["Line"]) -> None:
        for _ in range(count):
            self.top += 1
            for line in connections:
                line.frames.append(self.top)

    def answer(self, position: dict[str, Any] | None) -> tuple[Granted, range]:
        """As the platform answers: whole or not at all."""
        if position is None:
            return Granted(epoch=self.epoch, seq=self.top), range(0)
        reason = ""
        if position.get("epoch") != self.epoch:
            reason = "epoch"
        elif position["seq"] < self.trimmed:
            reason = "trimmed"
        if reason:
            return Granted(epoch=self.epoch, seq=self.top, is_recovered=False, reason=reason), range(0)
        return Granted(epoch=self.epoch, seq=self.top), range(position["seq"] + 1, self.top + 1)


class Line:
    """One connection: the answer, then pushes, as they were written."""

    def __init__(self, server: Server, subscription: Subscription) -> None:
        granted, replay = server.answer(subscription.wire_request().get("from"))  # type: ignore[arg-type]
        self.frames: deque[int | Granted] = deque([granted, *replay])


class Client:
    """Does with a subscription what `Stream` and `Dispatcher` do with it."""

    def __init__(self, server: Server) -> None:
        stream: Any = self
        self.server = server
        self.subscription = Subscription(stream, CHANNEL, request={}, on_gap=self.told)
        self.gaps: list[tuple[int, int]] = []
        self.line = Line(server, self.subscription)
        self.next_line: Line | None = None

    def told(self, _channel: str, first: int, last: int, _is_recovered: bool) -> None:
        self.gaps.append((first, last))

    @property
    def lines(self) -> list[Line]:
        return [self.line] if self.next_line is None else [self.line, self.next_line]

    def reconnect(self) -> None:
        self.next_line = None
        self.line = Line(self.server, self.subscription)

    def deliver(self, frame: int | Granted) -> None:
        if isinstance(frame, Granted):
            self.subscription.confirm(frame)
        elif self.subscription.is_established and not self.subscription.accept(
            Message(CHANNEL, frame, 0, b"{}")
        ):
            self.resume()

    def resume(self) -> None:
        """On the same connection: what was under way comes first, then the answer."""
        self.subscription.is_resuming = True
        under_way = [frame for frame in self.line.frames if not isinstance(frame, Granted)]
        self.line = Line(self.server, self.subscription)
        self.line.frames.extendleft(reversed(under_way))

    def step(self, action: str, count: int) -> None:
        server, frames = self.server, self.line.frames
        match action:
            case "publish":
                server.publish(count, self.lines)
            case "deliver":
                for _ in range(min(count, len(frames))):
                    self.deliver(self.line.frames.popleft()) if self.line.frames else None
            case "lose" if frames and not isinstance(frames[0], Granted):
                frames.popleft()
            case "repeat" if frames and not isinstance(frames[0], Granted):
                frames.appendleft(frames[0])
            case "old" if server.top >= count and frames and not isinstance(frames[0], Granted):
                frames.appendleft(max(1, frames[0] - count))
            case "disconnect":
                self.reconnect()
            case "drain" if self.next_line is None and self.subscription.is_established:
                self.next_line = Line(server, self.subscription)
            case "take over" if self.next_line is not None:
                self.line, self.next_line = self.next_line, None
            case "trim":
                server.trimmed = max(server.trimmed, server.top - count)
            case "begin anew":
                server.number, server.top, server.trimmed = server.number + 1, count - 1, 0
                self.reconnect()
            case "heartbeat" if not frames and self.subscription.sequencer.is_behind(server.top):
                self.resume()

    def settle(self) -> None:
        """Hear everything; the next heartbeat shows what was lost at the end."""
        for _ in range(MOST_RESUMES):
            while self.line.frames:
                self.deliver(self.line.frames.popleft())
            if not self.subscription.sequencer.is_behind(self.server.top):
                return
            self.resume()
        raise AssertionError("it does not come to an end")

    async def unsubscribe(self, subscription: Subscription) -> None:
        return None


async def play(steps: list[Step]) -> tuple[Client, list[Message | Gap]]:
    client = Client(Server())
    client.deliver(client.line.frames.popleft())
    for action, count in steps:
        client.step(action, count)
    client.settle()
    await client.subscription.aclose()
    return client, [item async for item in client.subscription.with_gaps()]


class TestLog:
    @settings(max_examples=150, deadline=None)
    @given(STEPS)
    def test_each_message_once_and_in_order_or_an_announced_gap(self, steps: list[Step]) -> None:
        client, items = asyncio.run(play(steps))
        expected = 1
        for item in items:
            if isinstance(item, Message):
                assert item.q == expected
                expected += 1
            else:
                assert item.first == expected
                assert item.reason == "epoch" or item.last >= item.first
                expected = item.last + 1
        assert expected == client.server.top + 1
        assert client.subscription.epoch == client.server.epoch

    @settings(max_examples=60, deadline=None)
    @given(STEPS)
    def test_no_gap_is_told_where_everything_can_be_had_again(self, steps: list[Step]) -> None:
        harmless = [step for step in steps if step[0] not in {"trim", "begin anew"}]
        client, items = asyncio.run(play(harmless))
        assert client.gaps == []
        assert [item.q for item in items if isinstance(item, Message)] == list(
            range(1, client.server.top + 1)
        )


class TestSequencer:
    def test_a_new_log_begins_where_it_is_granted(self) -> None:
        sequencer = Sequencer(CHANNEL)
        assert sequencer.position() is None
        assert sequencer.grant(Granted(epoch="e", seq=900)) is None
        assert sequencer.take(901) is Taken.NEW
        assert sequencer.position() == {"epoch": "e", "seq": 901}

    def test_recovered_in_another_epoch_is_no_recovery(self) -> None:
        sequencer = Sequencer(CHANNEL, ("e", 5))
        gap = sequencer.grant(Granted(epoch="f", seq=9))
        assert gap is not None
        assert (gap.first, gap.last, gap.reason) == (6, 9, "epoch")

    def test_a_position_without_an_epoch_is_any_epochs_beginning(self) -> None:
        sequencer = Sequencer(CHANNEL, ("", 0))
        assert sequencer.position() == {"seq": 0}
        assert sequencer.grant(Granted(epoch="f", seq=9)) is None
        assert sequencer.take(1) is Taken.NEW

    def test_history_that_is_refused_is_a_gap_from_its_first_message(self) -> None:
        gap = Sequencer(CHANNEL).grant(
            Granted(epoch="e", seq=900, first=10, is_recovered=False, reason="too_far", rest="/r")
        )
        assert gap is not None
        assert (gap.first, gap.last, gap.rest) == (10, 900, "/r")

    def test_values_told_again_are_seen_and_values_of_one_moment_are_not(self) -> None:
        sequencer = Sequencer("positions:prt")
        assert sequencer.take(7, b"a") is Taken.NEW
        assert sequencer.take(7, b"b") is Taken.NEW
        assert sequencer.take(7, b"a") is Taken.SEEN


class TestBuffers:
    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.booleans(), max_size=40), st.integers(1, 5))
    def test_drop_oldest_hands_over_or_marks_every_sequence(self, reads: list[bool], limit: int) -> None:
        buffer = MessageBuffer(limit, "drop_oldest")
        expected = 1

        def read() -> bool:
            nonlocal expected
            item = buffer.take()
            if isinstance(item, Message):
                assert item.q == expected
                expected += 1
            elif item is not None:
                assert item.first == expected
                expected = item.last + 1
            return item is not None

        for q, is_read in enumerate(reads, 1):
            assert buffer.put(Message(CHANNEL, q, 0, b"{}"))[0]
            assert len(buffer) <= limit
            if is_read:
                read()
        while read():
            pass
        assert expected == len(reads) + 1

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.integers(0, 6), max_size=40), st.integers(1, 5))
    def test_latest_keeps_the_newest_of_as_many_keys_as_it_has_room_for(
        self, assets: list[int], limit: int
    ) -> None:
        buffer = LatestBuffer(limit, "balances:acc")
        newest: dict[int, int] = {}
        for q, asset in enumerate(assets, 1):
            buffer.put(Message("balances:acc", q, 0, b'{"asset":"%d"}' % asset))
            newest.pop(asset, None)
            newest[asset] = q
        kept: list[int] = []
        while (item := buffer.take()) is not None:
            if isinstance(item, Message):
                kept.append(item.q)
        assert kept == list(newest.values())[-limit:]


def test_a_value_is_told_again_after_an_older_one_of_a_new_connection() -> None:
    """The node that takes over begins with what it has; what came meanwhile follows, and counts."""
    position = Sequencer("balances:acc")
    old, new = b'{"asset":"EUR","total":"1"}', b'{"asset":"EUR","total":"2"}'

    assert [position.take(6, old), position.take(7, new), position.take(7, new)] == [
        *(Taken.NEW, Taken.NEW, Taken.SEEN)
    ]
    assert position.take(6, b'{"asset":"EUR","total":"1","version":6}') is Taken.NEW
    assert position.take(7, new) is Taken.NEW
