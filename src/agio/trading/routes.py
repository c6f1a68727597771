"""`/api/orders`, `/api/executions`."""

from typing import Literal

from litestar import Response, Router, delete, get, post
from litestar.openapi import ResponseSpec

from agio.identity.api import Principal
from agio.kernel.ids import AccountId, OrderId
from agio.kernel.page import DEFAULT_LIMIT
from agio.trading.api import OrderFilter, PlaceOrder, Trading
from agio.trading.schemas import (
    ExecutionPage,
    OrderPage,
    OrderView,
    view_execution,
    view_order,
)

REPLAY_HEADER = "Idempotent-Replay"
_STORED = ResponseSpec(
    OrderView, generate_examples=False, description="This order was accepted before; it is shown as it stands"
)


def build_router(trading: Trading) -> Router:
    """The room's routes."""

    @post("/orders", opt={"scope": "orders:write"}, responses={200: _STORED})
    async def place_order(principal: Principal, data: PlaceOrder) -> Response[OrderView]:
        """Accept an order; the same client_order_id and body answer the stored order with 200."""
        placed = await trading.place_order(principal, data)
        return Response(
            view_order(placed.order),
            status_code=200 if placed.is_replay else 201,
            headers={REPLAY_HEADER: "true"} if placed.is_replay else {},
        )

    @get("/orders", opt={"scope": "orders:read"})
    async def list_orders(
        principal: Principal,
        account_id: str | None = None,
        symbol: str | None = None,
        status: Literal["open", "closed", "all"] = "all",
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> OrderPage:
        """Orders of this environment, newest first."""
        wanted = OrderFilter(AccountId(account_id) if account_id is not None else None, symbol, status)
        page = await trading.orders(principal, wanted, limit=limit, cursor=cursor)
        return OrderPage([view_order(order) for order in page.items], page.next_cursor)

    @get("/orders/{order_id:str}", opt={"scope": "orders:read"})
    async def show_order(principal: Principal, order_id: str) -> OrderView:
        """One order as it stands."""
        return view_order(await trading.order(principal, OrderId(order_id)))

    @get("/orders/{order_id:str}/executions", opt={"scope": "orders:read"})
    async def list_fills(
        principal: Principal, order_id: str, limit: int = DEFAULT_LIMIT, cursor: str | None = None
    ) -> ExecutionPage:
        """Fills of one order, newest first."""
        page = await trading.executions(principal, order_id=OrderId(order_id), limit=limit, cursor=cursor)
        return ExecutionPage([view_execution(item) for item in page.items], page.next_cursor)

    @get("/executions", opt={"scope": "orders:read"})
    async def list_executions(
        principal: Principal,
        account_id: str | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> ExecutionPage:
        """Fills of one account or of all, newest first."""
        account = AccountId(account_id) if account_id is not None else None
        page = await trading.executions(principal, account_id=account, limit=limit, cursor=cursor)
        return ExecutionPage([view_execution(item) for item in page.items], page.next_cursor)

    @delete("/orders/{order_id:str}", opt={"scope": "orders:write"}, status_code=202)
    async def cancel_order(principal: Principal, order_id: str) -> OrderView:
        """Ask the venue to cancel; the outcome comes on the stream, as a fill may still win."""
        return view_order(await trading.cancel_order(principal, OrderId(order_id)))

    @delete("/orders", opt={"scope": "orders:write"}, status_code=202)
    async def cancel_all(principal: Principal, account_id: str) -> OrderPage:
        """Ask the venue to cancel every open order of an account, at most 1,000 at a time."""
        orders = await trading.cancel_all(principal, AccountId(account_id))
        return OrderPage([view_order(order) for order in orders], None)

    return Router(
        "/api",
        route_handlers=[
            place_order,
            list_orders,
            show_order,
            list_fills,
            list_executions,
            cancel_order,
            cancel_all,
        ],
        tags=["Trading"],
    )
