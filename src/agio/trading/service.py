"""Use cases of the API: place, cancel, read."""

from collections.abc import Awaitable, Callable

from agio.custody.api import Account, Custody, Frozen
from agio.identity.api import Principal
from agio.kernel.ids import AccountId, OrderId, new_id
from agio.kernel.money import format_decimal
from agio.kernel.page import InvalidCursor, Page, check_limit, decode_cursor, encode_cursor, read_id_cursor
from agio.kernel.problem import NotFound, Problem
from agio.ledger.api import InsufficientFunds, Ledger, Result, ResultCode, problem_of
from agio.marketdata.api import Instrument, Instruments, Market, UnknownInstrument
from agio.platform.clock import Clock
from agio.platform.db import Database, Event
from agio.trading import store
from agio.trading.acceptance import Acceptance, Accepted, Refused, Stopped, Stored
from agio.trading.accounts import TradingAccounts
from agio.trading.admission import Terms, admit, read_terms, require_same
from agio.trading.api import OrderFilter, PlacedOrder, PlaceOrder
from agio.trading.errors import AccountNotTradable, OrderAlreadyClosed, UnknownSymbol
from agio.trading.events import ORDER_UPDATED, orders_channel
from agio.trading.model import Execution, Order, OrderAction, OrderStatus, act, hold_of
from agio.trading.schemas import order_json, view_order
from agio.trading.settings import TradingSettings

CANCEL_LIMIT = 1000


