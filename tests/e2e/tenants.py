"""Organisations on a running platform, made by the services themselves, as no public door makes them."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import httpx
import psycopg
from tests.security.surface import NOBODY, POSITIONS, payment_for

from agio.app.run_state import RunFolder
from agio.identity.api import SCOPES
from agio.identity.service import IdentityService
from agio.kernel.ids import OrganisationId
from agio.platform.clock import SystemClock
from agio.platform.config import Settings
from agio.platform.db import Database
from agio.platform.master_keys import open_master_keys
from agio.platform.vault import Vault
from benchmarks.harness import Platform, wait_until

T = TypeVar("T")


@dataclass
class Tenant:
    """An organisation with a key of each environment, and what it owns by parameter name."""

    organisation_id: OrganisationId
    key_id: str
    secret: str
    live_secret: str
    ids: dict[str, str] = field(default_factory=dict)


def settings_of(platform: Platform) -> Settings:
    settings = RunFolder(platform.data_dir).read_settings()
    assert settings is not None
    return settings


def make_tenant(platform: Platform, name: str) -> Tenant:
    """A new organisation with keys that hold every scope."""

    async def make(identity: IdentityService) -> Tenant:
        organisation_id = await identity.create_organisation(name)
        sandbox = await identity.issue_key(organisation_id, "sandbox", list(SCOPES), name="tests")
        live = await identity.issue_key(organisation_id, "live", list(SCOPES), name="tests")
        return Tenant(organisation_id, sandbox.key.key_id, sandbox.secret, live.secret)

    return _with_identity(platform, make)


def make_key(platform: Platform, tenant: Tenant, *, is_expired: bool = False) -> tuple[str, str]:
    """One more sandbox key of an organisation: its id and its secret."""

    async def issue(identity: IdentityService) -> tuple[str, str]:
        issued = await identity.issue_key(tenant.organisation_id, "sandbox", list(SCOPES), name="more")
        return issued.key.key_id, issued.secret

    key_id, secret = _with_identity(platform, issue)
    if is_expired:
        with psycopg.connect(settings_of(platform).owner_database_url) as connection:
            connection.execute(
                "update identity.api_key set created_at = now() - interval '2 d',"
                " expires_at = now() - interval '1 s' where key_id = %s",
                (key_id,),
            )
    return key_id, secret


def give_belongings(platform: Platform, tenant: Tenant) -> None:
    """What a trader has, by the name of its path parameter: an account with money, a resting order."""
    with connect(platform, tenant.secret) as http:
        _make(http, tenant, "/api/accounts", {"name": "Main"}, "account_id")
        account_id = tenant.ids["account_id"]
        money = {"account_id": account_id, "direction": "deposit", "asset": "USD", "amount": "100000.00"}
        _make(http, tenant, "/api/transfers", money, "transfer_id", "journal_id")
        _make(http, tenant, "/api/portfolios", {"name": "All", "account_ids": [account_id]}, "portfolio_id")
        _make(http, tenant, "/api/orders", resting_order(account_id), "order_id")
        tenant.ids["key_id"] = tenant.key_id
        order = f"/api/orders/{tenant.ids['order_id']}"
        wait_until(lambda: http.get(order).json()["status"] == "new", 30, "the order rests")


def give_custody(platform: Platform, tenant: Tenant) -> None:
    """One object of each kind of the ledger and of custody."""
    with connect(platform, tenant.secret) as http:
        ids = tenant.ids
        cash = {"name": "cash", "asset": "USD"}
        ids["ledger_address"] = _make(http, tenant, "/api/ledger/accounts", cash)["address"]
        _make(http, tenant, "/api/holds", {"account": ids["ledger_address"], "amount": "5.00"}, "hold_id")
        positions = f"/api/accounts/{ids['account_id']}/external-statements"
        _make(http, tenant, positions, POSITIONS, "statement_id")
        ids["break_id"] = http.get("/api/breaks").json()["items"][0]["break_id"]

        _make(http, tenant, "/api/vaults", {"name": "Safe"}, "vault_id")
        place = {"asset": "USD", "location": "cold"}
        _make(http, tenant, f"/api/vaults/{ids['vault_id']}/sub-accounts", place, "sub_account_id")
        bank = {"kind": "iban", "name": "Bank", "address": "CH9300762011623852957"}
        _make(http, tenant, "/api/custody/destinations", bank, "destination_id")
        changes = {"group": "all", "required": 1, "delay_seconds": 0}
        document = {"groups": {"all": [tenant.key_id]}, "rules": [], "changes": changes}
        _make(http, tenant, "/api/custody/policy/drafts", {"document": document}, "policy_id")
        made = _make(http, tenant, "/api/custody/credentials", {"method": "totp"})
        ids["credential_id"] = made["credential"]["credential_id"]
        payment = payment_for(ids["sub_account_id"], ids["account_id"])
        _make(http, tenant, "/api/custody/requests", payment, "request_id")
        frozen = {"target_kind": "key", "target_id": f"key_{NOBODY}", "reason": "tests"}
        _make(http, tenant, "/api/custody/freezes", frozen, "freeze_id")


def _make(http: httpx.Client, tenant: Tenant, path: str, body: dict[str, Any], *names: str) -> dict[str, Any]:
    answer = http.post(path, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    tenant.ids.update({name: made[name] for name in names})
    return made


def resting_order(account_id: str, **changes: object) -> dict[str, object]:
    """A buy that is far below the market."""
    return {
        "account_id": account_id,
        "symbol": "ACME-USD",
        "side": "buy",
        "type": "limit",
        "quantity": "1",
        "limit_price": "1.00",
        "time_in_force": "gtc",
        **changes,
    }


def connect(platform: Platform, secret: str | None) -> httpx.Client:
    """A client that adds nothing of its own but the key."""
    context = ssl.create_default_context(cafile=platform.ca_file)
    headers = {"Authorization": f"Bearer {secret}"} if secret is not None else {}
    return httpx.Client(base_url=platform.url, verify=context, headers=headers, timeout=30, trust_env=False)


def _with_identity(platform: Platform, work: Callable[[IdentityService], Awaitable[T]]) -> T:
    async def run() -> T:
        settings = settings_of(platform)
        vault = Vault(open_master_keys(settings))
        database = Database(settings.database_url, max_size=1, name="tests", vault=vault)
        await database.open()
        try:
            return await work(IdentityService(database, SystemClock()))
        finally:
            await database.close()

    return asyncio.run(run())


class Unchanged(Protocol):
    """A block within which nothing of the two organisations may change."""

    def __call__(self) -> AbstractContextManager[None]: ...


class Refused:
    """Says that an answer is a problem, and one that the documentation describes."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._described: dict[str, int] = {}

    def __call__(self, answer: httpx.Response, status: int, code: str) -> dict[str, object]:
        """The problem's members."""
        problem: dict[str, object] = answer.json()
        assert (answer.status_code, problem["code"]) == (status, code), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["type"] == f"/problems/{code}"
        assert problem["status"] == self.documented_status(code)
        assert problem["request_id"] == answer.headers["x-request-id"]
        assert problem["instance"] == answer.request.url.path
        assert problem["detail"]
        return problem

    def documented_status(self, code: str) -> int:
        """The status that the page of a problem names."""
        if code not in self._described:
            page = self._http.get(f"/problems/{code}", headers={"Accept": "application/json"})
            assert page.status_code == 200, f"{code} has no page"
            self._described[code] = page.json()["status"]
        return self._described[code]


