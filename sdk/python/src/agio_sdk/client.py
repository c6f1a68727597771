"""The client: one method per verb of the API, grouped where a room has many."""

import uuid
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Unpack

import msgspec

from agio_sdk.custody import Custody
from agio_sdk.ledger import Ledger
from agio_sdk.listing import Listing
from agio_sdk.market import Market
from agio_sdk.models import (
    Account,
    AccountEntry,
    Balance,
    Bar,
    Execution,
    Instrument,
    Me,
    Order,
    OrderType,
    Page,
    Portfolio,
    Position,
    Quote,
    Side,
    TimeInForce,
    Trade,
    Transfer,
)
from agio_sdk.pace import Pace
from agio_sdk.reconciliation import Reconciliation
from agio_sdk.socket import Encoding
from agio_sdk.statements import Statements, StatementVerbs
from agio_sdk.stream import Token
from agio_sdk.transport import Amount, Query, SubscribeOptions, Transport, amount_text, segment


class Agio(StatementVerbs, Transport):
    """An asynchronous client of one server with one key.

    Use it as `async with Agio(url, api_key, ca_file=...) as agio:`. What is not given is read from
    `AGIO_URL`, `AGIO_API_KEY` and `AGIO_CA_FILE`. `token` gives the credential instead of a key: it is asked
    for every request, and again whenever the stream needs a fresh one. `compress` offers compression to the
    stream's server.

    Requests that can be repeated safely are repeated up to three times with full jitter: reads, and writes
    that carry an id or an idempotency key (the client makes one where you give none).

    Rooms with many verbs are groups: `agio.market`, `agio.ledger`, `agio.custody`, `agio.statements`,
    `agio.reconciliation`.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        token: Token | None = None,
        ca_file: str | Path | None = None,
        encoding: Encoding = "json",
        compress: bool = False,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(
            url, api_key, token=token, ca_file=ca_file, encoding=encoding, compress=compress, pace=pace
        )
        self.market = Market(self)
        self.ledger = Ledger(self)
        self.custody = Custody(self)
        self.statements = Statements(self)
        self.reconciliation = Reconciliation(self)

    # Market data

    async def trades(self, symbol: str, **options: Unpack[SubscribeOptions]) -> AsyncGenerator[Trade, None]:
        """Trades of a symbol as they happen, without loss across reconnections.

        Options are those of `Stream.subscribe`: `start` begins with history, `position` where you were.
        """
        async for message in self.messages(f"trades:{symbol}", **options):
            yield msgspec.structs.replace(message.decode(Trade), seq=message.q)

    async def instruments(self) -> list[Instrument]:
        return (await self.get("/api/instruments", Page[Instrument])).items

    async def market_trades(
        self, symbol: str, *, after_seq: int | None = None, limit: int = 100, cursor: str | None = None
    ) -> Page[Trade]:
        """Stored trades in ascending sequence."""
        query: Query = {"after_seq": after_seq, "limit": limit, "cursor": cursor}
        return await self.get(f"/api/market/{symbol}/trades", Page[Trade], query)

    async def latest_trade(self, symbol: str) -> Trade:
        return await self.get(f"/api/market/{symbol}/trades/latest", Trade)

    async def quote(self, symbol: str) -> Quote:
        return await self.get(f"/api/market/{symbol}/quote", Quote)

    async def bars(
        self,
        symbol: str,
        interval: Literal["1s", "1m"] = "1m",
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Bar]:
        query: Query = {
            "interval": interval,
            "start": start.isoformat() if start else None,
            "end": end.isoformat() if end else None,
            "limit": limit,
            "cursor": cursor,
        }
        return await self.get(f"/api/market/{symbol}/bars", Page[Bar], query)

    # Accounts

    async def me(self) -> Me:
        return await self.get("/api/me", Me)

    async def accounts(self) -> list[Account]:
        return await self.listing("/api/accounts", Account).all()

    async def open_account(self, name: str, base_currency: str = "USD", *, key: str | None = None) -> Account:
        """Open an account; `key` makes a repetition by another call harmless."""
        body = {"name": name, "base_currency": base_currency}
        return await self.post("/api/accounts", Account, body, idempotency_key=key or uuid.uuid4().hex)

    async def account(self, account_id: str) -> Account:
        return await self.get(f"/api/accounts/{segment(account_id)}", Account)

    async def balances(self, account_id: str) -> list[Balance]:
        return (await self.get(f"/api/accounts/{segment(account_id)}/balances", Page[Balance])).items

    def balance_changes(self, account_id: str) -> AsyncGenerator[Balance, None]:
        """The newest balance of each asset of an account, now and whenever it changes."""
        return self.follow(f"balances:{account_id}", Balance)

    def account_entries(
        self, account_id: str, *, asset: str | None = None, page_size: int | None = None
    ) -> Listing[AccountEntry]:
        """An account's bookings, newest first."""
        query = {"asset": asset, "limit": page_size}
        return self.listing(f"/api/accounts/{segment(account_id)}/entries", AccountEntry, query)

    def transfers(self, account_id: str | None = None, *, page_size: int | None = None) -> Listing[Transfer]:
        """Transfers of one account or of all, newest first."""
        query = {"account_id": account_id, "limit": page_size}
        return self.listing("/api/transfers", Transfer, query)

    async def transfer(self, transfer_id: str) -> Transfer:
        return await self.get(f"/api/transfers/{segment(transfer_id)}", Transfer)

    async def deposit(
        self,
        account_id: str,
        asset: str,
        amount: Amount,
        *,
        reference: str | None = None,
        key: str | None = None,
    ) -> Transfer:
        """Move money in from the sandbox rail; `key` makes a repetition harmless."""
        return await self._transfer("deposit", account_id, asset, amount, reference, key)

    async def withdraw(
        self,
        account_id: str,
        asset: str,
        amount: Amount,
        *,
        reference: str | None = None,
        key: str | None = None,
    ) -> Transfer:
        """Move money out to the sandbox rail; `key` makes a repetition harmless."""
        return await self._transfer("withdrawal", account_id, asset, amount, reference, key)

    async def _transfer(
        self,
        direction: str,
        account_id: str,
        asset: str,
        amount: Amount,
        reference: str | None,
        key: str | None,
    ) -> Transfer:
        body = {
            "account_id": account_id,
            "direction": direction,
            "asset": asset,
            "amount": amount_text(amount),
        }
        if reference is not None:
            body["reference"] = reference
        return await self.post("/api/transfers", Transfer, body, idempotency_key=key or uuid.uuid4().hex)

    # Orders

    async def place_order(
        self,
        account_id: str,
        symbol: str,
        side: Side,
        quantity: Amount,
        *,
        type: OrderType = "market",  # noqa: A002 - the field's word
        limit_price: Amount | None = None,
        time_in_force: TimeInForce | None = None,
        client_order_id: str | None = None,
    ) -> Order:
        """Place an order; returns once it is durable and its money or securities are held.

        Repeating a call with the same `client_order_id` and body returns the same order.
        """
        body = {
            "account_id": account_id,
            "symbol": symbol,
            "side": side,
            "type": type,
            "quantity": amount_text(quantity),
            "client_order_id": client_order_id or uuid.uuid4().hex,
        }
        if limit_price is not None:
            body["limit_price"] = amount_text(limit_price)
        if time_in_force is not None:
            body["time_in_force"] = time_in_force
        return await self.request("POST", "/api/orders", Order, body=body, is_repeatable=True)

    async def order(self, order_id: str) -> Order:
        return await self.get(f"/api/orders/{order_id}", Order)

    async def orders(
        self,
        account_id: str,
        *,
        status: Literal["open", "closed", "all"] = "open",
        symbol: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[Order]:
        query: Query = {
            "account_id": account_id,
            "status": status,
            "symbol": symbol,
            "limit": limit,
            "cursor": cursor,
        }
        return await self.get("/api/orders", Page[Order], query)

    async def cancel_order(self, order_id: str) -> Order:
        """Ask for cancellation; the stream tells when the venue has confirmed it."""
        return await self.request("DELETE", f"/api/orders/{order_id}", Order, is_repeatable=True)

    async def executions(
        self, account_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> Page[Execution]:
        query: Query = {"account_id": account_id, "limit": limit, "cursor": cursor}
        return await self.get("/api/executions", Page[Execution], query)

    # Portfolios

    async def portfolios(self) -> list[Portfolio]:
        return (await self.get("/api/portfolios", Page[Portfolio])).items

    async def positions(self, portfolio_id: str) -> list[Position]:
        return (await self.get(f"/api/portfolios/{portfolio_id}/positions", Page[Position])).items

    async def portfolio_analytics(self, portfolio_id: str, **query: str | int) -> dict[str, Any]:
        """Every metric with value, unit, convention, n and null_reason.

        `explain="true"` adds inputs and formulas.
        """
        return await self.get(f"/api/portfolios/{portfolio_id}/analytics", dict[str, Any], query)
