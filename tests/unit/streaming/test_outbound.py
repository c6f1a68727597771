"""What is written: the same bytes for all who keep up, everything in order for those who do not."""

import zlib

import msgspec
import pytest
from tests.unit.streaming.fakes import FakeWire
from tests.unit.streaming.harness import QUICK, Client, Edge, running_edge

from agio.streaming.handshake import UpgradeRequest

TIGHT = msgspec.structs.replace(QUICK, queue_bytes=40_000, write_bytes=4_000, chunk_bytes=1_000)


async def connect_packed(edge: Edge, subprotocol: str = "agio.v1.json") -> Client:
    """A connection that agreed to compressed frames."""
    wire = FakeWire(takes_packed=True)
    request = UpgradeRequest(None, "good", None, None, "localhost", "127.0.0.1", True)
    session = await edge.gateway.admit(request, subprotocol, wire)
    session.opened()
    return Client(session, wire)


def unpack(data: bytes) -> list[tuple[bool, bytes]]:
    """Whether each frame was compressed, and its payload."""
    found, at = [], 0
    while at < len(data):
        length, head = data[at + 1], 2
        if length == 126:
            length, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
        payload = data[at + head : at + head + length]
        is_packed = bool(data[at] & 0x40)
        if is_packed:
            payload = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
        found.append((is_packed, payload))
        at += head + length
    return found


class TestSharing:
    async def test_all_who_keep_up_get_the_same_object(self) -> None:
        async with running_edge() as edge:
            clients = [await edge.connect() for _ in range(3)]
            for client in clients:
                await client.ask(op="sub", ch=["trades:ES"])
            await edge.trade(7, batch=7)
            for client in clients:
                await client.wait_until(lambda client=client: len(client.pushes()) == 7)

        first, *others = [client.wire.written[-1] for client in clients]
        assert all(frame is first for frame in others)

    async def test_channels_of_one_tick_share_a_write(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["trades:ES", "orders:acc_1"])
            writes = len(client.wire.written)
            await edge.trade(1)
            await edge.publish("orders", "acc_1", edge.orders.commit([{"x": 1}]))
            await client.wait_until(lambda: len(client.pushes()) == 2)

        assert len(client.wire.written) == writes + 1

    async def test_nothing_is_counted_as_waiting_for_one_who_keeps_up(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["trades:ES"])
            for _ in range(20):
                await edge.trade(5, batch=5)
                await client.wait_until(lambda: len(client.pushes()) == len(edge.trades.history))
            edge.gateway.metrics.publish()

            assert client.session.queue.size_bytes == edge.gateway._budget.used_bytes == 0
            assert client.session.queue.written_pushes == 100
            assert edge.metric("agio_stream_deliveries_total") == 100


class TestAnswers:
    async def test_an_answer_does_not_wait_for_the_tick(self) -> None:
        never = msgspec.structs.replace(QUICK, tick_seconds=3_600.0)
        async with running_edge(never) as edge:
            client = await edge.connect()
            for _ in range(3):
                assert (await client.ask(op="ping"))["op"] == "pong"


class TestOrder:
    @pytest.mark.parametrize("stops", [(), (3, 9), (1, 2, 3, 4, 5, 12, 13)])
    async def test_fast_and_slow_path_take_turns(self, stops: tuple[int, ...]) -> None:
        """A reader that stops and goes on, with control messages in between, misses and repeats nothing."""
        async with running_edge(TIGHT) as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["trades:ES"])
            for turn in range(20):
                if turn in stops:
                    client.stall()
                await edge.trade(1 + turn % 4, batch=3)
                client.session.queue.put_frame(b"\x89\x00")
                if turn - 2 in stops:
                    client.resume()
                await client.ask(op="ping") if client.wire.is_writable else None
            client.resume()
            count = len(edge.trades.history)
            await client.wait_until(lambda: len(client.pushes()) == count)

        assert client.sequences() == list(range(1, count + 1))


class TestCompression:
    @pytest.mark.parametrize("subprotocol", ["agio.v1.json", "agio.v1.msgpack"])
    async def test_a_chunk_is_compressed_once_and_says_the_same(self, subprotocol: str) -> None:
        async with running_edge() as edge:
            packed = [await connect_packed(edge, subprotocol) for _ in range(2)]
            for client in packed:
                operation = {"id": 1, "op": "sub", "ch": ["trades:ES"]}
                is_text = subprotocol.endswith("json")
                encode = msgspec.json.encode if is_text else msgspec.msgpack.encode
                client.session.received(encode(operation), is_text=is_text)
                answer = b'"subs":' if is_text else b"\xa4subs"
                await client.wait_until(
                    lambda client=client, answer=answer: answer in b"".join(client.wire.written)
                )
            await edge.trade(100, batch=100)
            for client in packed:
                await client.wait_until(lambda client=client: client.session.queue.written_pushes == 100)
            first, second = [client.wire.written[-1] for client in packed]
            ((is_packed, payload),) = unpack(first)

        decode = msgspec.json.decode if subprotocol.endswith("json") else msgspec.msgpack.decode
        assert first is second
        assert is_packed
        assert len(first) < len(payload) / 3
        assert [push["q"] for push in decode(payload)] == list(range(1, 101))

    async def test_small_frames_and_those_of_one_reader_stay_plain(self) -> None:
        async with running_edge() as edge:
            await edge.trade(100, batch=100)
            client = await connect_packed(edge)
            operation = {"id": 1, "op": "sub", "ch": [{"ch": "trades:ES", "from": {"seq": 0}}]}
            client.session.received(msgspec.json.encode(operation), is_text=True)
            await client.wait_until(lambda: client.session.queue.written_pushes == 100)
            await edge.trade(1)
            await client.wait_until(lambda: client.session.queue.written_pushes == 101)

        assert not any(is_packed for is_packed, _ in unpack(b"".join(client.wire.written)))
