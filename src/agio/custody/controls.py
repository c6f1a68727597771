"""Wires the controls of custody: vaults, freezes, credentials, policies, destinations, requests."""

from typing import NamedTuple

from litestar import Router

from agio.custody import store as accounts
from agio.custody.credentials import routes as credential_routes
from agio.custody.credentials.service import Credentials
from agio.custody.destinations import routes as destination_routes
from agio.custody.destinations.service import Destinations
from agio.custody.errors import UnknownAccount
from agio.custody.freezes import routes as freeze_routes
from agio.custody.freezes.service import Freezes
from agio.custody.policy import routes as policy_routes
from agio.custody.policy.service import Policies
from agio.custody.ports import Signer
from agio.custody.requests import routes as request_routes
from agio.custody.requests.approvals import RequestApprovals
from agio.custody.requests.desk import Desk
from agio.custody.requests.service import Requests
from agio.custody.requests.settlement import Settlement
from agio.custody.vaults import routes as vault_routes
from agio.custody.vaults.service import Vaults
from agio.custody.writes import Writes
from agio.kernel.ids import AccountId, SubAccountId, VaultId
from agio.ledger.api import Ledger
from agio.platform.clock import Clock
from agio.platform.db import Database, Transaction
from agio.platform.http import IdempotentReplies


class Controls(NamedTuple):
    """Everything that guards vaults."""

    vaults: Vaults
    freezes: Freezes
    credentials: Credentials
    destinations: Destinations
    policies: Policies
    requests: Requests
    approvals: RequestApprovals
    settlement: Settlement


def build_controls(ledger: Ledger, clock: Clock, signer: Signer) -> Controls:
    """Build the services, each told of those that it asks."""
    freezes = Freezes(clock)
    vaults = Vaults(ledger, freezes, clock)
    credentials = Credentials(freezes, clock)
    destinations = Destinations(freezes, clock)
    policies = Policies(ledger, freezes, credentials, clock)
    desk = Desk(ledger, vaults, destinations, policies, freezes, clock)
    requests = Requests(desk, credentials)
    policies.on_activated = requests.decide_again

    async def find_account(tx: Transaction, account_id: str) -> None:
        if await accounts.select_account(tx, AccountId(account_id)) is None:
            raise UnknownAccount(f"no account {account_id!r}")

    freezes.target_checks = {
        "vlt": lambda tx, target: vaults.vault(tx, VaultId(target)),
        "sub": lambda tx, target: vaults.sub_account(tx, SubAccountId(target)),
        "acc": find_account,
    }
    return Controls(
        vaults,
        freezes,
        credentials,
        destinations,
        policies,
        requests,
        RequestApprovals(desk, credentials),
        Settlement(desk, credentials, signer),
    )


def build_routers(controls: Controls, database: Database, replies: IdempotentReplies) -> list[Router]:
    """The routes of all controls."""
    write = Writes(database, replies)
    return [
        vault_routes.build_router(controls.vaults, database, write),
        destination_routes.build_router(controls.destinations, database, write),
        freeze_routes.build_router(controls.freezes, database, write),
        credential_routes.build_router(controls.credentials, database),
        policy_routes.build_router(controls.policies, controls.credentials, database, write),
        *request_routes.build_routers(
            controls.requests, controls.approvals, controls.settlement, database, write
        ),
    ]
