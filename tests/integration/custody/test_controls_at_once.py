"""Everything at once: whatever the order, no limit is passed, nothing breaks, nothing waits for ever."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import httpx
import pytest
from tests.integration.custody.vault_world import House, Json

REQUESTS = 6
STEPS = 60
PATIENCE_SECONDS = 120


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_order_of_events_passes_a_limit(guarded: House, seed: int) -> None:
    draw = random.Random(seed)
    ada, eve = guarded.people["ada"], guarded.people["eve"]
    zoe = await guarded.hire("zoe", "custody:read", "custody:admin")
    account = (await eve.does("/api/accounts", {"name": "Till"}))["account_id"]
    deposit = {"account_id": account, "direction": "deposit", "asset": "USD", "amount": "500.00"}
    await eve.does("/api/transfers", deposit)
    asked = [await guarded.ask(eve, "2500.00") for _ in range(REQUESTS)]

    async def approve(name: str = "", one: Json | None = None) -> httpx.Response:
        path = f"/api/custody/requests/{(one or draw.choice(asked))['request_id']}"
        person = guarded.people[name or draw.choice(["ben", "cleo"])]
        request = await person.get(path)
        return await person.post(f"{path}/approvals", person.consent(request["digest"], guarded.clock))

    async def change() -> httpx.Response:
        path = f"/api/custody/requests/{draw.choice(asked)['request_id']}"
        return await eve.patch(path, {"amount": f"{draw.randint(1000, 4000)}.00"})

    async def move_on() -> httpx.Response:
        path = f"/api/custody/requests/{draw.choice(asked)['request_id']}"
        return await eve.post(f"{path}/release")

    async def settle() -> httpx.Response:
        path = f"/api/custody/requests/{draw.choice(asked)['request_id']}"
        return await ada.post(f"{path}/settle", {"external_reference": "E2E"})

    async def freeze_and_thaw() -> httpx.Response:
        body = {"target_kind": "vault", "target_id": guarded.vault_id, "reason": "a look"}
        freeze = await ada.does("/api/custody/freezes", body)
        return await zoe.delete(f"/api/custody/freezes/{freeze['freeze_id']}")

    async def withdraw() -> httpx.Response:
        return await eve.post("/api/transfers", deposit | {"direction": "withdrawal", "amount": "10.00"})

    async def put_in() -> httpx.Response:
        body = {"sub_account_id": guarded.cash, "amount": "10.00"}
        return await ada.post(f"/api/vaults/{guarded.vault_id}/deposits", body)

    events: list[Callable[[], Awaitable[httpx.Response]]] = [
        *[approve] * 8,
        *[move_on] * 2,
        *[settle] * 2,
        change,
        freeze_and_thaw,
        withdraw,
        put_in,
    ]
    async with asyncio.timeout(PATIENCE_SECONDS):
        answers = await asyncio.gather(*(draw.choice(events)() for _ in range(STEPS)))

        # Then everybody who still can approves everything that still waits, again all at once.
        answers += await asyncio.gather(*(approve(name, one) for one in asked for name in ("ben", "cleo")))

    assert {answer.status_code for answer in answers} <= {200, 201, 409, 422}
    ends = (await eve.get("/api/custody/requests"))["items"]
    assert _sum(ends, "held", "released", "settled") <= 8000
    held = float((await guarded.balance(eve))[1])
    assert held == _sum(ends, "held", "released")
    assert {"failed", "approving"} & {end["status"] for end in ends}
    assert _sum(ends, "held", "released", "settled") > 0


def _sum(requests: list[Json], *statuses: str) -> float:
    return sum(float(request["amount"]) for request in requests if request["status"] in statuses)