MOVING = ("mark", "outbox", "venue_command")
"""Tables that change by themselves: periodic valuations, and events and commands on their way."""

FINGERPRINT = """
    select count(*) || ' rows ' || coalesce(md5(string_agg(row, '' order by row)), '')
    from (select (to_jsonb(t) - 'last_used_at')::text from {table} t {where}) x (row)
"""


def belongings(platform: Platform, *tenants: Tenant) -> dict[str, str]:
    """Count and hash of the rows that the database holds of these organisations, and of all replays.

    Waits until the relay has put earlier events into their channels.
    """
    with psycopg.connect(settings_of(platform).owner_database_url, autocommit=True) as connection:

        def ask(query: str, *values: object) -> object:
            row = connection.execute(query, values).fetchone()
            return None if row is None else row[0]

        tables = connection.execute(
            "select format('%%I.%%I', table_schema, table_name) from information_schema.columns"
            " where column_name = 'organisation_id' and not table_name = any(%s)"
            " and table_schema not in ('pg_catalog', 'information_schema') order by 1",
            (list(MOVING),),
        ).fetchall()
        waiting = "select count(*) from platform.outbox where organisation_id = any(%s)"
        owners = [tenant.organisation_id for tenant in tenants]
        wait_until(lambda: ask(waiting, owners) == 0, 30, "the relay has told everything")
        where = "where organisation_id = any(%s)"
        found = {table: str(ask(FINGERPRINT.format(table=table, where=where), owners)) for (table,) in tables}
        replays = "(select replay_id, path, symbol from marketdata.replay)"
        found["replays"] = str(ask(FINGERPRINT.format(table=replays, where="")))
    assert len(found) > 10
    return found
