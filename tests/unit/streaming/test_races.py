"""What changes while a connection waits: a key ends, an epoch changes, the client leaves."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from tests.unit.streaming.fakes import MemoryLogHandle, MemoryState, principal
from tests.unit.streaming.harness import QUICK, Edge, running_edge

from agio.identity.api import KeyRevoked
from agio.kernel.ids import KeyId
from agio.platform.channels import ChannelHandle, Subscriber


class TestKeyThatEndsWhileItIsLetIn:
    @pytest.mark.parametrize("symbol", [None, "ES"])
    async def test_is_refused(self, symbol: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
        async with running_edge() as edge:
            authenticate = edge.authenticator.authenticate

            async def answer_too_late(token: str, client_ip: str) -> object:
                found = await authenticate(token, client_ip)
                revoke(edge, "key_good")
                return found

            monkeypatch.setattr(edge.authenticator, "authenticate", answer_too_late)
            with pytest.raises(KeyRevoked):
                await edge.connect(symbol=symbol)

            assert not edge.gateway.sessions

    async def test_cannot_renew_another(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            revoke(edge, "key_twin")
            answer = await client.ask(op="auth", token="twin")

            assert (answer["code"], answer["retry"]) == ("key_revoked", False)
            assert client.session.principal is not None
            assert client.session.principal.key_id == "key_good"

    async def test_stream_of_events(self) -> None:
        async with running_edge() as edge:
            revoke(edge, "key_good")
            with pytest.raises(KeyRevoked):
                await edge.read("trades:ES")

            assert not edge.gateway.sessions


class TestRenewalDuringAnOutage:
    async def test_a_right_that_cannot_be_checked_is_not_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with running_edge() as edge:
            edge.authenticator.principals["market"] = principal(
                "key_market",
                scopes=frozenset({"market:read", "accounts:read"}),
                expires_at=datetime.now(UTC) + timedelta(days=1),
            )
            client = await edge.connect()
            await client.ask(op="sub", ch=["balances:acc_1", "trades:ES", "orders:acc_1"])

            async def fail(self: MemoryState, subscriber: Subscriber, key: str) -> ChannelHandle:
                raise ConnectionResetError("the database is away")

            monkeypatch.setattr(MemoryState, "open", fail)
            renewed = await client.ask(op="auth", token="market")
            ended = {
                message["ch"]: message for message in client.wire.messages() if message.get("op") == "unsub"
            }

            assert renewed["op"] == "auth"
            assert ended["balances:acc_1"]["retry"] is True
            assert ended["orders:acc_1"]["code"] == "insufficient_scope"
            assert list(client.session.subscriptions) == ["trades:ES"]


class TestEpochThatChangesWhileOthersAreOpened:
    async def test_the_channel_is_refused_and_not_silent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """One channel is ready, another one still waits for its history."""
        async with running_edge() as edge:
            is_ready, may_go_on = asyncio.Event(), asyncio.Event()

            async def wait_for_it(self: MemoryState, subscriber: Subscriber, key: str) -> ChannelHandle:
                is_ready.set()
                await may_go_on.wait()
                return await opened(self, subscriber, key)

            opened = MemoryState.open
            monkeypatch.setattr(MemoryState, "open", wait_for_it)
            client, witness = await edge.connect(), await edge.connect("twin")
            await witness.ask(op="sub", ch=["trades:ES"])
            client.say(id=1, op="sub", ch=["trades:ES", "balances:acc_1"])
            await is_ready.wait()
            await client.wait_until(lambda: client.session.subscriptions["trades:ES"] is not None)
            edge.trades.epoch = "e2"
            await witness.wait_for(lambda message: message.get("op") == "unsub")
            may_go_on.set()
            answer = await client.wait_for(lambda message: message.get("id") == 1)

            (refusal,) = answer["errs"]  # type: ignore[misc]
            assert (refusal["ch"], refusal["retry"]) == ("trades:ES", True)  # type: ignore[call-overload]
            again = await client.ask(op="sub", ch=["trades:ES"])
            assert again["subs"][0]["epoch"] == "e2"  # type: ignore[index]


class TestClientThatLeavesWhileAChannelIsOpened:
    async def test_the_channel_is_closed_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with running_edge(msgspec.structs.replace(QUICK, linger_seconds=0.05)) as edge:
            is_asked, may_go_on = asyncio.Event(), asyncio.Event()
            position = MemoryLogHandle.position

            async def wait_for_it(self: MemoryLogHandle) -> tuple[str, int]:
                is_asked.set()
                await may_go_on.wait()
                return await position(self)

            monkeypatch.setattr(MemoryLogHandle, "position", wait_for_it)
            client = await edge.connect()
            client.say(op="sub", ch=["trades:ES"])
            await is_asked.wait()
            client.session.lost()
            may_go_on.set()
            await client.wait_until(lambda: not edge.feed.handlers["test.trades.ES"])


class TestResync:
    async def test_of_a_log_is_not_worth_repeating(self) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            await client.ask(op="sub", ch=["trades:ES"])
            answer = await client.ask(op="resync", ch=["trades:ES"])

            assert answer["errs"][0]["retry"] is False  # type: ignore[index]


def revoke(edge: Edge, key_id: str) -> None:
    for ended in edge.revocations.ended:
        ended(KeyId(key_id))
