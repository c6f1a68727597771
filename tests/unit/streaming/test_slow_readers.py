"""Bounded memory: what happens to a connection that does not read."""

import asyncio

import msgspec
from tests.unit.streaming.harness import QUICK, running_edge

SMALL = msgspec.structs.replace(QUICK, queue_bytes=40_000, write_bytes=4_000, chunk_bytes=1_000)


class TestLogChannels:
    async def test_a_stalled_reader_is_closed_and_gets_nothing_more(self) -> None:
        hasty = msgspec.structs.replace(SMALL, queue_seconds=0.3)
        async with running_edge(hasty) as edge:
            client = await edge.connect()
            other = await edge.connect("twin")
            await client.ask(op="sub", ch=["trades:ES"])
            await other.ask(op="sub", ch=["trades:ES"])
            client.stall()
            await edge.trade(200)
            written = len(client.wire.written)
            await client.wait_until(lambda: client.wire.closed is not None)
            client.resume()
            await edge.trade(10)
            await other.wait_until(lambda: len(other.pushes()) == 210)

            assert client.wire.closed[0] == 4008
            assert len(client.wire.written) == written
            assert other.sequences() == list(range(1, 211))

    async def test_memory_is_bounded_while_it_stalls(self) -> None:
        async with running_edge(SMALL) as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["trades:ES"])
            client.stall()
            await edge.trade(5_000, batch=100)
            await asyncio.sleep(0.05)

            assert client.session.queue.size_bytes < SMALL.queue_bytes
            assert client.wire.closed is None

    async def test_a_slow_reader_gets_everything_once_it_reads(self) -> None:
        async with running_edge(SMALL) as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["trades:ES"])
            client.stall()
            await edge.trade(3_000, batch=100)
            await asyncio.sleep(0.02)
            client.resume()
            await client.wait_until(lambda: len(client.pushes()) == 3_000)

            assert client.sequences() == list(range(1, 3_001))

    async def test_lag_without_end_is_closed(self) -> None:
        hasty = msgspec.structs.replace(SMALL, lag_seconds=0.2)
        async with running_edge(hasty) as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["trades:ES"])
            client.stall()
            await edge.trade(3_000, batch=100)
            await client.wait_until(lambda: client.wire.closed is not None)

            assert client.wire.closed[0] == 4008

    async def test_pressure_is_told_and_taken_back(self) -> None:
        async with running_edge(SMALL) as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["trades:ES"])
            client.stall()
            await edge.trade(400, batch=100)
            await client.wait_until(lambda: edge.pressure[-1:] == [True])
            client.resume()
            await client.wait_until(lambda: edge.pressure[-1:] == [False])

    async def test_other_channels_do_not_press(self) -> None:
        async with running_edge(SMALL) as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["orders:acc_1"])
            client.stall()
            await edge.publish("orders", "acc_1", edge.orders.commit([{"x": "y" * 200}] * 150))
            await asyncio.sleep(0.05)

            assert edge.pressure == []


class TestConflation:
    async def test_state_keeps_the_newest_and_says_what_it_skipped(self) -> None:
        async with running_edge(SMALL) as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["balances:acc_1"])
            client.stall()
            for q in range(1, 401):
                push = edge.balances.put(f"A{q % 3}", q, {"total": "x" * 200})
                await edge.publish("balances", "acc_1", [push])
                if q % 10 == 0:
                    await asyncio.sleep(0.002)
            await asyncio.sleep(0.02)
            assert client.session.queue.size_bytes < SMALL.queue_bytes
            client.resume()
            await client.wait_until(lambda: 400 in client.sequences())
            skipped = next(message for message in client.wire.messages() if message.get("op") == "skipped")
            values = {push["q"] for push in client.pushes()}

            assert client.wire.closed is None
            assert {398, 399, 400} <= values
            assert skipped["from"] <= skipped["to"]
            assert set(range(1, 401)) - values <= set(range(skipped["from"], skipped["to"] + 1))

    async def test_book_gets_a_new_snapshot(self) -> None:
        async with running_edge(SMALL) as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["book:ES"])
            client.stall()
            for number in range(600):
                push = edge.book.change("bids", f"{number}.0", "5")
                await edge.publish("book", "ES", [push])
                if number % 10 == 0:
                    await asyncio.sleep(0.002)
            client.resume()
            snap = await client.wait_for(lambda message: message.get("op") == "snap" and message["q"] == 600)
            await edge.publish("book", "ES", [edge.book.change("asks", "700.0", "1")])
            delta = await client.wait_for(lambda message: message.get("q") == 601)

            assert any(message.get("op") == "skipped" for message in client.wire.messages())
            assert len(snap["d"]["bids"]) == 600
            assert delta["p"] == 600


class TestProcessBudget:
    async def test_the_worst_reader_goes_first(self) -> None:
        tight = msgspec.structs.replace(SMALL, process_queue_bytes=30_000)
        async with running_edge(tight) as edge:
            slow, fine = await edge.connect(), await edge.connect("twin")
            await slow.ask(op="sub", ch=["trades:ES", "orders:acc_1"])
            await fine.ask(op="sub", ch=["orders:acc_1"])
            slow.stall()
            fine.stall()
            await edge.publish("orders", "acc_1", edge.orders.commit([{"x": "y" * 200}] * 45))
            await edge.trade(100)
            await slow.wait_until(lambda: slow.wire.closed is not None)

            assert slow.wire.closed[0] == 4008
            assert fine.wire.closed is None
