"""`/api/portfolios` over HTTP, with keys, tags and problems."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.integration.analytics.world import World
from tests.nodes import Node, Owner, make_owner

from agio.analytics.routes import build_router
from agio.platform.bus import Bus
from agio.platform.db import Scope


@pytest.fixture
async def node(world: World, nats_url: str) -> AsyncIterator[Node]:
    bus = Bus(nats_url)
    await bus.open()
    async with Node(world.app, bus, [build_router(world.analytics, world.app)]) as node:
        yield node
    await bus.close()


@pytest.fixture
async def owner(node: Node, world: World) -> Owner:
    """The owner of everything in `world`."""
    owner = await make_owner(node)
    world.scope = Scope(owner.organisation_id, "sandbox")
    return owner


async def call(
    node: Node, owner: Owner, method: str, path: str, status: int = 200, **options: Any
) -> dict[str, Any]:
    response = await node.client.request(method, f"/api{path}", headers=owner.headers, **options)
    assert response.status_code == status, response.text
    return response.json()  # type: ignore[no-any-return]


async def new_portfolio(node: Node, owner: Owner, world: World) -> str:
    account = await world.open_account()
    await world.fill(account, 10, 10_000, fee=50)
    world.market.trade(10_100)
    created = await call(
        node,
        owner,
        "POST",
        "/portfolios",
        201,
        json={"name": "Main", "account_ids": [account.account_id], "base_currency": "USD"},
    )
    return str(created["portfolio_id"])


async def test_created_listed_and_shown(node: Node, owner: Owner, world: World) -> None:
    first = await new_portfolio(node, owner, world)
    second = await new_portfolio(node, owner, world)
    page = await call(node, owner, "GET", "/portfolios", params={"limit": 1})
    assert [one["portfolio_id"] for one in page["items"]] == [first]
    rest = await call(node, owner, "GET", "/portfolios", params={"cursor": page["next_cursor"]})
    assert [one["portfolio_id"] for one in rest["items"]] == [second]
    assert rest["next_cursor"] is None
    shown = await call(node, owner, "GET", f"/portfolios/{first}")
    assert shown["name"] == "Main"
    assert shown["base_currency"] == "USD"
    assert "an.portfolio_created" in world.published


async def test_positions_and_analytics_agree(node: Node, owner: Owner, world: World) -> None:
    portfolio_id = await new_portfolio(node, owner, world)
    positions = await call(node, owner, "GET", f"/portfolios/{portfolio_id}/positions")
    analytics = await call(node, owner, "GET", f"/portfolios/{portfolio_id}/analytics")
    assert positions["totals"] == analytics["basis"]["totals"]
    assert positions["items"][0]["market_value"] == "1010.00"
    assert analytics["basis"]["ledger_seq"] == positions["ledger_seq"] == 4
    assert analytics["exposure"]["gross"]["value"] == pytest.approx(1010 / 100_009.5, rel=1e-12)
    assert analytics["returns"]["twr"]["value"] == pytest.approx(100_009.5 / 100_000 - 1, rel=1e-9)


async def test_a_poll_is_answered_by_304(node: Node, owner: Owner, world: World) -> None:
    portfolio_id = await new_portfolio(node, owner, world)
    world.settle()
    path = f"/api/portfolios/{portfolio_id}/analytics"
    tag = (await node.client.get(path, headers=owner.headers)).headers["ETag"]
    conditional = owner.headers | {"If-None-Match": tag}
    unchanged = await node.client.get(path, headers=conditional)
    assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", tag)
    world.market.trade(10_200)
    assert (await node.client.get(path, headers=conditional)).status_code == 200


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ({"benchmark": "SPX"}, "invalid_request", "benchmark"),
        ({"rf": "2%"}, "invalid_query", "rf"),
        ({"metrics": "sharp"}, "invalid_query", "metrics"),
        ({"from": "soon"}, "invalid_query", "from"),
        ({"rf": ["0.1", "0.2"]}, "invalid_request", "rf"),
        ({"currency": "EUR"}, "currency_not_available", "currency"),
        ({"frequency": "1s", "from": "2020-01-01", "to": "2020-01-02"}, None, None),
    ],
)
async def test_parameters_that_do_not_work_are_named(
    node: Node, owner: Owner, world: World, query: dict[str, Any], code: str | None, field: str | None
) -> None:
    portfolio_id = await new_portfolio(node, owner, world)
    status = 200 if code is None else 422
    path = f"/portfolios/{portfolio_id}/analytics"
    answer = await call(node, owner, "GET", path, status, params=query)
    if code is not None:
        assert (answer["code"], answer["field"]) == (code, field)


async def test_strangers_and_weak_keys_get_nothing(node: Node, owner: Owner, world: World) -> None:
    portfolio_id = await new_portfolio(node, owner, world)
    stranger = await make_owner(node, "Other")
    weak = await make_owner(node, "Weak", scopes=["market:read"])
    for path in ("", "/positions", "/analytics"):
        url = f"/portfolios/{portfolio_id}{path}"
        assert (await call(node, stranger, "GET", url, 404))["code"] == "not_found"
        await call(node, weak, "GET", url, 403)
    foreign = {"name": "Theirs", "account_ids": [(await world.open_account()).account_id]}
    assert (await call(node, stranger, "POST", "/portfolios", 404, json=foreign))["status"] == 404


async def test_the_document_describes_every_parameter(node: Node, owner: Owner) -> None:
    document = (await node.client.get("/openapi.json")).json()
    operation = document["paths"]["/api/portfolios/{portfolio_id}/analytics"]["get"]
    names = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"}
    assert {"from", "to", "as_of", "rf", "mar", "frequency", "var", "metrics", "explain"} <= names
    assert all(
        parameter["description"] for parameter in operation["parameters"] if parameter["in"] == "query"
    )
