"""Every channel x every kind of caller, over real WebSockets."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import psycopg
import pytest
from tests.conftest import Databases
from tests.integration.streaming.conftest import close_code, receive
from tests.machine import allowed_seconds
from tests.nodes import bearer
from tests.security.surface import CHANNEL_KEYS, SHARED_CHANNELS, Surface, seed

from agio.identity.api import SCOPES
from agio.identity.service import IssuedKey
from agio.platform.crypto import mint_token

Issue = Callable[..., Awaitable[IssuedKey]]
MARKET_KEYS = {"trades": "ACME-USD", "quotes": "ACME-USD", "book": "ACME-USD", "bars": "ACME-USD:1m"}


@asynccontextmanager
async def open_stream(port: int, secret: str | None) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    headers = bearer(secret) if secret is not None else {}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"ws://127.0.0.1:{port}/stream", headers=headers) as socket,
    ):
        yield socket


async def ask(socket: aiohttp.ClientWebSocketResponse, channels: Sequence[object]) -> dict[str, object]:
    """Subscribe and return the answer."""
    await socket.send_str(msgspec.json.encode({"id": "asked", "op": "sub", "ch": channels}).decode())
    while True:
        for message in await receive(socket):
            if message.get("id") == "asked":
                return message


def refusals(answer: dict[str, object]) -> dict[str, str]:
    return {entry["ch"]: entry["code"] for entry in answer["errs"]}  # type: ignore[attr-defined]


@pytest.fixture
def issue(surface: Surface) -> Issue:
    async def make(*without: str, allowed_cidrs: tuple[str, ...] = ()) -> IssuedKey:
        organisation_id = await surface.identity.create_organisation("Streams")
        scopes = [scope for scope in SCOPES if scope not in without]
        return await surface.identity.issue_key(
            organisation_id, "sandbox", scopes, name="streams", allowed_cidrs=allowed_cidrs
        )

    return make


def channels_of(surface: Surface, ids: dict[str, str]) -> dict[str, str]:
    """A full channel name for every kind, with its scope; fails for a kind that nobody taught it."""
    channels = {}
    for kind in surface.channels:
        key = MARKET_KEYS[kind.name] if kind.name in SHARED_CHANNELS else ids[CHANNEL_KEYS[kind.name]]
        channels[f"{kind.name}:{key}"] = kind.scope
    return channels


class TestHandshake:
    async def test_a_useless_key_is_refused_before_the_upgrade(
        self, surface: Surface, issue: Issue, stream_port: int, databases: Databases
    ) -> None:
        expired, revoked = await issue(), await issue()
        bound = await issue(allowed_cidrs=("198.51.100.0/24",))
        with psycopg.connect(databases.owner_url, autocommit=True) as connection:
            connection.execute(
                "update identity.api_key set created_at = now() - interval '2 d',"
                " expires_at = now() - interval '1 s' where key_id = %s",
                (expired.key.key_id,),
            )
            connection.execute(
                "update identity.api_key set revoked_at = now() where key_id = %s", (revoked.key.key_id,)
            )

        for secret, status in [
            ("garbage", 401),
            (mint_token("agio_sandbox"), 401),
            (expired.secret, 401),
            (revoked.secret, 401),
            (bound.secret, 403),
        ]:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                async with open_stream(stream_port, secret):
                    pass
            assert refusal.value.status == status

    async def test_nothing_is_told_before_authentication(self, surface: Surface, stream_port: int) -> None:
        async with open_stream(stream_port, None) as socket:
            answer = await ask(socket, ["trades:ACME-USD"])

        assert (answer["op"], answer["code"]) == ("error", "unauthenticated")


class TestChannels:
    async def test_every_channel_opens_for_its_owner(
        self, surface: Surface, issue: Issue, stream_port: int
    ) -> None:
        owner = await issue()
        channels = channels_of(surface, await seed(surface, owner.secret, owner.key.key_id))

        async with open_stream(stream_port, owner.secret) as socket:
            answer = await ask(socket, list(channels))

        assert refusals(answer) == {}

    async def test_every_channel_is_closed_to_a_key_without_its_scope(
        self, surface: Surface, issue: Issue, stream_port: int
    ) -> None:
        owner = await issue()
        channels = channels_of(surface, await seed(surface, owner.secret, owner.key.key_id))
        for scope in set(channels.values()):
            lesser = await surface.identity.issue_key(
                owner.key.organisation_id,
                "sandbox",
                [other for other in SCOPES if other != scope],
                name="less",
            )
            wanted = [channel for channel, needed in channels.items() if needed == scope]
            async with open_stream(stream_port, lesser.secret) as socket:
                answer = await ask(socket, wanted)
            assert refusals(answer) == dict.fromkeys(wanted, "insufficient_scope")

    async def test_channels_of_another_organisation_do_not_exist(
        self, surface: Surface, issue: Issue, stream_port: int
    ) -> None:
        theirs, ours = await issue(), await issue()
        channels = channels_of(surface, await seed(surface, theirs.secret, theirs.key.key_id))
        wanted = [channel for channel in channels if channel.partition(":")[0] not in SHARED_CHANNELS]

        async with open_stream(stream_port, ours.secret) as socket:
            answer = await ask(socket, wanted)

        assert refusals(answer) == dict.fromkeys(wanted, "unknown_channel")


class TestEvents:
    async def test_channels_follow_the_rules_of_the_socket(
        self, surface: Surface, issue: Issue, stream_port: int
    ) -> None:
        theirs, ours = await issue(), await issue()
        channels = channels_of(surface, await seed(surface, theirs.secret, theirs.key.key_id))
        bare = await surface.identity.issue_key(
            theirs.key.organisation_id, "sandbox", ["keys:read"], name="x"
        )
        for channel in channels:
            is_shared = channel.partition(":")[0] in SHARED_CHANNELS
            for secret, status in [
                (theirs.secret, 200),
                (ours.secret, 200 if is_shared else 404),
                (bare.secret, 403),
            ]:
                url = f"http://127.0.0.1:{stream_port}/stream/sse"
                async with (
                    aiohttp.ClientSession() as session,
                    session.get(url, params={"ch": channel}, headers=bearer(secret)) as answer,
                ):
                    assert answer.status == status, channel


class TestConnections:
    async def test_others_are_neither_seen_nor_disconnected(
        self, surface: Surface, issue: Issue, stream_port: int
    ) -> None:
        theirs, ours = await issue(), await issue()
        path = "/api/stream/connections"
        async with open_stream(stream_port, theirs.secret) as socket:
            await ask(socket, ["trades:ACME-USD"])
            seen = (await surface.client.get(path, headers=bearer(theirs.secret))).json()["items"]
            assert [item["key_id"] for item in seen] == [theirs.key.key_id]
            one = f"{path}/{seen[0]['connection_id']}"

            foreign = (await surface.client.get(path, headers=bearer(ours.secret))).json()["items"]
            refused = await surface.client.delete(one, headers=bearer(ours.secret))
            assert (foreign, refused.status_code, socket.closed) == ([], 404, False)

            ended = await surface.client.delete(one, headers=bearer(theirs.secret))
            assert ended.status_code == 204
            assert await close_code(socket) == 4011


class TestRevocation:
    async def test_a_revoked_key_closes_its_streams_within_a_second(
        self, surface: Surface, issue: Issue, stream_port: int
    ) -> None:
        owner = await issue()
        async with open_stream(stream_port, owner.secret) as socket:
            await ask(socket, ["trades:ACME-USD"])
            started = time.perf_counter()

            answer = await surface.client.delete(
                f"/api/keys/{owner.key.key_id}", headers=bearer(owner.secret)
            )

            assert answer.status_code == 204
            assert await close_code(socket) == 4502
            assert time.perf_counter() - started < allowed_seconds(1.0)
