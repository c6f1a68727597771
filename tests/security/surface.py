"""What the authorization matrix walks over: operations, channels, and objects that belong to somebody."""

import ipaddress
import os
from collections.abc import Sequence
from typing import Any, Final

import httpx
from litestar import Litestar
from tests.nodes import bearer, connect

from agio.identity.service import IdentityService
from agio.platform.channels import ChannelKind
from agio.platform.http import Operation, list_operations

SHARED_PARAMETERS: Final = {"symbol": "NOPE-USD", "code": "nothing", "replay_id": "rep_nothing"}
"""Path parameters that name no tenant's object, with a value that exists nowhere."""

SHARED_CHANNELS: Final = {"trades", "quotes", "book", "bars"}
"""Channels of the market, which is the same for everybody."""

OUTSIDE: Final = "192.0.2.10"
"""An address that is not this machine's."""

CHANNEL_KEYS: Final = {
    "orders": "account_id",
    "fills": "account_id",
    "ledger": "account_id",
    "balances": "account_id",
    "positions": "portfolio_id",
    "analytics": "portfolio_id",
}
"""Whose object a tenant's channel is named after."""


class Surface:
    """An application, its channels, and the means to make organisations."""

    def __init__(self, app: Litestar, channels: Sequence[ChannelKind], identity: IdentityService) -> None:
        self.app = app
        self.channels = list(channels)
        self.identity = identity
        self.operations: list[Operation] = list_operations(app)
        self.client = connect(app, client_ip=OUTSIDE)
        self._addresses = ipaddress.ip_network("198.18.0.0/15").hosts()
        self.writes_docs = bool(os.environ.get("AGIO_WRITE_DOCS"))

    def offers(self, method: str, path: str) -> bool:
        return any((operation.method, operation.path) == (method, path) for operation in self.operations)

    async def call(self, operation: Operation, secret: str | None, **values: str) -> httpx.Response:
        """Call an operation; path parameters that are not given get values that exist nowhere."""
        path = operation.path.format_map(_Values({**SHARED_PARAMETERS, **values}))
        headers = bearer(secret) if secret is not None else {}
        body = {} if operation.body_type is not None else None
        # Each call comes from an address of its own, as the matrix fails more often than one may.
        client = connect(self.app, client_ip=str(next(self._addresses)))
        return await client.request(operation.method, path, headers=headers, json=body)


class _Values(dict[str, str]):
    """Given values, and a well-formed id of nothing for every other path parameter."""

    def __missing__(self, name: str) -> str:
        return f"{name[:3]}_{'0' * 20}"


async def seed(surface: Surface, secret: str, key_id: str) -> dict[str, str]:
    """Make one object of each kind as the holder of a key; their ids by parameter name."""
    ids = {"key_id": key_id}

    async def make(path: str, body: dict[str, Any], *names: str) -> None:
        if not surface.offers("POST", path):
            return
        answer = await surface.client.post(path, json=body, headers=bearer(secret))
        assert answer.status_code == 201, f"{path}: {answer.text}"
        ids.update({name: answer.json()[name] for name in names})

    await make("/api/accounts", {"name": "Main"}, "account_id")
    account_id = ids.get("account_id", "")
    deposit = {"account_id": account_id, "direction": "deposit", "asset": "USD", "amount": "1000.00"}
    await make("/api/transfers", deposit, "transfer_id", "journal_id")
    await make("/api/portfolios", {"name": "All", "account_ids": [account_id]}, "portfolio_id")
    await make("/api/orders", order_for(account_id), "order_id")
    return ids


def order_for(account_id: str) -> dict[str, str]:
    """A limit order that rests."""
    return {
        "account_id": account_id,
        "symbol": "ACME-USD",
        "side": "buy",
        "type": "limit",
        "quantity": "1",
        "limit_price": "1.00",
    }


def bodies_naming(ids: dict[str, str]) -> dict[tuple[str, str], dict[str, Any]]:
    """For every operation whose body can name a tenant's object: a body that names these."""
    account_id = ids.get("account_id", "")
    return {
        ("POST", "/api/transfers"): {
            "account_id": account_id,
            "direction": "withdrawal",
            "asset": "USD",
            "amount": "1.00",
        },
        ("POST", "/api/portfolios"): {"name": "Theirs", "account_ids": [account_id]},
        ("POST", "/api/orders"): order_for(account_id),
    }
