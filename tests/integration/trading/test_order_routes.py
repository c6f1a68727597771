"""Orders over HTTP: what clients see, on the real stack of identity, custody, ledger and trading."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from tests.integration.trading.world import CLOCK, RecordedTape, StaticInstruments, count
from tests.nodes import Node, Owner, make_owner

from agio.custody.freezes.model import FreezeKind
from agio.custody.freezes.service import Freezes
from agio.custody.service import CustodyService
from agio.kernel.ids import KeyId, new_id
from agio.kernel.time import to_micros
from agio.ledger.service import LedgerService
from agio.marketdata.api import Fence, Trade
from agio.platform import leases
from agio.platform.bus import Bus
from agio.platform.channels import UnknownChannel
from agio.platform.db import Database
from agio.platform.relay import OutboxRelay
from agio.trading.jobs import TAPE_DUTY, TapeRunner
from agio.trading.routes import build_router
from agio.trading.service import TradingService
from agio.trading.stream import build_channels

NINE = to_micros(datetime(2013, 9, 2, 9, tzinfo=UTC)) * 1000


class Desk(NamedTuple):
    """A node that takes orders, one customer, and the tape's runner behind."""

    node: Node
    owner: Owner
    account_id: str
    tape: RecordedTape
    runner: TapeRunner
    custody: CustodyService
    app: Database
    engine: Database

    async def post(self, **changes: object) -> httpx.Response:
        body = {
            "account_id": self.account_id,
            "symbol": "ES",
            "side": "buy",
            "type": "limit",
            "quantity": "10",
            "limit_price": "1640.25",
        }
        content = {name: value for name, value in (body | changes).items() if value is not None}
        return await self.node.client.post("/api/orders", json=content, headers=self.owner.headers)

    async def get(self, path: str) -> httpx.Response:
        return await self.node.client.get(path, headers=self.owner.headers)

    async def delete(self, path: str) -> httpx.Response:
        return await self.node.client.delete(path, headers=self.owner.headers)

    async def print(self, *items: tuple[int, int]) -> None:
        await self.hear()
        trades = [Trade(NINE, price, size) for price, size in items]
        await self.runner.on_trades("ES", self.tape.append(trades))

    async def hear(self) -> None:
        self.runner._polled_at = float("-inf")
        await self.runner.hear_commands()


@pytest.fixture
async def bus(nats_url: str) -> AsyncIterator[Bus]:
    bus = Bus(nats_url, name="test-trading")
    await bus.open()
    yield bus
    await bus.close()


@pytest.fixture
async def desk(app_database: Database, engine_database: Database, bus: Bus) -> AsyncIterator[Desk]:
    ledger, tape, instruments = LedgerService(app_database, CLOCK), RecordedTape(), StaticInstruments()
    custody = CustodyService(app_database, ledger, CLOCK)

    async def nudge() -> None:
        return None

    service = TradingService(app_database, ledger, custody, instruments, tape, CLOCK, nudge)
    lease = await leases.acquire(engine_database, CLOCK, TAPE_DUTY, "test")
    assert lease is not None
    runner = TapeRunner(
        engine_database,
        LedgerService(engine_database, CLOCK),
        instruments,
        tape,
        tape,
        bus,
        CLOCK,
        Fence(lease.duty, lease.token),
    )
    async with Node(app_database, bus, [build_router(service)]) as node:
        owner = await make_owner(node)
        async with app_database.transaction(owner.principal.scope) as tx:
            account = await custody.open_account(tx, "Trading", "USD")
            await custody.transfer(tx, account.account_id, "deposit", "USD", "1000000.00")
        yield Desk(node, owner, account.account_id, tape, runner, custody, app_database, engine_database)


