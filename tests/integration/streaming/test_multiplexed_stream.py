"""`/stream` over TLS, with a real NATS behind it."""

import asyncio

import aiohttp
import msgspec
import pytest
from tests.integration.streaming.conftest import World, close_code, receive, receive_one, subscribe


class TestConnect:
    async def test_header_authentication_is_welcomed(self, world: World) -> None:
        async with world.connect() as socket:
            welcome = await receive_one(socket)

        assert welcome["op"] == "welcome"
        assert welcome["hb_ms"] == 15_000
        assert str(welcome["conn"]).startswith("con_")

    async def test_unknown_key_is_refused_on_the_handshake(self, world: World) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            async with world.connect(token="nonsense"):
                pass

        assert refusal.value.status == 401

    async def test_ticket_works_once(self, world: World) -> None:
        async with world.connect("/stream?ticket=tkt_good", token=None) as socket:
            assert (await receive_one(socket))["op"] == "welcome"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with world.connect("/stream?ticket=tkt_good", token=None):
                pass

    async def test_first_message_authenticates(self, world: World) -> None:
        async with world.connect(token=None) as socket:
            await socket.send_str('{"id":7,"op":"auth","token":"good"}')
            welcome = await receive_one(socket)

        assert (welcome["op"], welcome["id"]) == ("welcome", 7)

    async def test_bad_first_message_closes_for_good(self, world: World) -> None:
        async with world.connect(token=None) as socket:
            await socket.send_str('{"op":"auth","token":"revoked"}')
            error = await receive_one(socket)
            code = await close_code(socket)

        assert (error["op"], error["code"], error["retry"]) == ("error", "key_revoked", False)
        assert code == 4501

    @pytest.mark.parametrize("path", ["/", "/streams", "/stream/", "/stream/a/b", "/api/me"])
    async def test_other_paths_are_not_found(self, world: World, path: str) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            async with world.connect(path):
                pass

        assert refusal.value.status == 404

    @pytest.mark.parametrize(
        ("origin", "is_let_in"),
        [("https://evil.example", False), ("https://friend.example", True), ("null", False), ("own", True)],
    )
    async def test_browser_origins(self, world: World, origin: str, is_let_in: bool) -> None:
        origin = f"https://127.0.0.1:{world.port}" if origin == "own" else origin
        try:
            async with world.connect(headers={"Origin": origin}) as socket:
                await receive_one(socket)
            status = 101
        except aiohttp.WSServerHandshakeError as error:
            status = error.status

        assert status == (101 if is_let_in else 403)

    async def test_foreign_subprotocol_is_refused(self, world: World) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            async with world.connect(protocols=("graphql-ws",)):
                pass

        assert refusal.value.status == 400