class TradingService:
    """Implements `api.Trading` on the API's database role."""

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        custody: Custody,
        instruments: Instruments,
        market: Market,
        clock: Clock,
        nudge_venue: Callable[[], Awaitable[None]],
        settings: TradingSettings | None = None,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._custody = custody
        self._instruments = instruments
        self._market = market
        self._clock = clock
        self._nudge_venue = nudge_venue
        self._settings = settings or TradingSettings()
        self._accounts = TradingAccounts(database, custody, clock)
        self._acceptance = Acceptance(
            database, ledger, custody, clock, nudge_venue, self._settings.acceptance_deadline_seconds
        )

    async def place_order(self, principal: Principal, request: PlaceOrder) -> PlacedOrder:
        account = await self._accounts.find(principal, request.account_id)
        terms = read_terms(request, await self._instrument(request.symbol), self._settings)
        try:
            _require_tradable(account)
            order = admit(
                principal,
                request,
                terms,
                await self._last_price(request),
                self._settings,
                OrderId(new_id("ord")),
                self._clock.now(),
            )
        except Problem:
            # What time can change must not turn the repeat of an accepted order into a refusal.
            replay = await self._replay(principal, request, terms)
            if replay is None:
                raise
            return replay
        await self._accounts.register(principal, request.account_id)
        match await self._acceptance.accept(order, principal.key_id):
            case Accepted(order):
                return PlacedOrder(order, is_replay=False)
            case Stored(stored):
                require_same(stored, request, terms)
                return PlacedOrder(stored, is_replay=True)
            case Refused(result):
                raise await self._refusal(principal, order, result)
            case Stopped(freezes):
                raise Frozen("the house, the account or your key is frozen", extra={"freezes": freezes})
        raise NotFound("no such account")

    async def cancel_order(self, principal: Principal, order_id: OrderId) -> Order:
        async with self._database.transaction(principal.scope) as tx:
            order = await store.lock_order(tx, order_id)
            if order is None:
                raise NotFound("no such order")
            if not order.is_open:
                raise OrderAlreadyClosed(f"the order is {order.status}", extra={"order": view_order(order)})
            if order.status is OrderStatus.PENDING_CANCEL:
                return order
            after = act(order, OrderAction.REQUEST_CANCEL, self._clock.now())
            await store.write_cancel_requests(tx, [after], [_updated(after, principal)])
        await self._nudge_venue()
        return after

    async def cancel_all(self, principal: Principal, account_id: AccountId) -> list[Order]:
        await self._custody.account(principal, account_id)
        now = self._clock.now()
        async with self._database.transaction(principal.scope) as tx:
            orders = await store.lock_open_orders(tx, account_id, CANCEL_LIMIT)
            after = [
                order
                if order.status is OrderStatus.PENDING_CANCEL
                else act(order, OrderAction.REQUEST_CANCEL, now)
                for order in orders
            ]
            changed = [new for old, new in zip(orders, after, strict=True) if new is not old]
            if changed:
                events = [_updated(order, principal) for order in changed]
                await store.write_cancel_requests(tx, changed, events)
        if changed:
            await self._nudge_venue()
        return after

    async def order(self, principal: Principal, order_id: OrderId) -> Order:
        async with self._database.transaction(principal.scope) as tx:
            order = await store.find_order(tx, order_id)
        if order is None:
            raise NotFound("no such order")
        return order

    async def orders(
        self, principal: Principal, wanted: OrderFilter, *, limit: int = 100, cursor: str | None = None
    ) -> Page[Order]:
        check_limit(limit)
        if wanted.account_id is not None:
            await self._custody.account(principal, wanted.account_id)
        before = read_id_cursor(cursor, "before", "ord")
        async with self._database.transaction(principal.scope) as tx:
            found = await store.list_orders(tx, wanted, before, limit + 1)
        items = found[:limit]
        more = encode_cursor({"before": items[-1].order_id}) if len(found) > limit else None
        return Page(items, more)

    async def executions(
        self,
        principal: Principal,
        *,
        account_id: AccountId | None = None,
        order_id: OrderId | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Execution]:
        check_limit(limit)
        if account_id is not None:
            await self._custody.account(principal, account_id)
        if order_id is not None:
            await self.order(principal, order_id)
        before = _read_number(cursor)
        async with self._database.transaction(principal.scope) as tx:
            found = await store.list_executions(tx, account_id, order_id, before, limit + 1)
        items = found[:limit]
        more = encode_cursor({"before": items[-1][0]}) if len(found) > limit else None
        return Page([execution for _, execution in items], more)

    async def drain(self) -> None:
        """Wait until every order in hand has been answered."""
        await self._acceptance.drain()

    async def _instrument(self, symbol: str) -> Instrument:
        try:
            return await self._instruments.instrument(symbol)
        except UnknownInstrument as error:
            raise UnknownSymbol(
                "no instrument has this symbol: see GET /api/instruments", extra={"field": "symbol"}
            ) from error

    async def _last_price(self, request: PlaceOrder) -> int | None:
        if request.type == "limit":
            return None
        last = self._market.last_seen(request.symbol) or await self._market.latest_trade(request.symbol)
        if last is not None:
            return last.price
        quote = await self._market.latest_quote(request.symbol)
        return ((quote.ask if request.side == "buy" else quote.bid) or None) if quote is not None else None

    async def _replay(self, principal: Principal, request: PlaceOrder, terms: Terms) -> PlacedOrder | None:
        if request.client_order_id is None:
            return None
        async with self._database.transaction(principal.scope) as tx:
            stored = await store.find_by_client_order_id(tx, request.account_id, request.client_order_id)
        if stored is None:
            return None
        require_same(stored, request, terms)
        return PlacedOrder(stored, is_replay=True)

    async def _refusal(self, principal: Principal, order: Order, result: Result) -> Problem:
        """What the ledger's refusal of the hold means to the client."""
        if result.code not in (ResultCode.INSUFFICIENT_FUNDS, ResultCode.UNKNOWN_ACCOUNT):
            if result.code in (ResultCode.ACCOUNT_CLOSED, ResultCode.ACCOUNT_FROZEN):
                return AccountNotTradable(f"{result.code}: {result.detail}")
            return problem_of(result.code, result.detail)
        address, required = hold_of(order)
        async with self._database.transaction(principal.scope) as tx:
            balances = await self._ledger.balances_of(tx, [address])
        return _not_enough(order, required, balances[0].available if balances else 0)


def _read_number(cursor: str | None) -> int | None:
    """The execution number before which a page begins. Raises InvalidCursor."""
    if cursor is None:
        return None
    before = decode_cursor(cursor).get("before")
    if not isinstance(before, int):
        raise InvalidCursor("use next_cursor exactly as the previous page gave it")
    return before


def _not_enough(order: Order, required: int, available: int) -> InsufficientFunds:
    asset = order.quote_asset if order.side == "buy" else order.base_asset
    scale = order.quote_scale if order.side == "buy" else order.quantity_scale
    needed, present = format_decimal(required, scale), format_decimal(available, scale)
    return InsufficientFunds(
        f"the order needs {needed} {asset} and {present} are available",
        extra={"asset": asset, "required": needed, "available": present},
    )


def _require_tradable(account: Account) -> None:
    if not account.is_open:
        raise AccountNotTradable(f"the account is {account.status}")


def _updated(order: Order, principal: Principal) -> Event:
    return Event(
        channel=orders_channel(order.account_id),
        kind=ORDER_UPDATED,
        body=order_json(order),
        occurred_at=order.updated_at,
        scope=principal.scope,
    )
