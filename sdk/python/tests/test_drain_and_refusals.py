"""Drains, refusals, lost requests: what a server asks of its clients, scripted."""

import asyncio
import ssl
from typing import Any

import aiohttp
import pytest
from sdk.python.tests.script import QUICK, Peer, refusal, sequences, streaming

from agio_sdk import Agio, ChannelRefused, StreamClosed


class TestDrain:
    async def test_another_node_takes_over_without_loss_or_repetition(self) -> None:
        is_asked, has_moved = asyncio.Event(), asyncio.Event()

        async def old(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(1, 2, 3)
            await peer.send({"op": "drain", "within_ms": 3000, "slot": 0})
            await is_asked.wait()
            # The other node was asked from 3 on: these come twice, and are handed over once.
            await peer.push(4, 5)
            has_moved.set()
            await peer.silence()

        async def new(peer: Peer) -> None:
            await peer.welcome()
            message = await peer.hear("sub")
            (entry,) = message["ch"]
            assert entry["from"]["seq"] >= 3
            is_asked.set()
            await has_moved.wait()
            granted = {"ch": "trades:X", "n": 9, "epoch": "e", "seq": 8, "recovered": True}
            await peer.send({"id": message["id"], "subs": [granted], "errs": []})
            await peer.push(*range(entry["from"]["seq"] + 1, 9), number=9)
            await peer.silence()

        gaps: list[object] = []
        async with streaming(old, new) as stream:
            subscription = await stream.subscribe("trades:X", on_gap=lambda *gap: gaps.append(gap))
            assert await sequences(subscription, 8) == list(range(1, 9))
        assert gaps == []

    async def test_a_quiet_connection_moves_without_waiting_for_a_message(self) -> None:
        async def old(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.send({"op": "drain", "within_ms": 3000, "slot": 0})
            await peer.silence()

        async def new(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(1)
            await peer.silence()

        async with streaming(old, new) as stream:
            assert await sequences(await stream.subscribe("trades:X"), 1) == [1]

    async def test_the_only_node_is_listened_to_until_it_goes(self) -> None:
        async def old(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.send({"op": "drain", "within_ms": 3000, "slot": 0})
            # Time to be asked in vain; the test holds without it too.
            await asyncio.sleep(0.05)
            await peer.push(1, 2)
            await peer.close()

        async def new(peer: Peer) -> None:
            await peer.welcome()
            entry = await peer.grant()
            assert entry["from"] == {"epoch": "e", "seq": 2}
            await peer.push(3)
            await peer.silence()

        async with streaming(old, new, is_alone=True) as stream:
            subscription = await stream.subscribe("trades:X")
            assert await sequences(subscription, 3) == [1, 2, 3]

    async def test_what_is_subscribed_meanwhile_moves_too(self) -> None:
        is_connected, is_subscribed = asyncio.Event(), asyncio.Event()

        async def old(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.send({"op": "drain", "within_ms": 3000, "slot": 0})
            await is_connected.wait()
            await peer.grant(number=2)
            is_subscribed.set()
            await peer.silence()

        async def new(peer: Peer) -> None:
            await peer.welcome()
            message = await peer.hear("sub")
            is_connected.set()
            await is_subscribed.wait()
            granted = {"ch": "trades:X", "n": 1, "epoch": "e", "seq": 0}
            await peer.send({"id": message["id"], "subs": [granted], "errs": []})
            await peer.grant(number=2)
            await peer.push(1, number=2)
            await peer.silence()

        async with streaming(old, new) as stream:
            await stream.subscribe("trades:X")
            await is_connected.wait()
            second = await stream.subscribe("trades:Y")
            assert await sequences(second, 1) == [1]

    async def test_a_node_that_is_not_ready_is_asked_again(self) -> None:
        async def old(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.send({"op": "drain", "within_ms": 3000, "slot": 0})
            await peer.silence()

        async def new(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(1)
            await peer.silence()

        async with streaming(old, refusal(503), refusal(401), new) as stream:
            assert await sequences(await stream.subscribe("trades:X"), 1) == [1]


class TestRefusals:
    async def test_what_worked_before_and_is_away_is_asked_for_again(self) -> None:
        async def first(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(1)
            await peer.close()

        async def second(peer: Peer) -> None:
            await peer.welcome()
            await peer.refuse("channel_unavailable", retry=True)
            entry = await peer.grant()
            assert entry["from"]["seq"] == 1
            await peer.push(2)
            await peer.silence()

        async with streaming(first, second) as stream:
            subscription = await stream.subscribe("trades:X")
            assert await sequences(subscription, 2) == [1, 2]

    async def test_a_channel_that_the_server_ended_for_a_moment_is_asked_for_again(self) -> None:
        async def only(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(1)
            await peer.send({"op": "unsub", "n": 1, "ch": "trades:X", "code": "history_lost", "retry": True})
            entry = await peer.grant(number=2)
            assert entry["from"]["seq"] == 1
            await peer.push(2, number=2)
            await peer.silence()

        async with streaming(only) as stream:
            assert await sequences(await stream.subscribe("trades:X"), 2) == [1, 2]

    async def test_what_never_worked_is_refused(self) -> None:
        async def only(peer: Peer) -> None:
            await peer.welcome()
            await peer.refuse("channel_unavailable", retry=True)
            await peer.silence()

        async with streaming(only) as stream:
            with pytest.raises(ChannelRefused):
                await stream.subscribe("trades:X")

    async def test_a_message_that_was_left_out_is_repeated(self) -> None:
        async def only(peer: Peer) -> None:
            await peer.welcome()
            await peer.hear("sub")
            await peer.send({"op": "error", "code": "rate_limited", "retry": True})
            await peer.grant()
            await peer.push(1)
            await peer.silence()

        async with streaming(only) as stream:
            subscription = await stream.subscribe("trades:X")
            assert await sequences(subscription, 1) == [1]

    async def test_a_message_that_is_refused_as_a_whole_is_an_error(self) -> None:
        async def only(peer: Peer) -> None:
            await peer.welcome()
            message = await peer.hear("sub")
            await peer.send({"op": "error", "id": message["id"], "code": "too_many_subscriptions"})
            await peer.silence()

        async with streaming(only) as stream:
            with pytest.raises(ChannelRefused) as refused:
                await stream.subscribe("trades:X")
            assert refused.value.code == "too_many_subscriptions"

    @pytest.mark.parametrize("code", [4500, 4502, 4999])
    async def test_some_ends_are_for_good(self, code: int) -> None:
        async def only(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(1)
            await peer.close(code, "go away")

        async with streaming(only) as stream:
            subscription = await stream.subscribe("trades:X")
            assert await sequences(subscription, 1) == [1]
            with pytest.raises(StreamClosed) as closed:
                await anext(subscription)
            assert (closed.value.code, closed.value.reason) == (code, "go away")
            with pytest.raises(StreamClosed):
                await stream.subscribe("trades:Y")


class TestCertificate:
    """One that is not trusted does not become right by being tried again."""

    @pytest.fixture(autouse=True)
    def untrusted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def refuse(*_: object, **__: object) -> Any:
            fault = ssl.SSLCertVerificationError(1, "self-signed certificate in certificate chain")
            raise aiohttp.ClientConnectorCertificateError(None, fault)  # type: ignore[arg-type]

        monkeypatch.setattr(aiohttp.ClientSession, "ws_connect", refuse)
        monkeypatch.setattr(aiohttp.ClientSession, "get", refuse)

    async def test_a_stream_ends_with_its_fault(self) -> None:
        async with streaming() as stream:
            with pytest.raises(StreamClosed, match=r"not trusted .*self-signed.*3 times in a row"):
                await stream.subscribe("trades:X")

    async def test_server_sent_events_end_with_its_fault(self) -> None:
        async with Agio("http://localhost:1", "key", pace=QUICK) as agio, agio.events("trades:X") as events:
            with pytest.raises(StreamClosed, match=r"not trusted .*self-signed"):
                await anext(aiter(events))
