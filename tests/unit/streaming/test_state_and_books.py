"""Conflatable channels: nothing old overtakes something new, and every book is right at every checksum."""

import asyncio

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.streaming.fakes import MemoryBook, MemoryStateHandle, best_levels, crc_of
from tests.unit.streaming.harness import PATIENCE_SECONDS, QUICK, Client, running_edge

from agio.platform.channels import Push
from agio.streaming.book_hub import merge_deltas

LOUD = msgspec.structs.replace(QUICK, messages_per_second=10_000.0, message_burst=10_000)


class Copy:
    """A client's book, checked at every message."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._read = 0
        self.last: int | None = None
        self.sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}

    def read(self) -> None:
        messages = self._client.wire.messages()
        for message in messages[self._read :]:
            if message.get("op") == "snap":
                self.sides = {side: dict(levels) for side, levels in message["d"].items()}
            elif "op" not in message and "id" not in message:
                assert message["p"] == self.last, f"{message['p']} after {self.last}"
                for side, levels in message["d"].items():
                    for price, size in levels:
                        self.sides[side].pop(price, None)
                        if size != "0":
                            self.sides[side][price] = size
            else:
                continue
            self.last = message["q"]
            assert message["crc"] == crc_of(self.sides["bids"], self.sides["asks"])
        self._read = len(messages)


changes = st.lists(
    st.tuples(
        st.sampled_from(["bids", "asks"]),
        st.integers(1, 6).map(str),
        st.integers(0, 3).map(str),
        st.sampled_from(["publish"] * 5 + ["lose", "twice", "pause", "join"]),
    ),
    min_size=1,
    max_size=40,
)


async def follow_books(
    plan: list[tuple[str, str, str, str]],
    tiers: list[tuple[str, int | None]],
    resting: dict[str, dict[str, str]] | None = None,
) -> None:
    """Subscribers of some tiers and depths follow a book through all that the bus may do to it."""
    async with running_edge(LOUD) as edge:
        copies: list[tuple[Copy, int]] = []
        for side, levels in (resting or {}).items():
            for price, size in levels.items():
                edge.book.change(side, price, size)

        async def join(tier: str, depth: int | None) -> None:
            client = await edge.connect()
            copies.append((Copy(client), 1_000 if depth is None else 10))
            request = {"ch": "book:ES", "tier": tier} | ({} if depth is None else {"depth": depth})
            await client.ask(op="sub", ch=[request])

        for tier, depth in tiers:
            await join(tier, depth)
        for side, price, size, fate in plan:
            delta = edge.book.change(side, price, size)
            if fate != "lose":
                await edge.publish("book", "ES", [delta])
            if fate == "twice":
                await edge.publish("book", "ES", [delta])
            elif fate == "pause":
                await asyncio.sleep(0.004)
            elif fate == "join":
                await join("50ms", tiers[-1][1])
        # Better than every other: all of them are told.
        await edge.publish("book", "ES", [edge.book.change("bids", "99", "1")])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while any(copy.last != edge.book.q for copy, _ in copies):
                await asyncio.sleep(0.005)
                for copy, _ in copies:
                    copy.read()
        for copy, depth in copies:
            assert copy.sides == best_levels(edge.book.bids, edge.book.asks, depth)


@settings(max_examples=40, deadline=None)
@given(changes)
def test_every_book_is_right_at_every_checksum(plan: list[tuple[str, str, str, str]]) -> None:
    asyncio.run(follow_books(plan, [("raw", None), ("50ms", None), ("raw", None)]))


def levels_around(first: int) -> dict[str, str]:
    return {str(price): "5" for price in range(first, first + 14)}


deep_changes = st.lists(
    st.tuples(
        st.sampled_from(["bids", "asks"]),
        st.integers(1, 40).map(str),
        st.integers(0, 2).map(str),
        st.sampled_from(["publish"] * 8 + ["lose", "pause", "join"]),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=25, deadline=None)
@given(deep_changes)
def test_best_levels_are_right_at_every_checksum(plan: list[tuple[str, str, str, str]]) -> None:
    """Sides of 14 levels and more, of which those who ask for seven are sent the best ten."""
    resting = {"bids": levels_around(5), "asks": levels_around(21)}
    asyncio.run(follow_books(plan, [("raw", None), ("raw", 7), ("50ms", 7), ("raw", 10)], resting))


@given(
    st.lists(st.tuples(st.sampled_from(["bids", "asks"]), st.integers(1, 5), st.integers(0, 3)), min_size=1)
)
def test_merged_delta_has_the_effect_of_all(plan: list[tuple[str, int, int]]) -> None:
    book, copy = MemoryBook(), {"bids": {}, "asks": {}}
    deltas = [book.change(side, str(price), str(size)) for side, price, size in plan]
    merged = merge_deltas(deltas)
    for side, levels in msgspec.json.decode(merged.d).items():
        for price, size in levels:
            if size == "0":
                copy[side].pop(price, None)
            else:
                copy[side][price] = size

    assert copy == {"bids": book.bids, "asks": book.asks}
    assert (merged.p, merged.q, merged.crc) == (0, book.q, book.crc())


class TestState:
    async def test_old_values_never_overtake(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["balances:acc_1"])
            new = edge.balances.put("USD", 5, {"total": "5"})
            await edge.publish("balances", "acc_1", [new])
            old = edge.balances.put("USD", 3, {"total": "3"})
            await edge.publish("balances", "acc_1", [old])
            other = edge.balances.put("BTC", 4, {"total": "4"})
            await edge.publish("balances", "acc_1", [other])
            await client.wait_for(lambda message: message.get("q") == 4)

            assert client.sequences() == [5, 4]

    async def test_a_publisher_that_starts_again_is_heard(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["balances:acc_1"])
            await edge.publish("balances", "acc_1", [edge.balances.put("USD", 500, {"total": "5"})])
            restarted = msgspec.structs.replace(edge.balances.put("USD", 1, {"total": "1"}), t=501)
            await edge.publish("balances", "acc_1", [restarted])
            await client.wait_for(lambda message: message.get("q") == 1)

    async def test_a_snapshot_read_before_what_was_told_since_is_not_told(self) -> None:
        """It was asked for first, answered late, and its instant is that of the answer."""
        async with running_edge() as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["balances:acc_1"])
            read = edge.balances.put("USD", 4, {"total": "4"})
            await edge.publish("balances", "acc_1", [edge.balances.put("USD", 5, {"total": "5"})])
            await client.wait_for(lambda message: message.get("q") == 5)
            edge.balances.values["USD"] = msgspec.structs.replace(read, t=9_000, snapshot=True)
            await client.ask(op="resync", ch=["balances:acc_1"])
            await edge.publish("balances", "acc_1", [edge.balances.put("BTC", 6, {})])
            await client.wait_for(lambda message: message.get("q") == 6)

            assert 4 not in client.sequences()

    async def test_a_key_that_begins_while_the_values_are_read_is_told(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is in nobody's snapshot, and may not change again for a long time."""
        read = MemoryStateHandle.snapshot

        async def read_too_early(handle: MemoryStateHandle) -> list[Push]:
            values = await read(handle)
            await edge.publish("balances", "acc_1", [edge.balances.put("EUR", 1, {"total": "1"})])
            return values

        async with running_edge() as edge:
            other, client = await edge.connect("twin"), await edge.connect()
            await other.ask(op="sub", ch=["balances:acc_1"])
            monkeypatch.setattr(MemoryStateHandle, "snapshot", read_too_early)
            await client.ask(op="sub", ch=["balances:acc_1"])

            await client.wait_until(lambda: client.sequences() == [1])
            assert other.sequences() == [1]

    async def test_what_waits_for_the_tick_does_not_follow_newer_values(self) -> None:
        async with running_edge(msgspec.structs.replace(QUICK, tick_seconds=0.3)) as edge:
            first, second = await edge.connect(), await edge.connect()
            await first.ask(op="sub", ch=["balances:acc_1"])
            for q in (5, 6, 7):
                await edge.publish("balances", "acc_1", [edge.balances.put("USD", q, {"total": str(q)})])
                # The channel hands out the first at once, the others at its tick.
                await asyncio.sleep(0)
            await second.ask(op="sub", ch=["balances:acc_1"])
            await edge.publish("balances", "acc_1", [edge.balances.put("USD", 8, {"total": "8"})])
            for client in (first, second):
                await client.wait_for(lambda message: message.get("q") == 8)

            assert first.sequences() == [5, 6, 7, 8]
            assert second.sequences() == [7, 8]

    async def test_a_tier_sends_the_newest_of_each_key(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=[{"ch": "balances:acc_1", "tier": "100ms"}])
            await edge.publish("balances", "acc_1", [edge.balances.put("USD", 1, {})])
            await client.wait_for(lambda message: message.get("q") == 1)
            for q in range(2, 40):
                await edge.publish("balances", "acc_1", [edge.balances.put(f"A{q % 2}", q, {})])
            await client.wait_for(lambda message: message.get("q") == 39)

            assert client.sequences() == [1, 38, 39]
