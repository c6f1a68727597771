"""The local operator's organisation: made at the first start, given a new key at every start.

This module is imported by every start and by every command of the operator, so it stays light; what only
the first start needs is in `first_start`.
"""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from agio.app.preparation import Ready
from agio.identity.api import SCOPES, Environment
from agio.identity.service import IdentityService
from agio.kernel.ids import AccountId, OrganisationId, PortfolioId, new_id
from agio.marketdata.live.market import is_live, read_market
from agio.marketdata.model import SIM_INSTRUMENTS
from agio.marketdata.tape.files import symbol_of
from agio.platform.clock import SystemClock
from agio.platform.config import Settings
from agio.platform.db import Database, Scope
from agio.platform.master_keys import open_master_keys
from agio.platform.vault import Vault

ORGANISATION_NAME = "Local operator"
ENVIRONMENT: Environment = "sandbox"
KEY_DAYS = 7
REPLAY_PREFIX = "replay:"


class TapeRefused(Exception):
    """The tape of `--market replay:PATH` cannot be played; the message says why, and in which line."""


class Operator(msgspec.Struct, frozen=True):
    """What the data folder remembers; ids only, nothing secret."""

    organisation_id: OrganisationId
    account_id: AccountId | None = None
    portfolio_id: PortfolioId | None = None


def ensure_demo(settings: Settings) -> Ready:
    """Make the operator's organisation, account and portfolio unless they are there; issue a key.

    Every step looks first, so that a start that was cut off is completed by the next one.
    Raises TapeRefused.
    """
    return asyncio.run(_ensure_demo(settings))


def mint_operator_key(settings: Settings) -> str:
    """A new sandbox key of the operator with every scope, valid for seven days."""

    async def mint() -> str:
        async with open_database(settings, settings.database_url) as database:
            return await _issue_key(database, _read_operator(settings.data_dir).organisation_id)

    return asyncio.run(mint())


async def _ensure_demo(settings: Settings) -> Ready:
    operator = _read_operator(settings.data_dir)
    async with open_database(settings, settings.database_url) as database:
        identity = IdentityService(database, SystemClock())
        is_new = await identity.ensure_organisation(operator.organisation_id, ORGANISATION_NAME)
        account_id, portfolio_id = operator.account_id, operator.portfolio_id
        if is_new or account_id is None or portfolio_id is None:
            account_id, portfolio_id = await _complete(settings, database, operator)
        elif settings.market.startswith(REPLAY_PREFIX):
            await importlib.import_module("agio.app.first_start").ensure_replay(settings)
        return Ready(
            api_key=await _issue_key(database, operator.organisation_id),
            organisation_id=operator.organisation_id,
            account_id=account_id,
            portfolio_id=portfolio_id,
            symbols=_symbols(settings.market),
        )


async def _complete(
    settings: Settings, database: Database, operator: Operator
) -> tuple[AccountId, PortfolioId]:
    first_start = importlib.import_module("agio.app.first_start")
    await first_start.ensure_instruments(settings)
    if settings.market.startswith(REPLAY_PREFIX):
        await first_start.ensure_replay(settings)
    scope = Scope(operator.organisation_id, ENVIRONMENT)
    account_id = await first_start.ensure_account(database, scope)
    portfolio_id = await first_start.ensure_portfolio(database, scope, account_id)
    _write_operator(settings.data_dir, Operator(operator.organisation_id, account_id, portfolio_id))
    return account_id, portfolio_id


async def _issue_key(database: Database, organisation_id: OrganisationId) -> str:
    issued = await IdentityService(database, SystemClock()).issue_key(
        organisation_id, ENVIRONMENT, list(SCOPES), name="local operator", expires_in_days=KEY_DAYS
    )
    return issued.secret


def _symbols(market: str) -> list[str]:
    if market == "sim":
        return [instrument.symbol for instrument in SIM_INSTRUMENTS]
    if market.startswith(REPLAY_PREFIX):
        return [symbol_of(Path(market.removeprefix(REPLAY_PREFIX)))]
    if is_live(market):
        return [symbol for venue in read_market(market) for symbol in venue.symbols.values()]
    return []


def _read_operator(data_dir: Path) -> Operator:
    """The organisation of this data folder; its id is chosen, and kept, before it is created."""
    file = data_dir / "run" / "operator.json"
    if file.exists():
        return msgspec.json.decode(file.read_bytes(), type=Operator)
    operator = Operator(OrganisationId(new_id("org")))
    _write_operator(data_dir, operator)
    return operator


def _write_operator(data_dir: Path, operator: Operator) -> None:
    file = data_dir / "run" / "operator.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(operator))


@asynccontextmanager
async def open_database(settings: Settings, url: str) -> AsyncIterator[Database]:
    database = Database(url, max_size=2, name="agio bootstrap", vault=Vault(open_master_keys(settings)))
    await database.open()
    try:
        yield database
    finally:
        await database.close()
