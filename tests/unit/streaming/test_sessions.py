"""The state machine of a session: identity, rates, operations, heartbeat, end."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.unit.streaming.fakes import principal
from tests.unit.streaming.harness import QUICK, running_edge

from agio.platform.clock import VirtualClock
from agio.streaming.errors import Draining, Overloaded


class TestAuthenticate:
    async def test_nothing_is_served_before(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect(None)
            refused = await client.ask(op="sub", ch=["trades:ES"])
            pong = await client.ask(op="ping")

            assert (refused["code"], refused["retry"]) == ("unauthenticated", False)
            assert pong["op"] == "pong"
            assert client.wire.limit == QUICK.max_message_bytes_before_authentication

    async def test_limit_grows_with_identity(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect(None)
            welcome = await client.ask(op="auth", token="good")

            assert welcome["op"] == "welcome"
            assert client.wire.limit == QUICK.max_message_bytes

    async def test_silence_is_closed(self) -> None:
        async with running_edge(msgspec.structs.replace(QUICK, authentication_seconds=0.1)) as edge:
            client = await edge.connect(None)
            await client.wait_until(lambda: client.wire.closed is not None)

            assert client.wire.closed[0] == 4408

    async def test_renewal_with_fewer_rights_ends_subscriptions(self) -> None:
        async with running_edge() as edge:
            edge.authenticator.principals["market"] = principal(
                "key_market",
                scopes=frozenset({"market:read"}),
                expires_at=datetime.now(UTC) + timedelta(days=1),
            )
            client = await edge.connect()
            await client.ask(op="sub", ch=["trades:ES", "balances:acc_1"])
            await client.ask(op="auth", token="market")
            notice = await client.wait_for(lambda message: message.get("op") == "unsub")

            told = (notice["ch"], notice["code"], notice["retry"])
            assert told == ("balances:acc_1", "insufficient_scope", False)
            assert list(client.session.subscriptions) == ["trades:ES"]

    async def test_expiry_is_enforced_after_its_grace(self) -> None:
        clock = VirtualClock(datetime(2026, 11, 21, tzinfo=UTC))
        async with running_edge(clock=clock) as edge:
            edge.authenticator.principals["short"] = principal(
                "key_short", expires_at=clock.now() + timedelta(seconds=30)
            )
            client = await edge.connect("short")
            await client.wait_for(lambda message: message.get("op") == "reauth")
            clock.advance(timedelta(seconds=30 + QUICK.expiry_grace_seconds))
            client.session.sweep()
            assert client.wire.closed is None
            clock.advance(timedelta(seconds=1))
            await client.wait_until(lambda: client.wire.closed is not None)

            assert client.wire.closed[0] == 4401

    async def test_renewed_key_is_the_one_that_revocation_ends(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            await client.ask(op="auth", token="twin")
            edge.revocations.ended[0]("key_good")
            assert client.wire.closed is None
            edge.revocations.ended[0]("key_twin")

            assert client.wire.closed[0] == 4502


class TestLimits:
    async def test_too_many_messages_are_refused_then_closed(self) -> None:
        async with running_edge(msgspec.structs.replace(QUICK, messages_per_second=0.001)) as edge:
            client = await edge.connect()
            for _ in range(60):
                client.say(op="ping")
            refused = await client.wait_for(lambda message: message.get("code") == "rate_limited")
            assert refused["retry"]
            assert refused["retry_after_ms"] > 0
            for _ in range(100):
                client.say(op="ping")

            assert client.wire.closed[0] == 4429

    async def test_garbage_is_answered_then_closed(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            for _ in range(10):
                client.session.received(b"{garbage", is_text=True)
            errors = [message for message in client.wire.messages() if message.get("op") == "error"]

            assert errors[0]["code"] == "invalid_operation"
            assert client.wire.closed[0] == 4500

    async def test_binary_on_a_text_connection_is_closed(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            client.session.received(b"\x80", is_text=False)

            assert client.wire.closed[0] == 1003

    async def test_subscriptions_have_a_limit(self) -> None:
        async with running_edge(msgspec.structs.replace(QUICK, max_subscriptions=3)) as edge:
            client = await edge.connect()
            too_long = await client.ask(op="sub", ch=[f"balances:acc_{i}" for i in range(4)])
            answer = await client.ask(op="sub", ch=[f"balances:acc_{i}" for i in range(3)])
            more = await client.ask(op="sub", ch=["trades:ES"])

            assert too_long["code"] == "too_many_subscriptions"
            assert len(answer["subs"]) == 3
            assert more["errs"][0]["code"] == "too_many_subscriptions"

    async def test_a_storm_of_subscriptions_is_slowed_down(self) -> None:
        async with running_edge(
            msgspec.structs.replace(QUICK, open_burst=10, opens_per_second=0.001)
        ) as edge:
            client = await edge.connect()
            answer = await client.ask(op="sub", ch=[f"balances:acc_{i}" for i in range(30)])

            assert len(answer["subs"]) == 10
            assert {error["code"] for error in answer["errs"]} == {"rate_limited"}
            assert all(error["retry_after_ms"] > 0 for error in answer["errs"])

    async def test_a_channel_once_per_connection(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            answer = await client.ask(op="sub", ch=["trades:ES", "trades:ES"])

            assert [error["code"] for error in answer["errs"]] == ["already_subscribed"]

    async def test_log_has_no_tiers(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            answer = await client.ask(
                op="sub", ch=[{"ch": "trades:ES", "tier": "1s"}, {"ch": "balances:a", "tier": "7s"}]
            )

            assert [error["code"] for error in answer["errs"]] == ["tier_not_available"] * 2

    async def test_connections_of_a_key_have_a_limit(self) -> None:
        async with running_edge(msgspec.structs.replace(QUICK, max_connections_per_key=2)) as edge:
            first = await edge.connect()
            await edge.connect()
            with pytest.raises(Overloaded):
                await edge.connect()
            first.session.lost()
            await edge.connect()

    async def test_strangers_have_a_limit(self) -> None:
        async with running_edge(msgspec.structs.replace(QUICK, max_unauthenticated_per_address=1)) as edge:
            stranger = await edge.connect(None)
            with pytest.raises(Overloaded):
                await edge.connect(None)
            await stranger.ask(op="auth", token="good")
            await edge.connect(None)

    async def test_a_draining_node_takes_nobody(self) -> None:
        async with running_edge() as edge:
            await edge.gateway.drain(0.01)
            with pytest.raises(Draining):
                await edge.connect()


class TestHeartbeat:
    async def test_tells_count_and_positions(self) -> None:
        beating = msgspec.structs.replace(QUICK, heartbeat_silence_seconds=0.05, heartbeat_seconds=0.1)
        async with running_edge(beating) as edge:
            client = await edge.connect()
            answer = await client.ask(op="sub", ch=["trades:ES", "balances:acc_1"])
            await edge.trade(7)
            beat = await client.wait_for(lambda message: message.get("op") == "hb" and message["count"] == 7)

            n = next(entry["n"] for entry in answer["subs"] if entry["ch"] == "trades:ES")
            assert beat["top"] == {str(n): 7}
            assert beat["sources"] == {"SIM": "live"}
            assert any(opcode == 9 for opcode, _ in client.wire.frames())

    async def test_no_answer_to_pings_is_closed(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            client.wire.unheard = 100.0
            await client.wait_until(lambda: client.wire.closed is not None)

            assert client.wire.closed[0] == 4010


class TestSources:
    async def test_an_outage_while_subscribing_can_be_retried(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            edge.trades.failures = 1
            answer = await client.ask(op="sub", ch=["trades:ES", "balances:acc_1"])
            again = await client.ask(op="sub", ch=["trades:ES"])

            assert [(error["code"], error["retry"]) for error in answer["errs"]] == [
                ("channel_unavailable", True)
            ]
            assert len(answer["subs"]) == 1
            assert len(again["subs"]) == 1

    async def test_one_bus_subscription_for_all_and_none_afterwards(self) -> None:
        async with running_edge(msgspec.structs.replace(QUICK, linger_seconds=0.05)) as edge:
            clients = [await edge.connect() for _ in range(3)]
            for client in clients:
                await client.ask(op="sub", ch=["trades:ES"])
            assert len(edge.feed.handlers["test.trades.ES"]) == 1
            for client in clients:
                client.session.lost()

            await client.wait_until(lambda: edge.feed.handlers["test.trades.ES"] == [])
            await client.wait_until(lambda: edge.metric("agio_stream_channels") == 0)
            assert edge.metric("agio_stream_subscriptions") == 0

    async def test_after_the_bus_was_away_state_is_fetched_again(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            edge.balances.put("USD", 1, {"total": "1"})
            await client.ask(op="sub", ch=["balances:acc_1"])
            edge.balances.put("USD", 2, {"total": "2"})
            await edge.feed.reconnected[0]()
            push = await client.wait_for(lambda message: message.get("q") == 2)

            assert push["d"] == {"total": "2"}
