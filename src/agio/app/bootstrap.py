"""The local operator's organisation: made at the first start, given a new key at every start."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from agio.analytics.api import CreatePortfolio
from agio.analytics.service import AnalyticsService
from agio.app.preparation import Ready
from agio.custody.service import CustodyService
from agio.identity.api import SCOPES, Environment
from agio.identity.service import IdentityService
from agio.kernel.ids import AccountId, OrganisationId, PortfolioId, new_id
from agio.kernel.problem import Problem
from agio.ledger.service import LedgerService
from agio.marketdata.instruments import InstrumentDirectory, InstrumentRegistry
from agio.marketdata.market_view import MarketView
from agio.marketdata.model import SIM_INSTRUMENTS
from agio.marketdata.replays.requests import ReplayRequests
from agio.marketdata.settings import MarketDataSettings
from agio.marketdata.tape.files import symbol_of
from agio.platform.bus import Bus
from agio.platform.clock import SystemClock
from agio.platform.config import Settings
from agio.platform.db import Database, Scope

ORGANISATION_NAME = "Local operator"
ENVIRONMENT: Environment = "sandbox"
CURRENCY = "USD"
OPENING_DEPOSIT = "1000000.00"
KEY_DAYS = 7
REPLAY_PREFIX = "replay:"


class TapeRefused(Exception):
    """The tape of `--market replay:PATH` cannot be played; the message says why, and in which line."""


class Operator(msgspec.Struct):
    """What the data folder remembers; ids only, nothing secret."""

    organisation_id: OrganisationId


def ensure_demo(settings: Settings) -> Ready:
    """Make the operator's organisation, account and portfolio unless they are there; issue a key.

    Every step looks first, so that a start that was cut off is completed by the next one.
    Raises TapeRefused.
    """
    return asyncio.run(_ensure_demo(settings))


def mint_operator_key(settings: Settings) -> str:
    """A new sandbox key of the operator with every scope, valid for seven days."""

    async def mint() -> str:
        async with _open(settings.database_url) as database:
            return await _issue_key(database, _operator(settings.data_dir).organisation_id)

    return asyncio.run(mint())


async def _ensure_demo(settings: Settings) -> Ready:
    async with _open(settings.engine_database_url) as database:
        await _ensure_instruments(database)
        if settings.market.startswith(REPLAY_PREFIX):
            await _ensure_replay(database, settings)
    organisation_id = _operator(settings.data_dir).organisation_id
    async with _open(settings.database_url) as database:
        await IdentityService(database, SystemClock()).create_organisation(ORGANISATION_NAME, organisation_id)
        scope = Scope(organisation_id, ENVIRONMENT)
        account_id = await _ensure_account(database, scope)
        return Ready(
            api_key=await _issue_key(database, organisation_id),
            organisation_id=organisation_id,
            account_id=account_id,
            portfolio_id=await _ensure_portfolio(database, scope, account_id),
            symbols=_symbols(settings.market),
        )


async def _ensure_instruments(database: Database) -> None:
    clock = SystemClock()
    directory = InstrumentDirectory(database, clock)
    await InstrumentRegistry(database, LedgerService(database, clock), directory).ensure_instruments()


async def _ensure_replay(database: Database, settings: Settings) -> None:
    """`--market replay:PATH`: play it once for this data folder; a restart goes on where it was.

    The whole tape is checked here, so that a broken one ends the start.
    """
    clock, bus = SystemClock(), Bus(settings.nats_url, name="agio bootstrap")
    requests = ReplayRequests(
        database, bus, clock, InstrumentDirectory(database, clock), MarketDataSettings(market=settings.market)
    )
    path = _tape_path(settings.market)
    newest = await requests.newest()
    if newest is not None and newest.path == path:
        return
    await bus.open()
    try:
        await requests.start(path, speed=settings.speed, allowed=None)
    except Problem as problem:
        raise TapeRefused(f"{path} cannot be played, and nothing was: {problem.detail}") from problem
    finally:
        await bus.close()


async def _ensure_account(database: Database, scope: Scope) -> AccountId:
    clock = SystemClock()
    custody = CustodyService(database, LedgerService(database, clock), clock)
    async with database.transaction(scope) as tx:
        accounts = await custody.accounts(tx, 1, None)
        if accounts.items:
            return accounts.items[0].account_id
        account = await custody.open_account(tx, "Main", CURRENCY)
        await custody.transfer(
            tx, account.account_id, "deposit", CURRENCY, OPENING_DEPOSIT, "opening balance"
        )
        return account.account_id


async def _ensure_portfolio(database: Database, scope: Scope, account_id: AccountId) -> PortfolioId:
    clock = SystemClock()
    ledger = LedgerService(database, clock)
    custody = CustodyService(database, ledger, clock)
    unheard = Bus("")
    analytics = AnalyticsService(
        database,
        ledger,
        InstrumentDirectory(database, clock),
        MarketView(database, unheard, clock),
        custody,
        clock,
        _tell_nobody,
    )
    portfolios = await analytics.portfolios(scope, 1, None)
    if portfolios.items:
        return portfolios.items[0].portfolio_id
    async with database.transaction(scope) as tx:
        portfolio = await analytics.create_portfolio(tx, CreatePortfolio("Main", [account_id], CURRENCY))
    return portfolio.portfolio_id


async def _issue_key(database: Database, organisation_id: OrganisationId) -> str:
    issued = await IdentityService(database, SystemClock()).issue_key(
        organisation_id, ENVIRONMENT, list(SCOPES), name="local operator", expires_in_days=KEY_DAYS
    )
    return issued.secret


async def _tell_nobody(_subject: str, _payload: bytes) -> None:
    """Nothing listens yet: the engine and the API start after us."""


def _tape_path(market: str) -> str:
    return os.path.realpath(market.removeprefix(REPLAY_PREFIX))


def _symbols(market: str) -> list[str]:
    if market == "sim":
        return [instrument.symbol for instrument in SIM_INSTRUMENTS]
    if market.startswith(REPLAY_PREFIX):
        return [symbol_of(Path(market.removeprefix(REPLAY_PREFIX)))]
    return []


def _operator(data_dir: Path) -> Operator:
    """The organisation of this data folder; its id is chosen, and kept, before it is created."""
    file = data_dir / "run" / "operator.json"
    if file.exists():
        return msgspec.json.decode(file.read_bytes(), type=Operator)
    operator = Operator(OrganisationId(new_id("org")))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.encode(operator))
    return operator


@asynccontextmanager
async def _open(url: str) -> AsyncIterator[Database]:
    database = Database(url, max_size=2, name="agio bootstrap")
    await database.open()
    try:
        yield database
    finally:
        await database.close()
