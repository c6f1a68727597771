"""Streams of events: the same messages as on the socket, and positions that any node can resume."""

import asyncio

import msgspec
import pytest
from tests.unit.streaming.fakes import FakeWire
from tests.unit.streaming.harness import PATIENCE_SECONDS, QUICK, Edge, running_edge

from agio.identity.api import Forbidden
from agio.kernel.problem import InvalidRequest
from agio.platform.channels import UnknownChannel
from agio.streaming.errors import ChannelUnavailable
from agio.streaming.log_subscription import Position
from agio.streaming.positions import decode_positions, encode_positions


def pushes(wire: FakeWire) -> list[dict[str, object]]:
    return [
        message
        for _, messages in wire.events()
        for message in messages
        if "subs" not in message and message.get("op") in {None, "snap"}
    ]


async def until_sequence(wire: FakeWire, last: int, channel: int | None = None) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not any(push["q"] == last for push in pushes(wire)):
            await asyncio.sleep(0.002)


async def commit_and_publish(edges: list[Edge], count: int) -> None:
    for batch in edges[0].trades.trades(count, 3):
        for edge in edges:
            await edge.publish("trades", "ES", batch)


class TestPositions:
    def test_round_trip(self) -> None:
        positions = {"trades:ES": Position(812, "k3"), "orders:acc_1": Position(0, "k4")}

        assert decode_positions(encode_positions(positions)) == positions

    @pytest.mark.parametrize("text", ["x", "!!!!", "AAAA", "a" * 20_000, "\N{SNOWMAN}"])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidRequest):
            decode_positions(text)


class TestRead:
    async def test_events_equal_the_messages_of_the_socket(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["trades:ES", "balances:acc_1", "book:ES"])
            _, wire = await edge.read("trades:ES", "balances:acc_1", "book:ES")
            await client.wait_until(lambda: bool(pushes(wire)))
            for number in range(1, 40):
                await edge.trade(2, batch=2)
                await edge.publish("balances", "acc_1", [edge.balances.put("USD", number, {"total": "1"})])
                await edge.publish("book", "ES", [edge.book.change("bids", "10.00", str(number))])
            await until_sequence(wire, 78)
            await client.wait_until(lambda: 78 in client.sequences())

            def told(messages: list[dict[str, object]], name: str) -> list[dict[str, object]]:
                number = edge.gateway._hubs._hubs[name].number
                return [message for message in messages if message.get("n") == number]

            for name in ("trades:ES", "balances:acc_1", "book:ES"):
                await client.wait_until(
                    lambda name=name: told(client.wire.messages(), name)[-1:] == told(pushes(wire), name)[-1:]
                )
                assert told(client.wire.messages(), name) == told(pushes(wire), name), name

    async def test_any_node_resumes_each_log_exactly_once(self) -> None:
        async with running_edge() as first, running_edge() as second:
            second.trades = first.trades
            second.gateway._hubs._kinds["trades"] = first.trades
            nodes, seen, last_event = [first, second], [], None
            for turn in range(6):
                session, wire = await nodes[turn % 2].read("trades:ES", "orders:acc_1", last_event=last_event)
                await commit_and_publish(nodes, 7)
                await until_sequence(wire, 7 * (2 * turn + 1))
                session.lost()
                # As if the connection had broken behind an event in the middle.
                events = wire.events()
                events = events[: max(3, len(events) - turn % 3)]
                last_event = [identity for identity, _ in events if identity][-1]
                seen += [m["q"] for _, messages in events for m in messages if "q" in m]
                await commit_and_publish(nodes, 7)
            _, wire = await first.read("trades:ES", last_event=last_event)
            await until_sequence(wire, 84)

            assert seen + [push["q"] for push in pushes(wire)] == list(range(1, 85))

    async def test_another_epoch_is_told(self) -> None:
        async with running_edge() as edge:
            await edge.trade(5)
            stale = encode_positions({"trades:ES": Position(3, "e0")})
            _, wire = await edge.read("trades:ES", last_event=stale)
            await edge.trade(1)
            await until_sequence(wire, 6)
            (entry,) = next(m for _, found in wire.events() for m in found if "subs" in m)["subs"]

            assert (entry["recovered"], entry["reason"]) == (False, "epoch")

    async def test_channel_that_ends_closes_so_that_the_reader_resumes(self) -> None:
        async with running_edge() as edge:
            session, wire = await edge.read("trades:ES")
            edge.trades.epoch = "e2"
            async with asyncio.timeout(PATIENCE_SECONDS):
                while wire.closed is None:
                    await asyncio.sleep(0.01)

            assert wire.closed[0] == 4440
            assert any(m.get("code") == "epoch_changed" for _, found in wire.events() for m in found)
            assert session.is_closed

    async def test_heartbeat_names_the_top(self) -> None:
        async with running_edge(msgspec.structs.replace(QUICK, heartbeat_silence_seconds=0.05)) as edge:
            await edge.trade(4)
            _, wire = await edge.read("trades:ES")
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not any(m.get("op") == "hb" for _, found in wire.events() for m in found):
                    await asyncio.sleep(0.01)
            (beat,) = [m for _, found in wire.events() for m in found if m.get("op") == "hb"][:1]

            assert list(beat["top"].values()) == [4]

    async def test_revoked_key_ends_it(self) -> None:
        async with running_edge() as edge:
            _, wire = await edge.read("trades:ES")
            edge.revocations.ended[0]("key_good")

            assert wire.closed == (4502, "the key was revoked")

    async def test_key_that_ends_while_channels_open_leaves_nothing_behind(self) -> None:
        async with running_edge() as edge:
            reading = asyncio.create_task(edge.read("trades:ES", "balances:acc_1"))
            while not edge.gateway.sessions:
                await asyncio.sleep(0)
            edge.revocations.ended[0]("key_good")
            with pytest.raises(ChannelUnavailable):
                await reading

            assert not edge.gateway.sessions
            assert all(not hub.subscriptions() for hub in edge.gateway._hubs._hubs.values())

    async def test_slow_reader_is_closed(self) -> None:
        small = msgspec.structs.replace(QUICK, queue_seconds=0.2)
        async with running_edge(small) as edge:
            _, wire = await edge.read("trades:ES")
            wire.is_writable = False
            await edge.trade(3)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while wire.closed is None:
                    await asyncio.sleep(0.01)

            assert wire.closed[0] == 4008


class TestRefuse:
    async def test_reader_without_any_right(self) -> None:
        async with running_edge() as edge:
            with pytest.raises(Forbidden):
                await edge.read("trades:ES", token="blind")
            with pytest.raises(UnknownChannel):
                await edge.read("trades:NOPE")

            assert not edge.gateway._sessions

    async def test_one_refused_channel_is_told_beside_the_others(self) -> None:
        async with running_edge() as edge:
            _, wire = await edge.read("trades:ES", "trades:NOPE")
            await edge.trade(1)
            await until_sequence(wire, 1)
            answer = next(m for _, found in wire.events() for m in found if "subs" in m)

            assert [entry["code"] for entry in answer["errs"]] == ["unknown_channel"]
