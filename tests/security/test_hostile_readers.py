"""Hostile readers of the streams: forged positions, used tickets, other organisations' channels."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import psycopg
import pytest
from tests.conftest import Databases
from tests.integration.streaming.conftest import World
from tests.nodes import bearer
from tests.security.surface import SHARED_CHANNELS, Surface, seed
from tests.security.test_stream_matrix import (
    Issue,
    channels_of,
    issue,  # noqa: F401 - a fixture
    open_stream,
)
from tests.security.test_stream_matrix import ask as subscribe

from agio.identity.service import IssuedKey
from agio.streaming.log_subscription import Position
from agio.streaming.positions import encode_positions

POSITIONS: dict[str, dict[str, Position]] = {
    "beyond the newest": {"trades:ES": Position(2**63, "e1")},
    "other epoch": {"trades:ES": Position(1, "e9")},
    "epoch of thousands of characters": {"trades:ES": Position(1, "e" * 6_000)},
    "somebody else's channel": {"orders:acc_9": Position(0, "e1")},
    "a channel without positions": {"balances:acc_1": Position(7, "x" * 6_000)},
    "a thousand channels": {f"trades:{number}": Position(1, "e1") for number in range(500)},
}
GARBAGE = [
    "%",
    "AAAA",
    "a" * 20_000,
    "\u00e9",
    encode_positions({"trades:ES": Position(1, "e1")})[:-3],
    "3f____8",
]


class TestEvents:
    @pytest.mark.parametrize("positions", POSITIONS.values(), ids=POSITIONS)
    async def test_forged_position_gives_nothing_that_was_not_asked_for(
        self, attacked: World, positions: dict[str, Position]
    ) -> None:
        headers = {"Last-Event-ID": encode_positions(positions)}
        async with read_events(attacked, ["trades:ES", "balances:acc_1"], headers) as (answer, first):
            answered = msgspec.json.decode(first["data"])

        assert answer.status == 200
        assert [entry["ch"] for entry in answered["subs"]] == ["trades:ES", "balances:acc_1"]
        assert answered["subs"][0].get("recovered", False) is False
        assert len(first["id"]) < 100

    @pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
    async def test_garbage_is_refused(self, attacked: World, text: str) -> None:
        async with request(attacked, ["trades:ES"], query={"last_event_id": text}) as answer:
            problem = await answer.json(content_type=None)

        assert (answer.status, problem["code"]) == (422, "invalid_request")

    @pytest.mark.parametrize(
        ("channels", "status"),
        [
            ([f"trades:{number}" for number in range(51)], 422),
            ([f"t:{number}" for number in range(6_000)], 431),
            (["trades:" + "E" * 4_000], 422),
            (["trades:NOPE", "trades:>"], 404),
        ],
    )
    async def test_channels_without_end(self, attacked: World, channels: list[str], status: int) -> None:
        async with request(attacked, channels) as answer:
            assert answer.status == status

    async def test_readers_count_as_connections_of_their_key(self, attacked: World) -> None:
        limit = attacked.gateway.settings.max_connections_per_key
        async with asyncio.timeout(30), aiohttp.ClientSession() as http:
            answers = [await ask(http, attacked, ["trades:ES"]) for _ in range(limit + 1)]
            statuses = [answer.status for answer in answers]
            for answer in answers:
                answer.close()

        assert statuses == [200] * limit + [503]


class TestTickets:
    async def test_late_used_or_forged(
        self,
        surface: Surface,
        issue: Issue,  # noqa: F811
        stream_port: int,
        databases: Databases,
    ) -> None:
        owner = await issue()
        used, late = [await take_ticket(surface, owner) for _ in range(2)]
        async with http_socket(stream_port, f"/stream?ticket={used}") as socket:
            assert msgspec.json.decode((await socket.receive()).data)["op"] == "welcome"
        with psycopg.connect(databases.owner_url, autocommit=True) as connection:
            connection.execute("update identity.stream_ticket set expires_at = now() - interval '1 s'")

        for ticket in (used, late, "agio_ticket_" + "0" * 40, "x" * 4_000, owner.secret):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                async with http_socket(stream_port, f"/stream?ticket={ticket}"):
                    pass
            assert refusal.value.status == 401

    async def test_ticket_of_another_environment_does_not_renew(
        self,
        surface: Surface,
        issue: Issue,  # noqa: F811
        stream_port: int,
    ) -> None:
        owner = await issue()
        live = await surface.identity.issue_key(
            owner.key.organisation_id, "live", ["market:read"], name="live"
        )
        async with open_stream(stream_port, owner.secret) as socket:
            await socket.receive()
            ticket = await take_ticket(surface, live)
            await socket.send_json({"id": 1, "op": "auth", "ticket": ticket})
            answer = msgspec.json.decode((await socket.receive()).data)

        assert (answer["op"], answer["code"], answer["retry"]) == ("error", "other_subject", False)


class TestOtherOrganisations:
    async def test_their_history_cannot_be_replayed_by_any_door(
        self,
        surface: Surface,
        issue: Issue,  # noqa: F811
        stream_port: int,
    ) -> None:
        """A channel of theirs and one that never was are refused in the same words."""
        theirs, ours = await issue(), await issue()
        channels = channels_of(surface, await seed(surface, theirs.secret, theirs.key.key_id))
        wanted = [channel for channel in channels if channel.partition(":")[0] not in SHARED_CHANNELS]
        async with open_stream(stream_port, ours.secret) as socket:
            for channel in wanted:
                name = channel.partition(":")[0]
                nobody = f"{name}:{'acc' if 'acc_' in channel else 'pft'}_{'0' * 20}"
                for extra in ({}, {"from": {"seq": 0}}, {"start": 1}, {"start": "2020-01-01T00:00:00Z"}):
                    asked = [{"ch": one, **extra} for one in (channel, nobody)]
                    answer = await subscribe(socket, asked)
                    told = [
                        {**refusal, "ch": "", "detail": refusal["detail"].replace(one.partition(":")[2], "")}
                        for refusal, one in zip(answer["errs"], (channel, nobody), strict=True)
                    ]
                    assert answer["subs"] == []
                    assert told[0] == told[1]
                    assert (told[0]["code"], told[0]["retry"]) == ("unknown_channel", False)

        for channel in wanted:
            identity = encode_positions({channel: Position(0, None)})
            url = f"http://127.0.0.1:{stream_port}/stream/sse"
            headers = {**bearer(ours.secret), "Last-Event-ID": identity}
            async with (
                aiohttp.ClientSession() as http,
                http.get(url, params={"ch": channel}, headers=headers) as refused,
            ):
                assert refused.status == 404


async def take_ticket(surface: Surface, key: IssuedKey) -> str:
    answer = await surface.client.post("/api/stream/tickets", headers=bearer(key.secret))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["ticket"])


@asynccontextmanager
async def http_socket(port: int, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"ws://127.0.0.1:{port}{path}") as socket:
        yield socket


async def ask(
    http: aiohttp.ClientSession,
    world: World,
    channels: Sequence[str],
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
) -> aiohttp.ClientResponse:
    parameters = [*(("ch", channel) for channel in channels), *(query or {}).items()]
    url = f"https://127.0.0.1:{world.port}/stream/sse"
    return await http.get(
        url, params=parameters, headers={**bearer("good"), **(headers or {})}, ssl=world.tls
    )


@asynccontextmanager
async def request(
    world: World,
    channels: Sequence[str],
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    async with aiohttp.ClientSession() as http:
        answer = await ask(http, world, channels, headers, query)
        try:
            yield answer
        finally:
            answer.close()


@asynccontextmanager
async def read_events(
    world: World, channels: Sequence[str], headers: dict[str, str]
) -> AsyncIterator[tuple[aiohttp.ClientResponse, dict[str, str]]]:
    """The answer and the fields of its first event with an id: what was subscribed."""
    async with request(world, channels, headers) as answer, asyncio.timeout(30):
        while True:
            lines = (await answer.content.readuntil(b"\n\n")).decode().strip().split("\n")
            fields = dict(line.split(": ", 1) for line in lines)
            if "id" in fields:
                yield answer, fields
                return
