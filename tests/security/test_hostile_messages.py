"""Hostile messages on the streams: nonsense, storms, floods of subscriptions, other people's channels."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import aiohttp
import msgspec
import pytest
from tests.integration.streaming.conftest import World, close_code, receive, receive_one, subscribe
from tests.security.hostile import SETTINGS, TEXT, read_answers, upgraded

BINARY, CLOSE = 2, 8
HUGE = 10**400


def json_bytes(message: object) -> bytes:
    return msgspec.json.encode(message)


NONSENSE: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"\x00\x01",
    "no object": b"[1,2,3]",
    "no operation": b"{}",
    "unknown operation": b'{"op":"drop","table":"users"}',
    "cut off": b'{"op":"sub","ch":["trades:ES"',
    "two documents": b'{"op":"ping"}{"op":"ping"}',
    "deep": b'{"op":"sub","ch":' + b"[" * 30_000,
    "deep and unknown": b'{"op":"ping","x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "huge number as id": b'{"op":"ping","id":%d}' % HUGE,
    "long word as id": b'{"op":"ping","id":"%b"}' % (b"x" * 60_000),
    "number out of range": b'{"op":"ping","id":1e999}',
    "not a number": b'{"op":"ping","id":NaN}',
    "half a pair of surrogates": b'{"op":"sub","ch":["trades:\\ud800"]}',
    "infinity": b'{"op":"ping","id":-Infinity}',
    "operation twice": b'{"op":"ping","op":"unsub","ch":[]}',
    "yes as id": b'{"op":"ping","id":true}',
    "channels that are no list": b'{"op":"sub","ch":"trades:ES"}',
    "channel that is no name": b'{"op":"sub","ch":[17]}',
    "channel without name": b'{"op":"sub","ch":[{"depth":10}]}',
    "depth below one": b'{"op":"sub","ch":[{"ch":"book:ES","depth":-5}]}',
    "huge depth": b'{"op":"sub","ch":[{"ch":"book:ES","depth":%d}]}' % HUGE,
    "position that is none": b'{"op":"sub","ch":[{"ch":"trades:ES","from":17}]}',
    "fraction as position": b'{"op":"sub","ch":[{"ch":"trades:ES","from":{"seq":1.5}}]}',
}
PACKED: dict[str, bytes] = {
    "empty": b"",
    "JSON": b'{"op":"ping"}',
    "deep": b"\x91" * 60_000,
    "array of four thousand millions": b"\xdd\xff\xff\xff\xff",
    "map of four thousand millions": b"\xdf\xff\xff\xff\xff",
    "four gigabytes": b"\xc6\xff\xff\xff\xff",
    "deep and unknown": b"\x82\xa2op\xa4ping\xa1x" + b"\x91" * 30_000 + b"\xc0",
    "keys that are no text": b"\x81\x01\x02",
    "keys that are bytes": b"\x81\xc4\x02op\xa4ping",
    "time as id": b"\x82\xa2op\xa4ping\xa2id\xd6\xff\0\0\0\1",
    "not a number": b"\x82\xa2op\xa4ping\xa2id\xcb\x7f\xf8\0\0\0\0\0\0",
    "surrogate": b"\x82\xa2op\xa4ping\xa2id\xa3\xed\xa0\x80",
    "two documents": b"\x81\xa2op\xa4ping\x81\xa2op\xa4ping",
    "extension": b"\xc7\x01\x7f\x00",
    "text that is not UTF-8": b"\x81\xa2op\xa2\xff\xfe",
    "huge number as id": b"\x82\xa2op\xa4ping\xa2id\xcf" + b"\xff" * 8,
}
CHANNELS: dict[str, dict[str, object]] = {
    "huge position": {"ch": "trades:ES", "from": {"seq": 2**70, "epoch": "e1"}},
    "epoch as long as a message": {"ch": "trades:ES", "from": {"seq": 1, "epoch": "e" * 50_000}},
    "negative position": {"ch": "trades:ES", "from": {"seq": -1}},
    "start below one": {"ch": "trades:ES", "start": -(2**70)},
    "start beyond the newest": {"ch": "trades:ES", "start": 2**70},
    "start at the end of time": {"ch": "trades:ES", "start": "9999-12-31T23:59:59Z"},
    "start before everything": {"ch": "trades:ES", "start": "0001-01-01T00:00:00+14:00"},
    "start that is no time": {"ch": "trades:ES", "start": "yesterday"},
    "from and start": {"ch": "trades:ES", "start": 1, "from": {"seq": 0}},
    "tier that is none": {"ch": "balances:acc_1", "tier": "1ns"},
    "name as long as a message": {"ch": "trades:" + "E" * 50_000},
    "name with a line's end": {"ch": "trades:ES\r\nid: 1"},
    "name of a subject's tokens": {"ch": "trades:>"},
    "no key": {"ch": "trades:"},
    "name with NUL": {"ch": "trades:ES\0"},
    "name that is escaped": {"ch": "trades:%45S"},
    "name that looks the same": {"ch": "trades:\uff25S"},
}


class TestNonsense:
    async def test_text(self, attacked: World) -> None:
        """Each is told what is wrong; ten of them end the connection."""
        await send_nonsense(attacked, TEXT, NONSENSE)

    async def test_packed(self, attacked: World) -> None:
        await send_nonsense(attacked, BINARY, PACKED, "Sec-WebSocket-Protocol: agio.v1.msgpack")

    async def test_text_that_is_not_utf8(self, attacked: World) -> None:
        async with upgraded(attacked) as peer:
            peer.send(TEXT, b'{"op":"ping","id":"\xc3\x28"}')

            assert (await read_answers(peer))[-1]["close"] == 1007

    async def test_requests_that_cannot_be_granted_are_refused_one_by_one(self, attacked: World) -> None:
        """And never by a fault of ours: nothing of it may be tried again as it is."""
        async with attacked.connect() as socket:
            for name, channel in CHANNELS.items():
                answer = await ask(socket, op="sub", ch=[channel, "orders:acc_1"])
                (refusal,) = answer["errs"] or [{"code": "", "retry": False}]  # type: ignore[misc]
                granted = {entry["ch"]: entry for entry in answer["subs"]}  # type: ignore[attr-defined]

                assert "orders:acc_1" in granted, name
                assert refusal["retry"] is False, name
                assert refusal["code"] != "" or granted["trades:ES"]["recovered"] is False, name
                assert len(json_bytes(answer)) < 1_500, name
                await ask(socket, op="unsub", ch=["orders:acc_1", "trades:ES"])

    async def test_the_same_id_again_is_answered_again(self, attacked: World) -> None:
        async with attacked.connect() as socket:
            await receive_one(socket)
            for _ in range(3):
                await socket.send_str('{"op":"ping","id":7,"id":8}')

            assert [(await receive_one(socket))["id"] for _ in range(3)] == [8, 8, 8]


async def ask(socket: aiohttp.ClientWebSocketResponse, **operation: object) -> dict[str, object]:
    """Say something and find the answer between pushes."""
    await socket.send_str(json_bytes({"id": "asked", **operation}).decode())
    while True:
        for message in await receive(socket):
            if message.get("id") == "asked":
                return message


async def wait_until(is_reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_reached():
            await asyncio.sleep(0.01)


async def send_nonsense(world: World, opcode: int, cases: dict[str, bytes], *more: str) -> None:
    texts = list(cases.items())
    for start in range(0, len(texts), 10):
        some = texts[start : start + 10]
        filled = [*some, *([("", b"!")] * (10 - len(some)))]
        async with upgraded(world, "good", *more) as peer:
            for _, payload in filled:
                peer.send(opcode, payload)
            async with asyncio.timeout(30):
                _, *answers, end = await read_answers(peer)

        told = [(answer["op"], answer["code"], answer["retry"]) for answer in answers]
        assert told == [("error", "invalid_operation", False)] * 10, [name for name, _ in some]
        assert end == {"close": 4500, "reason": "too many malformed messages"}


class TestStorms:
    async def test_ten_thousand_channels_in_one_message(self, attacked: World) -> None:
        async with attacked.connect() as socket:
            await receive_one(socket)
            for operation in ("sub", "unsub", "resync"):
                channels = [f"b:{number}" for number in range(6_000)]
                await socket.send_str(json_bytes({"id": 1, "op": operation, "ch": channels}).decode())
                answer = await receive_one(socket)
                assert (answer["code"], answer["retry"]) == ("too_many_subscriptions", False)

    async def test_ten_thousand_channels_in_many_messages(self, attacked: World) -> None:
        """The first ones are granted up to the limit, what comes too fast is to be sent again later."""
        async with attacked.connect() as socket:
            for number in range(25):
                channels = [f"balances:acc_{number}_{index}" for index in range(400)]
                await socket.send_str(json_bytes({"id": number, "op": "sub", "ch": channels}).decode())
            granted, codes = 0, set()
            for _ in range(26):
                answer = await receive_one(socket)
                granted += len(answer.get("subs", ()))  # type: ignore[arg-type]
                codes |= {refusal["code"] for refusal in answer.get("errs", ())}  # type: ignore[attr-defined]

            assert granted == attacked.gateway.settings.max_subscriptions
            assert codes == {"too_many_subscriptions"}

    async def test_channels_opened_and_closed_for_ever(self, attacked: World) -> None:
        async with upgraded(attacked) as peer:
            ending = asyncio.create_task(read_answers(peer))
            for _ in range(400):
                peer.send(TEXT, b'{"id":1,"op":"sub","ch":["book:ES","balances:acc_1"]}')
                peer.send(TEXT, b'{"id":2,"op":"unsub","ch":["book:ES","balances:acc_1"]}')
            async with asyncio.timeout(30):
                answers = await ending

        slow_down = next(answer for answer in answers if answer.get("op") == "error")
        assert (slow_down["code"], slow_down["retry"]) == ("rate_limited", True)
        assert answers[-1]["close"] == 4429
        assert attacked.gateway.metrics.subscriptions._value.get() == 1

    async def test_one_channel_twice_in_a_message(self, attacked: World) -> None:
        """The first way of asking counts, the other one is refused."""
        async with attacked.connect() as socket:
            answer = await subscribe(socket, {"ch": "book:ES", "tier": "1s"}, {"ch": "book:ES", "depth": 5})
            await ask(socket, op="unsub", ch=["book:ES"])

        assert [entry["tier"] for entry in answer["subs"]] == ["1s"]  # type: ignore[attr-defined]
        assert [refusal["code"] for refusal in answer["errs"]] == ["already_subscribed"]  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        "attacked",
        [
            msgspec.structs.replace(
                SETTINGS, messages_per_second=10_000, message_burst=10_000, max_pending_operations=1_000
            )
        ],
        indirect=True,
        ids=["fast"],
    )
    async def test_opened_and_closed_a_hundred_times(self, attacked: World) -> None:
        """Pushes come between the answers to `sub` and `unsub` only, each time without a hole."""
        async with upgraded(attacked) as peer:
            reading = asyncio.create_task(read_answers(peer))
            for number in range(100):
                peer.send(TEXT, b'{"id":1,"op":"sub","ch":["trades:ES"]}')
                await asyncio.sleep(0.02 if number % 3 else 0)
                peer.send(TEXT, b'{"id":2,"op":"unsub","ch":["trades:ES"]}')
            peer.send(CLOSE, b"\x03\xe8")
            async with asyncio.timeout(60):
                _, *told, _ = await reading

        expected: int | None = None
        pushes = 0
        for message in told:
            if "subs" in message:
                expected = message["subs"][0]["seq"] + 1  # type: ignore[index]
            elif "unsubs" in message:
                assert message["unsubs"] == ["trades:ES"]
                expected = None
            elif message.get("op") != "hb":
                assert message["q"] == expected
                expected, pushes = message["q"] + 1, pushes + 1  # type: ignore[operator]
        assert pushes > 0


class TestOthers:
    async def test_a_channel_that_may_not_be_read_cannot_be_replayed_either(self, attacked: World) -> None:
        attacked.orders.commit([{"order_id": "ord_1"}])
        async with attacked.connect(token="blind") as socket:
            for extra in ({}, {"from": {"seq": 0}}, {"from": {"seq": 0, "epoch": "e1"}}, {"start": 1}):
                answer = await subscribe(socket, {"ch": "orders:acc_1", **extra})
                assert answer["subs"] == []
                assert answer["errs"][0]["code"] == "insufficient_scope"  # type: ignore[index]
            assert attacked.orders.replays == 0

    async def test_renewal_cannot_change_the_subject(self, attacked: World) -> None:
        async with attacked.connect() as socket:
            await receive_one(socket)
            await socket.send_str('{"id":1,"op":"auth","token":"other"}')

            assert (await receive_one(socket))["code"] == "other_subject"


class TestLimits:
    async def test_connections_of_one_key(self, attacked: World) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(attacked.gateway.settings.max_connections_per_key):
                await stack.enter_async_context(attacked.connect())
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await stack.enter_async_context(attacked.connect())
            late = await stack.enter_async_context(attacked.connect(token=None))
            await late.send_str('{"op":"auth","token":"good"}')
            told = await receive_one(late)
            code = await close_code(late)

        assert refusal.value.status == 503
        assert refusal.value.headers is not None
        assert int(refusal.value.headers["Retry-After"]) >= 1
        assert (told["code"], told["retry"], code) == ("overloaded", True, 1013)

    async def test_strangers_of_one_address(self, attacked: World) -> None:
        limit = attacked.gateway.settings.max_unauthenticated_per_address
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(attacked.connect(token=None)) for _ in range(limit)]
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await stack.enter_async_context(attacked.connect(token=None))
            known = await stack.enter_async_context(attacked.connect())
            assert (await receive(known))[0]["op"] == "welcome"
            await sockets[0].close()
            await wait_until(
                lambda: attacked.gateway.metrics.connections.labels("stream")._value.get() == limit + 1
            )
            await stack.enter_async_context(attacked.connect(token=None))

        assert refusal.value.status == 503

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "https://friend.example.evil.example"]
    )
    async def test_page_of_another_origin(self, attacked: World, origin: str) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            async with attacked.connect(headers={"Origin": origin}):
                pass

        assert refusal.value.status == 403
