"""Fixtures of the custody tests."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from litestar import Router
from tests.conftest import Databases, make_vault
from tests.integration.custody.vault_world import START, House, LateNode, policy
from tests.nodes import Node

from agio.custody.api import is_guarded
from agio.custody.controls import build_controls, build_routers
from agio.custody.routes import build_router
from agio.custody.service import CustodyService
from agio.custody.signing.software import SoftwareSigner
from agio.custody.statements.routes import build_router as build_statement_router
from agio.custody.statements.service import StatementService
from agio.custody.vaults.statements import SubAccountStatements
from agio.custody.vaults.statements import build_router as build_sub_account_router
from agio.ledger.reading import LedgerReading
from agio.ledger.routes import build_router as build_ledger_router
from agio.ledger.service import LedgerService
from agio.ledger.verify import verify
from agio.platform.bus import Bus
from agio.platform.clock import Clock, VirtualClock
from agio.platform.db import Database
from agio.platform.http import IdempotentReplies

CLERK = ("custody:read", "custody:write", "custody:approve", "accounts:write", "transfers:write")
ADMIN = (*CLERK, "custody:admin", "ledger:read", "ledger:write")


def build_doors(database: Database, clock: Clock, folder: Path) -> list[Router]:
    """Custody and ledger as one API node serves them."""
    ledger = LedgerService(database, clock)
    controls = build_controls(ledger, clock, SoftwareSigner(folder / "signer.key"))
    custody, replies = CustodyService(database, ledger, clock), IdempotentReplies(database)
    return [
        build_router(custody, database, replies),
        build_ledger_router(ledger, database, clock, is_managed=is_guarded),
        *build_routers(controls, database, replies),
        build_statement_router(StatementService(database, custody, LedgerReading(), clock)),
        build_sub_account_router(SubAccountStatements(database, controls.vaults, LedgerReading(), clock)),
    ]


@pytest.fixture
async def house(
    app_database: Database, engine_database: Database, nats_url: str, tmp_path: Path
) -> AsyncIterator[House]:
    """Ada runs the house; Ben, Cleo and Dana are its treasury; Eve asks for payments. No policy yet.

    Afterwards every invariant of the ledger is checked, whatever the test did.
    """
    bus = Bus(nats_url, name="test-vaults")
    await bus.open()
    clock = VirtualClock(START)
    routers = build_doors(app_database, clock, tmp_path)
    async with Node(app_database, bus, routers) as node:
        organisation_id = await node.service.create_organisation("House")
        house = House(node, clock, organisation_id)
        ada = await house.hire("ada", *ADMIN)
        for name in ("ben", "cleo", "dana", "eve"):
            await house.hire(name, *CLERK)
        for name in ("ben", "cleo"):
            await house.people[name].register_signing_key()
        await house.people["dana"].register_code_generator(clock)
        await house.open_vault(ada)
        yield house
    await bus.close()
    async with engine_database.transaction() as tx:
        assert await verify(tx) == []


@pytest.fixture
async def late_node(
    house: House, databases: Databases, nats_url: str, tmp_path: Path
) -> AsyncIterator[LateNode]:
    """A second API node of the house, with connections and a clock of its own."""
    bus = Bus(nats_url, name="test-late")
    await bus.open()
    database = Database(databases.app_url, name="test-late", vault=make_vault())
    await database.open()
    clock = VirtualClock(house.clock.now() - timedelta(days=2))
    async with Node(database, bus, build_doors(database, clock, tmp_path)) as node:
        yield LateNode(node.client, clock)
    await database.close()
    await bus.close()


@pytest.fixture
async def guarded(house: House) -> House:
    """The same house with its usual policy in force and its destination cooled."""
    people = house.people
    await house.adopt(policy(house), people["ada"], people["ben"], people["cleo"])
    house.wait(86_400)
    return house