class TestPlaceOrder:
    async def test_answer_is_the_whole_order(self, desk: Desk) -> None:
        answer = await desk.post(client_order_id="mine-1")
        assert answer.status_code == 201
        order = answer.json()
        assert {name: order[name] for name in order if not name.endswith("_at") and name != "order_id"} == {
            "account_id": desk.account_id,
            "client_order_id": "mine-1",
            "symbol": "ES",
            "side": "buy",
            "type": "limit",
            "time_in_force": "day",
            "quantity": "10",
            "limit_price": "1640.25",
            "status": "pending_new",
            "filled_quantity": "0",
            "leaves_quantity": "10",
            "average_price": None,
            "fees": "0.00",
            "reject_reason": None,
            "version": 1,
        }
        assert (await desk.get(f"/api/orders/{order['order_id']}")).json() == order

    async def test_repeat_is_replayed_and_says_so(self, desk: Desk) -> None:
        first, again = await desk.post(client_order_id="a"), await desk.post(client_order_id="a")
        assert (again.status_code, again.headers["Idempotent-Replay"]) == (200, "true")
        assert again.json() == first.json()

    @pytest.mark.parametrize("kind", ["house", "account", "key"])
    async def test_a_freeze_stops_new_orders_and_nothing_else(self, desk: Desk, kind: FreezeKind) -> None:
        """What was accepted before is still answered, may be canceled, and new orders follow the thaw."""
        freezes, tenant = Freezes(CLOCK), desk.owner.principal
        resting = (await desk.post(client_order_id="before")).json()
        target = {"house": None, "account": desk.account_id, "key": tenant.key_id}[kind]
        async with desk.app.transaction(tenant.scope) as tx:
            freeze = await freezes.place(tx, kind, target, "a look", KeyId(new_id("key")))

        refused = await desk.post(client_order_id="after")
        again = await desk.post(client_order_id="before")
        canceled = await desk.delete(f"/api/orders/{resting['order_id']}")

        assert (refused.status_code, refused.json()["code"]) == (409, "frozen")
        assert refused.json()["freezes"] == [freeze.freeze_id]
        assert (again.status_code, again.json()["order_id"]) == (200, resting["order_id"])
        assert canceled.status_code == 202
        async with desk.app.transaction(tenant.scope) as tx:
            await freezes.lift(tx, freeze.freeze_id, KeyId(new_id("key")))
        assert (await desk.post(client_order_id="after")).status_code == 201

    async def test_repeat_with_another_body_names_the_field(self, desk: Desk) -> None:
        await desk.post(client_order_id="a")
        answer = await desk.post(client_order_id="a", quantity="11")
        assert (answer.status_code, answer.json()["code"]) == (422, "client_order_id_conflict")
        assert answer.json()["differs"] == "quantity"

    async def test_repeat_of_an_accepted_market_order_needs_no_price(self, desk: Desk) -> None:
        await desk.print((164000, 1))
        market = {"type": "market", "limit_price": None, "client_order_id": "m"}
        first = await desk.post(**market)
        desk.tape.trades.clear()
        again = await desk.post(**market)
        assert (again.status_code, again.json()["order_id"]) == (200, first.json()["order_id"])

    async def test_insufficient_funds_tell_required_and_available(self, desk: Desk) -> None:
        answer = await desk.post(quantity="1000")
        assert answer.status_code == 422
        assert {name: answer.json()[name] for name in ("code", "asset", "required", "available")} == {
            "code": "insufficient_funds",
            "asset": "USD",
            "required": "1641070.13",
            "available": "1000000.00",
        }
        assert await count(desk.engine, "trading.orders") == 0

    async def test_sale_of_what_one_does_not_have(self, desk: Desk) -> None:
        answer = await desk.post(side="sell")
        assert (answer.status_code, answer.json()["code"]) == (422, "insufficient_funds")
        assert (answer.json()["asset"], answer.json()["available"]) == ("ES", "0")

    @pytest.mark.parametrize(
        ("changes", "status", "code"),
        [
            ({"symbol": "NOPE"}, 422, "unknown_symbol"),
            ({"account_id": "acc_00000000000000000000"}, 404, "not_found"),
            ({"quantity": "0"}, 422, "invalid_quantity"),
            ({"quantity": "NaN"}, 422, "invalid_quantity"),
            ({"quantity": 10}, 422, "invalid_request"),
            ({"side": "hold"}, 422, "invalid_request"),
            ({"colour": "red"}, 422, "invalid_request"),
            ({"type": "market", "limit_price": None}, 409, "no_market_price"),
        ],
    )
    async def test_bad_input_changes_nothing(
        self, desk: Desk, changes: dict[str, object], status: int, code: str
    ) -> None:
        answer = await desk.post(**changes)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert await count(desk.engine, "trading.orders") == 0

    async def test_two_hundred_at_once_stand_once_each(self, desk: Desk) -> None:
        answers = await asyncio.gather(
            *(desk.post(quantity="1", client_order_id=f"c{number % 100}") for number in range(200))
        )
        codes = [answer.status_code for answer in answers]
        assert (codes.count(201), codes.count(200)) == (100, 100)
        assert await count(desk.engine, "trading.orders") == 100


