"""Sentences of the protocol's design that no other test of this folder is about, one test each."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.unit.streaming.fakes import principal
from tests.unit.streaming.harness import PATIENCE_SECONDS, QUICK, running_edge

from agio.identity.api import Forbidden, KeyRevoked, Unauthorized
from agio.kernel.problem import Problem, Unavailable
from agio.platform.channels import UnknownChannel
from agio.streaming.errors import CloseCode, Overloaded, RateLimited
from agio.streaming.server_messages import Fault, Heartbeat, Limits, Skipped
from agio.streaming.session import verdict
from agio.streaming.settings import StreamingSettings


class TestHeartbeat:
    def test_after_15_seconds_of_silence_and_at_least_every_25(self) -> None:
        assert (QUICK.heartbeat_silence_seconds, QUICK.heartbeat_seconds) == (15, 25)

    async def test_comes_also_to_a_busy_connection(self) -> None:
        settings = msgspec.structs.replace(QUICK, heartbeat_seconds=0.3, heartbeat_silence_seconds=3_600)
        async with running_edge(settings) as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["trades:ES"])
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not any(message.get("op") == "hb" for message in client.wire.messages()):
                    await edge.trade(1)
                    await asyncio.sleep(0.005)

    async def test_server_time_count_top_of_each_log_and_state_of_each_source(self) -> None:
        """The top is what was handed to this connection before the heartbeat: more is silent loss."""
        settings = msgspec.structs.replace(QUICK, heartbeat_silence_seconds=0.1)
        async with running_edge(settings) as edge:
            client = await edge.connect()
            answer = await client.ask(op="sub", ch=["trades:ES", "orders:acc_1", "balances:acc_1"])
            numbers = {entry["ch"]: str(entry["n"]) for entry in answer["subs"]}  # type: ignore[attr-defined]
            await edge.trade(5)
            told = await client.wait_for(lambda message: message.get("count") == 5)

        heartbeat = msgspec.convert(told, Heartbeat)
        assert heartbeat.top == {numbers["trades:ES"]: 5, numbers["orders:acc_1"]: 0}
        assert heartbeat.sources == {"SIM": "live"}
        sent_at = datetime.fromisoformat(heartbeat.server_time)
        assert abs(datetime.now(UTC) - sent_at) < timedelta(minutes=1)


class TestMessages:
    async def test_welcome_tells_every_limit(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            welcome = await client.wait_for(lambda message: message.get("op") == "welcome")

        assert (welcome["hb_ms"], welcome["resume_window_s"]) == (15_000, 600)
        assert set(welcome["limits"]) == set(Limits.__struct_fields__)  # type: ignore[call-overload]

    def test_every_error_says_whether_to_retry(self) -> None:
        assert "retry" in Fault.__struct_fields__
        assert Fault.__struct_defaults__ == (msgspec.UNSET,), "only retry_after_ms may be left out"

    async def test_skipped_is_for_conflatable_classes_only(self) -> None:
        """A log's reader that falls behind reads on later; what it is sent has no hole and no notice."""
        async with running_edge() as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["trades:ES"])
            client.stall()
            await edge.trade(9_000)
            await asyncio.sleep(0.05)
            client.resume()
            await client.wait_until(lambda: client.sequences()[-1:] == [9_000])

            assert client.sequences() == list(range(1, 9_001))
            assert Skipped not in client.wire.kinds


class TestEnd:
    async def test_reauth_comes_60_seconds_before_expiry(self) -> None:
        async with running_edge() as edge:
            for name, seconds in (("near", 59), ("far", 3_600)):
                edge.authenticator.principals[name] = principal(
                    f"key_{name}", expires_at=datetime.now(UTC) + timedelta(seconds=seconds)
                )
            near, far = await edge.connect("near"), await edge.connect("far")
            await near.wait_for(lambda message: message.get("op") == "reauth")

            assert not [message for message in far.wire.messages() if message.get("op") == "reauth"]

    def test_after_expiry_and_25_seconds(self) -> None:
        assert StreamingSettings().expiry_grace_seconds == 25

    @pytest.mark.parametrize(
        ("problem", "code"),
        [
            (Unauthorized("x"), 4501),
            (KeyRevoked("x"), 4501),
            (Forbidden("x"), 4503),
            (UnknownChannel("x"), 4504),
            (Overloaded("x"), 1013),
            (RateLimited("x"), 1013),
            (Unavailable("x"), 1013),
        ],
    )
    def test_close_code_is_the_verdict(self, problem: Problem, code: int) -> None:
        """From 4500 on the client stays away; overload names when it may return."""
        found, reason = verdict(problem)

        assert found == code
        assert len(reason.encode()) <= 123
        assert code != 1013 or msgspec.json.decode(reason)["retry_after_ms"] > 0

    def test_codes_of_ours_are_in_one_of_the_two_ranges(self) -> None:
        assert all(code < 1100 or 4000 <= code <= 4999 for code in CloseCode)

    async def test_drain_spreads_the_clients_over_half_of_its_time(self) -> None:
        async with running_edge() as edge:
            clients = [await edge.connect() for _ in range(4)]
            draining = asyncio.create_task(edge.gateway.drain(0.4))
            notices = [await each.wait_for(lambda message: message.get("op") == "drain") for each in clients]
            await draining

        assert sorted(notice["slot"] for notice in notices) == [0, 50, 100, 150]
        assert {notice["within_ms"] for notice in notices} == {400}
        assert {client.wire.closed[0] for client in clients if client.wire.closed} == {1012}
