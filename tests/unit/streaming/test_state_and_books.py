"""Conflatable channels: nothing old overtakes something new, and every book is right at every checksum."""

import asyncio

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.streaming.fakes import MemoryBook, crc_of
from tests.unit.streaming.harness import QUICK, Client, running_edge

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


async def follow_books(plan: list[tuple[str, str, str, str]], tiers: list[str]) -> None:
    async with running_edge(LOUD) as edge:
        copies: list[Copy] = []

        async def join(tier: str) -> None:
            client = await edge.connect()
            copies.append(Copy(client))
            await client.ask(op="sub", ch=[{"ch": "book:ES", "tier": tier}])

        for tier in tiers:
            await join(tier)
        for side, price, size, fate in plan:
            delta = edge.book.change(side, price, size)
            if fate != "lose":
                await edge.publish("book", "ES", [delta])
            if fate == "twice":
                await edge.publish("book", "ES", [delta])
            elif fate == "pause":
                await asyncio.sleep(0.004)
            elif fate == "join":
                await join("50ms")
        await edge.publish("book", "ES", [edge.book.change("bids", "9", "1")])
        async with asyncio.timeout(5):
            while any(copy.last != edge.book.q for copy in copies):
                await asyncio.sleep(0.005)
                for copy in copies:
                    copy.read()
        for copy in copies:
            assert copy.sides == {"bids": edge.book.bids, "asks": edge.book.asks}


@settings(max_examples=40, deadline=None)
@given(changes)
def test_every_book_is_right_at_every_checksum(plan: list[tuple[str, str, str, str]]) -> None:
    asyncio.run(follow_books(plan, ["raw", "50ms", "raw"]))


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