class TestFollowOrder:
    async def test_fills_show_in_order_executions_and_money(self, desk: Desk) -> None:
        order_id = (await desk.post()).json()["order_id"]
        await desk.print((164000, 4), (164025, 6))
        order = (await desk.get(f"/api/orders/{order_id}")).json()
        assert (order["status"], order["filled_quantity"], order["average_price"], order["fees"]) == (
            "filled",
            "10",
            "1640.150000",
            "8.21",
        )
        fills = (await desk.get(f"/api/orders/{order_id}/executions")).json()["items"]
        assert [(fill["price"], fill["quantity"], fill["fee"]) for fill in fills] == [
            ("1640.25", "6", "4.93"),
            ("1640.00", "4", "3.28"),
        ]
        by_account = (await desk.get(f"/api/executions?account_id={desk.account_id}")).json()["items"]
        assert by_account == fills

    async def test_stream_tells_what_rest_shows(self, desk: Desk, bus: Bus) -> None:
        order_id = (await desk.post()).json()["order_id"]
        await desk.print((164000, 10))
        await bus.ensure_event_stream()
        relay = OutboxRelay(desk.engine, bus)
        await relay._move_and_publish()
        orders, fills = build_channels(desk.app, desk.custody)
        told = await (await orders.open(desk.owner.principal, desk.account_id)).replay(0, 100)
        assert [push.q for push in told] == list(range(1, len(told) + 1))
        assert msgspec.json.decode(told[-1].d) == (await desk.get(f"/api/orders/{order_id}")).json()
        handle = await fills.open(desk.owner.principal, desk.account_id)
        (fill,) = await handle.replay(0, 100)
        (shown,) = (await desk.get(f"/api/orders/{order_id}/executions")).json()["items"]
        assert msgspec.json.decode(fill.d) == shown


class TestCancelOrder:
    async def test_cancel_is_idempotent_until_the_venue_has_answered(self, desk: Desk) -> None:
        order_id = (await desk.post()).json()["order_id"]
        first, again = [await desk.delete(f"/api/orders/{order_id}") for _ in range(2)]
        assert (first.status_code, first.json()["status"]) == (202, "pending_cancel")
        assert again.json() == first.json()
        assert await count(desk.engine, "trading.venue_command", "kind = 'cancel'") == 1
        await desk.hear()
        late = await desk.delete(f"/api/orders/{order_id}")
        assert (late.status_code, late.json()["code"]) == (409, "order_already_closed")
        assert late.json()["order"]["status"] == "canceled"

    async def test_cancel_all_of_an_account(self, desk: Desk) -> None:
        for _ in range(3):
            await desk.post()
        answer = await desk.delete(f"/api/orders?account_id={desk.account_id}")
        assert answer.status_code == 202
        assert [item["status"] for item in answer.json()["items"]] == ["pending_cancel"] * 3
        await desk.hear()
        closed = (await desk.get("/api/orders?status=closed")).json()["items"]
        assert [item["status"] for item in closed] == ["canceled"] * 3


class TestListOrders:
    async def test_pages_join_without_gap_or_overlap(self, desk: Desk) -> None:
        placed = [(await desk.post(quantity="1")).json()["order_id"] for _ in range(7)]
        seen: list[str] = []
        path = "/api/orders?limit=3"
        while True:
            page: dict[str, Any] = (await desk.get(path)).json()
            seen += [item["order_id"] for item in page["items"]]
            if page["next_cursor"] is None:
                break
            path = f"/api/orders?limit=3&cursor={page['next_cursor']}"
        assert seen == sorted(placed, reverse=True)

    @pytest.mark.parametrize("query", ["limit=0", "limit=1001", "cursor=x", "status=odd", "cursor=e30"])
    async def test_bad_query_is_refused(self, desk: Desk, query: str) -> None:
        for path in ("/api/orders", "/api/executions"):
            answer = await desk.get(f"{path}?{query}")
            if "status" in query and path == "/api/executions":
                continue
            assert 400 <= answer.status_code < 500, query


class TestAnotherOrganisation:
    async def test_its_ids_do_not_exist(self, desk: Desk) -> None:
        order_id = (await desk.post()).json()["order_id"]
        stranger = await make_owner(desk.node, "Stranger")
        client = desk.node.client
        for method, path in (
            ("GET", f"/api/orders/{order_id}"),
            ("DELETE", f"/api/orders/{order_id}"),
            ("GET", f"/api/orders/{order_id}/executions"),
            ("GET", f"/api/orders?account_id={desk.account_id}"),
            ("DELETE", f"/api/orders?account_id={desk.account_id}"),
            ("GET", f"/api/executions?account_id={desk.account_id}"),
        ):
            answer = await client.request(method, path, headers=stranger.headers)
            assert answer.status_code == 404, (method, path)
        assert (await client.get("/api/orders", headers=stranger.headers)).json()["items"] == []

    async def test_its_channels_do_not_exist(self, desk: Desk) -> None:
        stranger = await make_owner(desk.node, "Stranger")
        for kind in build_channels(desk.app, desk.custody):
            with pytest.raises(UnknownChannel):
                await kind.open(stranger.principal, desk.account_id)
