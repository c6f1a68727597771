"""`Idempotency-Key` on a real database, with a small counter as the effect."""

import asyncio
from typing import Any

import httpx
import msgspec
import psycopg
import pytest
from litestar import Request, Response, post
from tests.conftest import Databases

from agio.kernel.problem import Conflict
from agio.platform.db import Database, Scope, Transaction
from agio.platform.http import IdempotentReplies, create_app

TENANT = Scope("org_idempotent", "sandbox")


class Wish(msgspec.Struct, forbid_unknown_fields=True):
    amount: int


class Counter:
    """Counts how often the effect really happened."""

    def __init__(self) -> None:
        self.effects = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.tenant = TENANT


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
async def client(app_database: Database, counter: Counter) -> httpx.AsyncClient:
    replies = IdempotentReplies(app_database)

    @post("/wishes", opt={"public": True})
    async def make_wish(request: Request[Any, Any, Any], data: Wish) -> Response[Any]:
        async def effect(tx: Transaction) -> dict[str, int]:
            await tx.value("select 1")
            await counter.may_end.wait()
            if data.amount < 0:
                raise Conflict("not possible")
            counter.effects += 1
            return {"amount": data.amount, "number": counter.effects}

        return await replies.once(counter.tenant, request, effect)

    app = create_app([make_wish], guards=[], dependencies={}, version="test")
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


async def wish(client: httpx.AsyncClient, key: str | None, amount: int = 5) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return await client.post("/wishes", json={"amount": amount}, headers=headers)


class TestOnce:
    async def test_a_repetition_gets_the_stored_answer_and_no_second_effect(
        self, client: httpx.AsyncClient, counter: Counter
    ) -> None:
        first, second = await wish(client, "k1"), await wish(client, "k1")

        assert (first.status_code, second.status_code) == (201, 201)
        assert first.content == second.content
        assert "idempotent-replay" not in first.headers
        assert second.headers["idempotent-replay"] == "true"
        assert counter.effects == 1

    async def test_another_body_under_the_same_key_is_refused(
        self, client: httpx.AsyncClient, counter: Counter
    ) -> None:
        await wish(client, "k1", 5)

        answer = await wish(client, "k1", 6)

        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
        assert counter.effects == 1

    async def test_a_request_in_flight_is_answered_409_and_later_replayed(
        self, client: httpx.AsyncClient, counter: Counter
    ) -> None:
        counter.may_end.clear()
        wishes = asyncio.as_completed([wish(client, "k1") for _ in range(4)], timeout=60)
        refused = [await next(wishes) for _ in range(3)]
        counter.may_end.set()
        granted = await next(wishes)

        assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [
            (409, "idempotency_in_flight")
        ] * 3
        assert granted.status_code == 201
        assert (await wish(client, "k1")).headers["idempotent-replay"] == "true"
        assert counter.effects == 1

    async def test_a_refusal_is_not_stored(self, client: httpx.AsyncClient, databases: Databases) -> None:
        assert (await wish(client, "k1", -1)).status_code == 409

        with psycopg.connect(databases.owner_url) as connection:
            assert connection.execute("select count(*) from platform.idempotent_reply").fetchone() == (0,)
        assert (await wish(client, "k1", 5)).status_code == 201

    async def test_keys_of_different_tenants_do_not_meet(
        self, client: httpx.AsyncClient, counter: Counter
    ) -> None:
        await wish(client, "k1", 5)
        counter.tenant = Scope("org_other", "sandbox")

        answer = await wish(client, "k1", 7)

        assert answer.status_code == 201
        assert answer.json()["amount"] == 7

    async def test_after_a_day_a_key_is_new_again(
        self, client: httpx.AsyncClient, databases: Databases, counter: Counter
    ) -> None:
        await wish(client, "k1")
        with psycopg.connect(databases.owner_url) as connection:
            connection.execute(
                "update platform.idempotent_reply set created_at = now() - interval '25 hours'"
            )
            connection.commit()

        assert (await wish(client, "k1", 6)).status_code == 201
        assert counter.effects == 2

    @pytest.mark.parametrize("key", [None, "", "with space", "x" * 256])
    async def test_a_missing_or_odd_key_is_refused(self, client: httpx.AsyncClient, key: str | None) -> None:
        answer = await wish(client, key)

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_header")
        assert answer.json()["header"] == "Idempotency-Key"
