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

SHARED_PARAMETERS: Final = {
    "symbol": "NOPE-USD",
    "code": "nothing",
    "replay_id": "rep_nothing",
    "connection_id": "con_nothing",
}
"""Path parameters that name no tenant's object, with a value that exists nowhere.

A connection needs a socket, which test_stream_matrix.py opens."""

ENDLESS: Final = {"/stream/sse"}
"""Operations whose answers do not end; test_stream_matrix.py asks them for every channel."""

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
    "custody": "tenant",
}
"""Whose object a tenant's channel is named after."""

NOBODY: Final = "0" * 20
REASON: Final = {"reason": "matrix"}
CONSENT: Final = {"credential_id": f"crd_{NOBODY}", "digest": "00" * 32, "code": "000000"}
POSITIONS: Final = {"source": "bank", "as_of": "2026-01-01T00:00:00Z", "content": "asset,quantity\nUSD,1\n"}
BODIES: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("POST", "/api/accounts/{account_id}/external-statements"): POSITIONS,
    ("POST", "/api/breaks/{break_id}/explain"): REASON,
    ("POST", "/api/breaks/{break_id}/resolve"): REASON,
    ("POST", "/api/holds/{hold_id}/capture"): {"to": "nobody:USD", "amount": "1.00"},
    ("PUT", "/api/ledger/accounts/{ledger_address}/minimum-balance"): {"minimum_balance": "0.00"},
    ("POST", "/api/vaults/{vault_id}/sub-accounts"): {"asset": "EUR", "location": "cold"},
    ("POST", "/api/vaults/{vault_id}/deposits"): {"sub_account_id": f"sub_{NOBODY}", "amount": "1.00"},
    ("POST", "/api/custody/credentials/{credential_id}/confirm"): {"code": "000000"},
    ("POST", "/api/custody/policy/drafts/{policy_id}/approvals"): CONSENT,
    ("POST", "/api/custody/requests/{request_id}/approvals"): CONSENT,
    ("POST", "/api/custody/requests/{request_id}/cancel"): REASON,
    ("POST", "/api/custody/requests/{request_id}/reject"): REASON,
    ("POST", "/api/custody/requests/{request_id}/fail"): REASON,
    ("POST", "/api/custody/requests/{request_id}/settle"): {"external_reference": "matrix"},
}
"""Bodies of operations on one object that do not accept an empty one."""

JANUARY: Final = {"from": "2026-01-01", "to": "2026-01-31"}
QUERIES: Final = {
    "/api/accounts/{account_id}/statements": JANUARY,
    "/api/journals": {"reference": "nobody"},
    "/api/vaults/{vault_id}/sub-accounts/{sub_account_id}/statements": JANUARY,
}
"""Query parameters without which an operation says nothing."""


NOT_THERE: Final = (404, "not_found")
ANSWERS: Final[dict[tuple[str, str], tuple[int, str]]] = {
    ("POST", "/api/journals"): (404, "unknown_account"),
    ("POST", "/api/journals/batch"): (422, "batch_refused"),
    ("POST", "/api/holds"): (404, "unknown_account"),
}
"""What the ledger answers to a body that names what is not there: codes of its own."""


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
        known = BODIES.get((operation.method, operation.path), {})
        body = known if operation.body_type is not None else None
        # Each call comes from an address of its own, as the matrix fails more often than one may.
        client = connect(self.app, client_ip=str(next(self._addresses)))
        query = QUERIES.get(operation.path)
        return await client.request(operation.method, path, headers=headers, json=body, params=query)


class _Values(dict[str, str]):
    """Given values, and a well-formed id of nothing for every other path parameter."""

    def __missing__(self, name: str) -> str:
        return f"{name[:3]}_{'0' * 20}"


async def seed(surface: Surface, secret: str, key_id: str) -> dict[str, str]:
    """Make one object of each kind as the holder of a key; their ids by parameter name."""
    ids = {"key_id": key_id}

    async def make(path: str, body: dict[str, Any], *names: str) -> None:
        if not surface.offers("POST", path.replace(ids.get("account_id", "-"), "{account_id}")):
            return
        answer = await surface.client.post(path, json=body, headers=bearer(secret))
        assert answer.status_code == 201, f"{path}: {answer.text}"
        ids.update({name: answer.json()[name] for name in names})

    me = (await surface.client.get("/api/me", headers=bearer(secret))).json()
    ids["tenant"] = f"{me['organisation_id']}:{me['environment']}"
    await make("/api/accounts", {"name": "Main"}, "account_id")
    account_id = ids.get("account_id", "")
    deposit = {"account_id": account_id, "direction": "deposit", "asset": "USD", "amount": "1000.00"}
    await make("/api/transfers", deposit, "transfer_id", "journal_id")
    await _seed_ledger(surface, secret, ids)
    await make("/api/portfolios", {"name": "All", "account_ids": [account_id]}, "portfolio_id")
    await make("/api/orders", order_for(account_id), "order_id")
    await _seed_custody(surface, secret, ids)
    if surface.offers("GET", "/api/breaks"):
        await make(f"/api/accounts/{account_id}/external-statements", POSITIONS, "statement_id")
        breaks = await surface.client.get("/api/breaks", headers=bearer(secret))
        ids["break_id"] = breaks.json()["items"][0]["break_id"]
    return ids


