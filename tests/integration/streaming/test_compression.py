"""permessage-deflate (RFC 7692): offered by the client, allowed by the setting, bounded when unpacked."""

import aiohttp
import pytest
from tests.integration.streaming.conftest import PATIENCE_SECONDS, World, receive, receive_one, subscribe

from agio.streaming.settings import StreamingSettings

OFFER = 15


@pytest.fixture
def streaming_settings() -> StreamingSettings:
    return StreamingSettings(may_compress=True, verify_seconds=0.2)


class TestNegotiation:
    async def test_no_context_is_kept_on_either_side(self, world: World) -> None:
        async with world.connect(compress=OFFER) as socket:
            agreed = socket._response.headers["Sec-WebSocket-Extensions"]

        assert {part.strip() for part in agreed.split(";")} == {
            "permessage-deflate",
            "server_no_context_takeover",
            "client_no_context_takeover",
        }

    async def test_who_does_not_offer_it_gets_none(self, world: World) -> None:
        async with world.connect() as socket:
            assert "Sec-WebSocket-Extensions" not in socket._response.headers


class TestOffByDefault:
    @pytest.fixture
    def streaming_settings(self) -> StreamingSettings:
        return StreamingSettings()

    async def test_an_offer_is_declined(self, world: World) -> None:
        async with world.connect(compress=OFFER) as socket:
            assert "Sec-WebSocket-Extensions" not in socket._response.headers


class TestMessages:
    @pytest.mark.parametrize("window", [OFFER, 10])
    async def test_both_kinds_of_reader_are_told_the_same(self, world: World, window: int) -> None:
        async with world.connect(compress=window) as packed, world.connect(token="twin") as plain:
            for socket in (packed, plain):
                await subscribe(socket, "trades:ES")
            (pushes,) = world.trades.trades(200, batch=200)
            await world.publish("trades", "ES", pushes)
            told = []
            for socket in (packed, plain):
                messages: list[dict[str, object]] = []
                while len(messages) < 200:
                    messages += await receive(socket)
                told.append(messages)

        assert told[0] == told[1]

    async def test_compressed_operations_are_understood(self, world: World) -> None:
        async with world.connect(compress=OFFER) as socket:
            await receive_one(socket)
            await socket.send_json({"id": 5, "op": "ping", "padding": "x" * 2_000})

            assert (await receive_one(socket))["id"] == 5


class TestBombs:
    @pytest.mark.parametrize(
        ("token", "limit"), [("good", 64 * 1024), ("good", 64 * 1024 * 1024), (None, 4 * 1024)]
    )
    async def test_what_unpacks_to_more_than_the_limit(
        self, world: World, token: str | None, limit: int
    ) -> None:
        async with world.connect(token=token, compress=OFFER) as socket:
            await socket.send_str("x" * (limit + 1))

            message = await socket.receive(PATIENCE_SECONDS)
            while message.type is aiohttp.WSMsgType.TEXT:
                message = await socket.receive(PATIENCE_SECONDS)

            assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)