class TestSubscribe:
    async def test_partial_success(self, world: World) -> None:
        async with world.connect() as socket:
            answer = await subscribe(socket, {"ch": "trades:ES"}, "trades:NOPE", "nothing", "balances:acc_1")

        assert [entry["ch"] for entry in answer["subs"]] == ["trades:ES", "balances:acc_1"]
        assert [(entry["ch"], entry["code"], entry["retry"]) for entry in answer["errs"]] == [
            ("trades:NOPE", "unknown_channel", False),
            ("nothing", "unknown_channel", False),
        ]

    async def test_missing_scope_is_refused(self, world: World) -> None:
        async with world.connect(token="blind") as socket:
            answer = await subscribe(socket, "trades:ES")

        assert answer["errs"][0]["code"] == "insufficient_scope"

    async def test_trades_arrive_in_both_encodings_as_equal_objects(self, world: World) -> None:
        async with world.connect() as text, world.connect(protocols=("agio.v1.msgpack",)) as packed:
            n = (await subscribe(text, "trades:ES"))["subs"][0]["n"]
            await receive_one(packed)
            await packed.send_bytes(msgspec.msgpack.encode({"id": 1, "op": "sub", "ch": ["trades:ES"]}))
            assert (await receive_one(packed))["subs"][0]["n"] == n
            for batch in world.trades.trades(6, batch=3):
                await world.publish("trades", "ES", batch)
            got_text: list[object] = []
            got_packed: list[object] = []
            while len(got_text) < 6:
                got_text += await receive(text)
            while len(got_packed) < 6:
                got_packed += await receive(packed)

        assert got_text == got_packed
        assert [push["q"] for push in got_text] == [1, 2, 3, 4, 5, 6]
        assert got_text[0] == {
            "n": n,
            "q": 1,
            "t": 1_790_000_000_000_000,
            "d": msgspec.json.decode(world.trades.history[0].d),
        }

    async def test_unsubscribed_channel_is_silent(self, world: World) -> None:
        async with world.connect() as socket:
            await subscribe(socket, "trades:ES", "orders:acc_1")
            await socket.send_str('{"id":2,"op":"unsub","ch":["trades:ES","trades:ES","x:y"]}')
            answer = await receive_one(socket)
            await world.publish("trades", "ES", world.trades.commit([{"price": "1"}]))
            await world.publish("orders", "acc_1", world.orders.commit([{"order_id": "ord_1"}]))
            push = await receive_one(socket)

        assert answer["unsubs"] == ["trades:ES"]
        assert answer["errs"][0]["code"] == "not_subscribed"
        assert push["d"] == {"order_id": "ord_1"}

    async def test_state_sends_current_values_then_changes(self, world: World) -> None:
        world.balances.put("USD", 1, {"asset": "USD", "total": "10.00"})
        world.balances.put("BTC", 2, {"asset": "BTC", "total": "1"})
        async with world.connect() as socket:
            await subscribe(socket, "balances:acc_1")
            values = await receive(socket)
            await world.publish("balances", "acc_1", [world.balances.put("USD", 3, {"total": "9.00"})])
            change = await receive_one(socket)

        assert [push["q"] for push in values] == [1, 2]
        assert (change["q"], change["d"]) == (3, {"total": "9.00"})

    async def test_book_begins_with_a_snapshot(self, world: World) -> None:
        world.book.change("bids", "99.0", "5")
        async with world.connect() as socket:
            answer = await subscribe(socket, {"ch": "book:ES", "depth": 10})
            snap = await receive_one(socket)
            await world.publish("book", "ES", [world.book.change("asks", "101.0", "2")])
            delta = await receive_one(socket)
            await socket.send_str('{"op":"resync","ch":["book:ES"]}')
            again = await receive_one(socket)

        assert answer["subs"][0]["seq"] == 1
        assert (snap["op"], snap["q"], snap["d"]) == ("snap", 1, {"bids": [["99.0", "5"]], "asks": []})
        assert (delta["p"], delta["q"], delta["d"]["asks"]) == (1, 2, [["101.0", "2"]])
        assert delta["crc"] == world.book.crc()
        assert (again["op"], again["q"]) == ("snap", 2)


