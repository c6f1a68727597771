"""Who is connected, how far behind, and how to end it: on this gateway and on the others."""

import pytest
from tests.unit.streaming.harness import QUICK, Edge, running_edge

from agio.identity.api import Principal
from agio.kernel.problem import NotFound, Unavailable
from agio.streaming import peers


async def caller(edge: Edge, name: str = "good") -> Principal:
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
            page = await edge.gateway.peers.list_connections(await caller(edge), 10, None)

        first, second = sorted(page.items, key=lambda item: item.door, reverse=True)
        assert (first.door, first.encoding, first.key_id) == ("stream", "agio.v1.json", "key_good")
        assert [channel.channel for channel in first.channels] == ["trades:ES", "balances:acc_1"]
        assert first.queued_bytes > 0
        assert first.dropped > 0
        assert (second.door, second.channels[0].lag) == ("sse", 0)

    async def test_pages_follow_each_other_over_all_gateways(self) -> None:
        async with running_edge() as edge, running_edge(QUICK, edge.feed) as other:
            opened = {(await place.connect()).session.connection_id for place in (edge, other) * 3}
            who, found, cursor = await caller(edge), [], None
            while True:
                page = await edge.gateway.peers.list_connections(who, 2, cursor)
                found += [item.connection_id for item in page.items]
                cursor = page.next_cursor
                if cursor is None:
                    break

        assert found == sorted(opened)

    async def test_a_gateway_with_more_than_a_message_holds_answers_whole(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(peers, "_ANSWER_BYTES", 1_000)
        async with running_edge() as edge, running_edge(QUICK, edge.feed) as other:
            for _ in range(9):
                await other.connect()
            page = await edge.gateway.peers.list_connections(await caller(edge), 100, None)

        assert len(page.items) == 9

    async def test_one_that_does_not_answer_is_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(peers, "ANSWER_SECONDS", 0.01)
        async with running_edge() as edge, running_edge(QUICK, edge.feed) as other:
            await edge.connect()
            edge.feed.handlers["stream.peers.ask"].remove(other.gateway.peers._answer)
            page = await edge.gateway.peers.list_connections(await caller(edge), 100, None)
            edge.feed.handlers["stream.peers.ask"].append(other.gateway.peers._answer)

        assert len(page.items) == 1

    async def test_others_are_not_shown(self) -> None:
        async with running_edge() as edge, running_edge(QUICK, edge.feed) as far:
            client, distant = await edge.connect(), await far.connect()
            other = await caller(edge, "other")

            assert (await edge.gateway.peers.list_connections(other, 10, None)).items == []
            for connection in (client, distant):
                with pytest.raises(NotFound):
                    await edge.gateway.peers.disconnect(other, connection.session.connection_id)
            assert distant.wire.closed is None


class TestDisconnect:
    async def test_client_may_come_back(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            await edge.gateway.peers.disconnect(await caller(edge), client.session.connection_id)

            assert client.wire.closed == (4011, "disconnected by an operator")

    async def test_while_a_gateway_is_silent_nobody_knows_that_there_is_none(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(peers, "ANSWER_SECONDS", 0.01)
        async with running_edge() as edge, running_edge(QUICK, edge.feed) as other:
            client = await other.connect()
            edge.feed.handlers["stream.peers.ask"].remove(other.gateway.peers._answer)
            with pytest.raises(Unavailable):
                await edge.gateway.peers.disconnect(await caller(edge), client.session.connection_id)
            edge.feed.handlers["stream.peers.ask"].append(other.gateway.peers._answer)

        assert client.wire.closed != (4011, "disconnected by an operator")

    async def test_the_gateway_that_has_it_ends_it(self) -> None:
        async with running_edge() as edge, running_edge(QUICK, edge.feed) as other:
            client = await other.connect()
            await edge.gateway.peers.disconnect(await caller(edge), client.session.connection_id)

            assert client.wire.closed == (4011, "disconnected by an operator")
