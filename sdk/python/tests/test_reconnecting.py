"""When the stream comes back, how soon, and what it says about it."""

import asyncio
from typing import Any

import pytest
from sdk.python.tests.script import Peer, Script, Timer, changes_until, refusal, sequences, streaming

from agio_sdk import Pace, StateChange, Stream, StreamClosed, StreamState


def ends_with(code: int, reason: str = "") -> Script:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        await peer.grant()
        await peer.close(code, reason)

    return script


async def stays(peer: Peer) -> None:
    await peer.welcome()
    await peer.grant()
    await peer.push(1)
    await peer.silence()


class TestDelay:
    async def test_never_sooner_than_an_overloaded_server_asks(self) -> None:
        timer = Timer()
        async with streaming(ends_with(1013, '{"retry_after_ms":7500}'), stays, pace=timer.pace()) as stream:
            await sequences(await stream.subscribe("trades:X"), 1)
        assert any(7.5 <= seconds < 8.5 for seconds in timer.slept)

    async def test_never_sooner_than_a_refused_handshake_says(self) -> None:
        timer = Timer()
        refused = refusal(503, **{"Retry-After": "9"})
        async with streaming(refused, stays, pace=timer.pace()) as stream:
            await sequences(await stream.subscribe("trades:X"), 1)
        assert timer.slept[0] == 9

    async def test_it_doubles_until_thirty_healthy_seconds(self) -> None:
        class Highest:
            """A generator that always draws the ceiling."""

            def uniform(self, low: float, high: float) -> float:
                return high

        timer = Timer()

        async def healthy(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            timer.now += 30.0
            await peer.push(1)
            await peer.close()

        is_last = asyncio.Event()

        async def last(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant(seq=1)
            is_last.set()
            await peer.silence()

        rng: Any = Highest()
        scripts = [*[ends_with(1012)] * 3, healthy, ends_with(1012), last]
        async with streaming(*scripts, pace=timer.pace(rng=rng)) as stream:
            telling = asyncio.create_task(
                changes_until(stream, lambda change: change.state is StreamState.CLOSED)
            )
            await sequences(await stream.subscribe("trades:X"), 1)
            await asyncio.wait_for(is_last.wait(), 10)
            await stream.aclose()
            told = await telling
        delays = [change.retry_in_seconds for change in told if change.retry_in_seconds is not None]
        assert delays == [0.5, 1.0, 2.0, 0.5, 1.0]

    async def test_a_mute_connection_is_not_healthy(self) -> None:
        timer = Timer()

        async def mute(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.silence()

        attempts: list[int] = []

        async def let_time_pass(stream: Stream) -> None:
            async for change in stream.changes():
                attempts.append(change.attempt)
                if change.state is StreamState.LIVE and max(attempts) < 2:
                    timer.now += 100

        async with streaming(mute, mute, stays, pace=timer.pace()) as stream:
            passing = asyncio.create_task(let_time_pass(stream))
            await sequences(await stream.subscribe("trades:X"), 1)
            passing.cancel()
        assert max(attempts) == 2


class TestVerdict:
    @pytest.mark.parametrize(
        ("code", "reason"),
        [
            (1012, "the server restarts"),
            (1013, "the server is overloaded"),
            (4008, "this client was too slow"),
            (4011, "disconnected by an operator"),
            (4401, "the credential expired"),
            (4499, ""),
        ],
    )
    async def test_it_comes_back_and_says_why(self, code: int, reason: str) -> None:
        async with streaming(ends_with(code), stays) as stream:
            changes = asyncio.create_task(changes_until(stream, lambda change: change.code is not None))
            await sequences(await stream.subscribe("trades:X"), 1)
            last = (await changes)[-1]
        assert (last.state, last.code, last.reason) == (StreamState.CONNECTING, code, reason)

    @pytest.mark.parametrize(
        "nonsense",
        [
            "{]",
            '{"n":"one"}',
            '{"op":"hb","top":{"x":1}}',
            '{"op":"snap","n":2,"q":1,"d":{"bids":[["x","1"]]}}',
        ],
    )
    async def test_nonsense_ends_the_connection_and_not_the_stream(self, nonsense: str) -> None:
        async def babbles(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.grant(number=2)
            await peer.socket.send_str(nonsense)
            await peer.silence()

        async def sane(peer: Peer) -> None:
            await peer.welcome()
            message = await peer.hear("sub")
            granted = [{"ch": each["ch"], "n": n, "epoch": "e"} for n, each in enumerate(message["ch"])]
            await peer.send({"id": message["id"], "subs": granted, "errs": []})
            await peer.push(1, number=0)
            await peer.silence()

        async with streaming(babbles, sane) as stream:
            subscription = await stream.subscribe("trades:X")
            await stream.subscribe("book:X")
            assert await sequences(subscription, 1) == [1]


class TestBreaker:
    @pytest.mark.parametrize("status", [401, 403, 404])
    async def test_three_refusals_in_a_row_are_enough(self, status: int) -> None:
        async with streaming(*[refusal(status)] * 3) as stream:
            with pytest.raises(StreamClosed) as closed:
                await stream.subscribe("trades:X")
            assert closed.value.code == status

    async def test_refused_after_the_handshake_counts_too(self) -> None:
        async with streaming(*[ends_with(4401)] * 3) as stream:
            subscription = await stream.subscribe("trades:X")
            with pytest.raises(StreamClosed) as closed:
                await anext(subscription)
            assert closed.value.code == 4401

    async def test_being_busy_is_no_refusal(self) -> None:
        async with streaming(*[refusal(503)] * 5, stays) as stream:
            assert await sequences(await stream.subscribe("trades:X"), 1) == [1]


class TestSilence:
    async def test_a_server_that_only_answers_pings_is_left(self) -> None:
        is_left = asyncio.Event()

        async def mute(peer: Peer) -> None:
            await peer.welcome(hb_ms=30)
            await peer.grant()
            while not is_left.is_set():
                try:
                    await peer.socket.ping()
                except ConnectionError:
                    return
                await asyncio.sleep(0.005)

        quick = Pace(first_delay=0.001, longest_delay=0.002, margin=0.02, close=0.01)
        states: list[StreamState] = []
        async with streaming(mute, stays_long, pace=quick) as stream:
            stream.on_state = states.append
            await sequences(await stream.subscribe("trades:X"), 1)
            is_left.set()
        begin = states.index(StreamState.STALE)
        assert states[begin : begin + 4] == [
            StreamState.STALE,
            StreamState.CONNECTING,
            StreamState.RESUMING,
            StreamState.LIVE,
        ]

    async def test_the_top_of_a_heartbeat_shows_what_was_lost_in_silence(self) -> None:
        async def lossy(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.push(1)
            await peer.send({"op": "hb", "count": 3, "top": {"1": 3}, "sources": {"SIM": "live"}})
            await peer.hear("unsub")
            entry = await peer.grant(seq=3)
            assert entry["from"] == {"epoch": "e", "seq": 1}
            await peer.push(2, 3)
            await peer.silence()

        async with streaming(lossy) as stream:
            assert await sequences(await stream.subscribe("trades:X"), 3) == [1, 2, 3]
            assert stream.sources == {"SIM": "live"}


async def stays_long(peer: Peer) -> None:
    await peer.welcome(hb_ms=60_000)
    await peer.grant()
    await peer.push(1)
    await peer.silence()


class TestStates:
    async def test_each_change_is_told_once_and_the_end_ends_the_telling(self) -> None:
        states: list[StreamState] = []
        async with streaming(ends_with(1012), stays) as stream:
            stream.on_state = states.append
            told: list[StateChange] = []

            async def listen() -> None:
                told.extend([change async for change in stream.changes()])

            listener = asyncio.create_task(listen())
            await sequences(await stream.subscribe("trades:X"), 1)
            await stream.aclose()
            await listener
        expected = ["resuming", "live", "connecting", "resuming", "live", "closed"]
        assert [state.value for state in states] == expected
        assert [change.state.value for change in told] == ["connecting", *expected]

    async def test_a_callback_that_fails_does_not_end_the_stream(self) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("not ours")

        async def drops(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            await peer.close()

        async def begins_anew(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant(epoch="f", seq=4, recovered=False, reason="epoch")
            await peer.push(5)
            await peer.silence()

        async with streaming(drops, begins_anew) as stream:
            stream.on_state = fail
            assert await sequences(await stream.subscribe("trades:X", on_gap=fail), 1) == [5]


class TestCredential:
    async def test_a_fresh_one_for_each_connection_and_whenever_the_server_asks(self) -> None:
        tokens = iter(["one", "two", "three"])

        async def token() -> str:
            return next(tokens)

        async def first(peer: Peer) -> None:
            assert peer.request.headers["Authorization"] == "Bearer one"
            assert "one" not in str(peer.request.url)
            await peer.welcome()
            await peer.grant()
            await peer.send({"op": "reauth", "expires_at": "2026-01-01T00:00:00Z"})
            assert (await peer.hear("auth"))["token"] == "two"
            await peer.close()

        async def second(peer: Peer) -> None:
            assert peer.request.headers["Authorization"] == "Bearer three"
            await stays(peer)

        async with streaming(first, second, api_key=None, token=token) as stream:
            assert await sequences(await stream.subscribe("trades:X"), 1) == [1]

    async def test_none_to_be_had_is_a_refusal(self) -> None:
        async def token() -> str:
            raise RuntimeError("the vault is closed")

        async with streaming(api_key=None, token=token) as stream:
            with pytest.raises(StreamClosed):
                await stream.subscribe("trades:X")


class TestManyChannels:
    async def test_they_are_asked_for_in_messages_of_bounded_size(self) -> None:
        count = 450

        async def only(peer: Peer) -> None:
            await peer.welcome()
            sizes: list[int] = []
            while sum(sizes) < count:
                message = await peer.hear("sub")
                sizes.append(len(message["ch"]))
                granted = [{"ch": entry["ch"], "n": 1, "epoch": "e"} for entry in message["ch"]]
                await peer.send({"id": message["id"], "subs": granted, "errs": []})
            assert sizes == [200, 200, 50]
            await peer.silence()

        async with streaming(only) as stream:
            await asyncio.gather(*(stream.subscribe(f"trades:X{number}") for number in range(count)))
            assert stream.state is StreamState.LIVE
