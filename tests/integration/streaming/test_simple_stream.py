"""`/stream/{symbol}`: a naive client needs to know nothing."""

import aiohttp
import msgspec
import pytest
from tests.integration.streaming.conftest import PATIENCE_SECONDS, World, close_code


async def next_trade(socket: aiohttp.ClientWebSocketResponse) -> dict[str, object]:
    trade: dict[str, object] = msgspec.json.decode((await socket.receive(PATIENCE_SECONDS)).data)
    return trade


class TestSimpleStream:
    async def test_one_object_per_message(self, world: World) -> None:
        async with world.connect("/stream/ES") as socket:
            await world.until_followed("trades:ES")
            for batch in world.trades.trades(3, batch=3):
                await world.publish("trades", "ES", batch)
            trades = [await next_trade(socket) for _ in range(3)]

        assert trades[0] == {
            "symbol": "ES",
            "price": 1601.25,
            "volume": 2,
            "timestamp": "2013-09-01T17:00:00.083000Z",
        }
        assert [trade["volume"] for trade in trades] == [2, 3, 4]

    @pytest.mark.parametrize("first", ['{"op":"auth","token":"good"}', '{"op":"auth","ticket":"tkt_good"}'])
    async def test_first_message_authenticates(self, world: World, first: str) -> None:
        async with world.connect("/stream/ES", token=None) as socket:
            await socket.send_str(first)
            await world.until_followed("trades:ES")
            await world.publish("trades", "ES", world.trades.trades(1)[0])

            assert (await next_trade(socket))["symbol"] == "ES"

    async def test_ticket_in_the_query(self, world: World) -> None:
        async with world.connect("/stream/ES?ticket=tkt_good", token=None) as socket:
            await world.until_followed("trades:ES")
            await world.publish("trades", "ES", world.trades.trades(1)[0])

            assert (await next_trade(socket))["symbol"] == "ES"

    async def test_unknown_symbol_is_refused_on_the_handshake(self, world: World) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            async with world.connect("/stream/NOPE"):
                pass

        assert refusal.value.status == 404

    async def test_missing_scope_is_refused_on_the_handshake(self, world: World) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
            async with world.connect("/stream/ES", token="blind"):
                pass

        assert refusal.value.status == 403

    @pytest.mark.parametrize(
        ("symbol", "first", "code"),
        [
            ("NOPE", '{"op":"auth","token":"good"}', 4504),
            ("ES", '{"op":"auth","token":"blind"}', 4503),
            ("ES", '{"op":"auth","token":"wrong"}', 4501),
            ("ES", '{"op":"auth"}', 4501),
            ("ES", "hello", 4500),
        ],
    )
    async def test_refusals_after_the_handshake_carry_a_verdict(
        self, world: World, symbol: str, first: str, code: int
    ) -> None:
        async with world.connect(f"/stream/{symbol}", token=None) as socket:
            await socket.send_str(first)

            assert await close_code(socket) == code
