"""Who is connected, how far behind, and how to end it."""

import pytest
from tests.unit.streaming.harness import Edge, running_edge

from agio.kernel.problem import NotFound
from agio.streaming.presence import disconnect, list_connections


async def caller(edge: Edge, name: str = "good") -> object:
    return await edge.authenticator.authenticate(name, "127.0.0.1")


class TestListConnections:
    async def test_lag_queue_and_drops_of_each(self) -> None:
        async with running_edge() as edge:
            slow = await edge.connect()
            await slow.ask(op="sub", ch=["trades:ES", "balances:acc_1"])
            slow.stall()
            for number in range(300):
                push = edge.balances.put("USD", number, {"text": "x" * 4_000})
                await edge.publish("balances", "acc_1", [push])
            await edge.trade(5)
            await edge.read("trades:ES")
            await edge.connect(None)
            await slow.wait_until(lambda: slow.session.queue.dropped_pushes > 0)
            page = list_connections(edge.gateway.sessions, await caller(edge), 10, None)

        first, second = sorted(page.items, key=lambda item: item.door, reverse=True)
        assert (first.door, first.encoding, first.key_id) == ("stream", "agio.v1.json", "key_good")
        assert [channel.channel for channel in first.channels] == ["trades:ES", "balances:acc_1"]
        assert first.queued_bytes > 0
        assert first.dropped > 0
        assert (second.door, second.channels[0].lag) == ("sse", 0)

    async def test_pages_follow_each_other(self) -> None:
        async with running_edge() as edge:
            opened = {(await edge.connect()).session.connection_id for _ in range(5)}
            who, found, cursor = await caller(edge), [], None
            while True:
                page = list_connections(edge.gateway.sessions, who, 2, cursor)
                found += [item.connection_id for item in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break

        assert found == sorted(opened)

    async def test_others_are_not_shown(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            other = await caller(edge, "other")

            assert list_connections(edge.gateway.sessions, other, 10, None).items == []
            with pytest.raises(NotFound):
                disconnect(edge.gateway.sessions, other, client.session.connection_id)


class TestDisconnect:
    async def test_client_may_come_back(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            disconnect(edge.gateway.sessions, await caller(edge), client.session.connection_id)

            assert client.wire.closed == (4011, "disconnected by an operator")