async def _seed_ledger(surface: Surface, secret: str, ids: dict[str, str]) -> None:
    if not surface.offers("POST", "/api/holds"):
        return
    account = {"name": "cash", "asset": "USD"}
    opened = await surface.client.post("/api/ledger/accounts", json=account, headers=bearer(secret))
    ids["ledger_address"] = opened.json()["address"]
    hold = {"account": ids["ledger_address"], "amount": "1.00"}
    ids["hold_id"] = (await surface.client.post("/api/holds", json=hold, headers=bearer(secret))).json()[
        "hold_id"
    ]


async def _seed_custody(surface: Surface, secret: str, ids: dict[str, str]) -> None:
    async def make(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await surface.client.post(path, json=body, headers=bearer(secret))
        assert answer.status_code == 201, f"{path}: {answer.text}"
        return dict(answer.json())

    vault = await make("/api/vaults", {"name": "Safe"})
    sub = await make(f"/api/vaults/{vault['vault_id']}/sub-accounts", {"asset": "USD", "location": "cold"})
    destination = await make(
        "/api/custody/destinations", {"kind": "iban", "name": "Bank", "address": "CH9300762011623852957"}
    )
    changes = {"group": "all", "required": 1, "delay_seconds": 0}
    document = {"groups": {"all": [ids["key_id"]]}, "rules": [], "changes": changes}
    policy = await make("/api/custody/policy/drafts", {"document": document})
    credential = await make("/api/custody/credentials", {"method": "totp"})
    request = await make("/api/custody/requests", payment_for(sub["sub_account_id"], ids["account_id"]))
    freeze = await make(
        "/api/custody/freezes", {"target_kind": "key", "target_id": f"key_{NOBODY}", "reason": "matrix"}
    )
    ids |= {
        "vault_id": vault["vault_id"],
        "sub_account_id": sub["sub_account_id"],
        "destination_id": destination["destination_id"],
        "policy_id": policy["policy_id"],
        "credential_id": credential["credential"]["credential_id"],
        "request_id": request["request_id"],
        "freeze_id": freeze["freeze_id"],
    }


def payment_for(sub_account_id: str, account_id: str) -> dict[str, Any]:
    """A transfer out of a vault's sub-account to an account of the same books."""
    return {
        "sub_account_id": sub_account_id,
        "target": {"kind": "account", "id": account_id},
        "amount": "1.00",
    }


def journal_for(address: str) -> dict[str, Any]:
    """A journal that takes from and gives to one account."""
    return {"legs": [{"account": address, "amount": "-1.00"}, {"account": address, "amount": "1.00"}]}


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
    consent = CONSENT | {"credential_id": ids.get("credential_id", "")}
    return {
        ("POST", "/api/transfers"): {
            "account_id": account_id,
            "direction": "withdrawal",
            "asset": "USD",
            "amount": "1.00",
        },
        ("POST", "/api/portfolios"): {"name": "Theirs", "account_ids": [account_id]},
        ("POST", "/api/journals"): journal_for(ids.get("ledger_address", "")),
        ("POST", "/api/journals/batch"): {
            "mode": "all_or_nothing",
            "journals": [journal_for(ids.get("ledger_address", ""))],
        },
        ("POST", "/api/journals/{journal_id}/reverse"): {},
        ("POST", "/api/holds/{hold_id}/capture"): {"to": ids.get("ledger_address", ""), "amount": "1.00"},
        ("POST", "/api/holds"): {"account": ids.get("ledger_address", ""), "amount": "1.00"},
        ("POST", "/api/orders"): order_for(account_id),
        ("POST", "/api/vaults/{vault_id}/deposits"): {
            "sub_account_id": ids.get("sub_account_id", ""),
            "amount": "1.00",
        },
        ("POST", "/api/custody/requests"): payment_for(ids.get("sub_account_id", ""), account_id),
        ("POST", "/api/custody/requests/{request_id}/approvals"): consent,
        ("POST", "/api/custody/policy/drafts/{policy_id}/approvals"): consent,
        ("POST", "/api/custody/policy/dry-run"): {
            "request": payment_for(ids.get("sub_account_id", ""), account_id),
            "policy_id": ids.get("policy_id", ""),
        },
    }