class TestResume:
    async def test_ring_and_history_bring_back_what_was_missed(self, world: World) -> None:
        world.trades.trades(500)
        async with world.connect() as socket:
            await subscribe(socket, "trades:ES")
            for batch in world.trades.trades(100, batch=10):
                await world.publish("trades", "ES", batch)
            got: list[dict[str, object]] = []
            while len(got) < 100:
                got += await receive(socket)
        async with world.connect() as socket:
            answer = await subscribe(socket, {"ch": "trades:ES", "from": {"epoch": "e1", "seq": 20}})
            replayed: list[dict[str, object]] = []
            while len(replayed) < 580:
                replayed += await receive(socket)
            await world.publish("trades", "ES", world.trades.trades(1)[0])
            live = await receive_one(socket)

        assert answer["subs"][0] | {"n": 0} == {
            "ch": "trades:ES",
            "n": 0,
            "epoch": "e1",
            "seq": 600,
            "recovered": True,
            "replay": 580,
        }
        assert [push["q"] for push in replayed] == list(range(21, 601))
        assert live["q"] == 601

    @pytest.mark.parametrize(
        ("position", "reason"),
        [
            ({"epoch": "old", "seq": 5}, "epoch"),
            ({"epoch": "e1", "seq": 999}, "epoch"),
            ({"epoch": "e1", "seq": 5}, "trimmed"),
        ],
    )
    async def test_never_partial(self, world: World, position: dict[str, object], reason: str) -> None:
        world.trades.trades(50)
        world.trades.trimmed = 20
        async with world.connect() as socket:
            answer = await subscribe(socket, {"ch": "trades:ES", "from": position})
            await world.publish("trades", "ES", world.trades.trades(1)[0])
            live = await receive_one(socket)

        entry = answer["subs"][0]
        assert (entry["recovered"], entry["reason"], entry["seq"]) == (False, reason, 50)
        assert str(entry["rest"]).startswith("/api/market/ES/trades?after_seq=")
        assert live["q"] == 51

    async def test_a_message_lost_on_the_bus_is_healed(self, world: World) -> None:
        async with world.connect() as socket:
            await subscribe(socket, "trades:ES")
            batches = world.trades.trades(6)
            for number in (0, 3, 2, 2, 5):
                await world.publish("trades", "ES", batches[number])
            got: list[dict[str, object]] = []
            while len(got) < 6:
                got += await receive(socket)

        assert [push["q"] for push in got] == [1, 2, 3, 4, 5, 6]

    async def test_a_lost_last_message_is_noticed_in_the_quiet(self, world: World) -> None:
        async with world.connect() as socket:
            await subscribe(socket, "trades:ES")
            world.trades.trades(3)
            got: list[dict[str, object]] = []
            while len(got) < 3:
                got += await receive(socket)

        assert [push["q"] for push in got] == [1, 2, 3]

    async def test_a_new_epoch_ends_the_subscription(self, world: World) -> None:
        world.trades.trades(10)
        async with world.connect() as socket:
            n = (await subscribe(socket, "trades:ES"))["subs"][0]["n"]
            world.trades.epoch = "e2"
            world.trades.history.clear()
            await world.publish("trades", "ES", world.trades.trades(1)[0])
            notice = await receive_one(socket)
            answer = await subscribe(socket, {"ch": "trades:ES", "from": {"seq": 0}})
            push = await receive_one(socket)

        assert (notice["op"], notice["n"], notice["code"], notice["retry"]) == (
            "unsub",
            n,
            "epoch_changed",
            True,
        )
        assert (answer["subs"][0]["epoch"], answer["subs"][0]["replay"]) == ("e2", 1)
        assert push["q"] == 1


class TestEnd:
    async def test_revocation_closes_at_once(self, world: World) -> None:
        async with world.connect() as socket, world.connect(token="twin") as other:
            await receive_one(socket)
            await receive_one(other)
            world.revocations.ended[0]("key_good")
            left = [session.counted_as for session in world.gateway.sessions]

            assert left == ["key_twin"]
            assert await close_code(socket) == 4502
            assert not other.closed

    async def test_expiry_is_announced_and_then_enforced(self, world: World) -> None:

        async with world.connect(token="soon") as socket:
            await receive_one(socket)
            notice = await receive_one(socket)
            await socket.send_str('{"id":1,"op":"auth","token":"good"}')
            renewed = await receive_one(socket)
            await socket.send_str('{"id":2,"op":"auth","token":"other"}')
            refused = await receive_one(socket)

        assert notice["op"] == "reauth"
        assert renewed["op"] == "auth"
        assert refused["code"] == "other_subject"

    async def test_drain_says_so_and_ends_with_restart(self, world: World) -> None:
        async with world.connect() as socket:
            await receive_one(socket)
            draining = asyncio.create_task(world.gateway.drain(0.3))
            notice = await receive_one(socket)
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                async with world.connect():
                    pass
            code = await close_code(socket)
            await draining

        assert (notice["op"], notice["within_ms"]) == ("drain", 300)
        assert refusal.value.status == 503
        assert code == 1012
