"""All SQL of analytics."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from agio.analytics.model.valuation import Mark
from agio.kernel.ids import AccountId, OrganisationId, PortfolioId
from agio.platform.db import Transaction
from agio.platform.vault import Place

PORTFOLIO_NAME: Final = "analytics.portfolio.name"


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """A named set of accounts, valued in one currency."""

    portfolio_id: PortfolioId
    organisation_id: OrganisationId
    environment: str
    name: str
    base_currency: str
    account_ids: list[AccountId]
    created_at: datetime


class NewMark(msgspec.Struct, frozen=True, gc=False):
    """A price to be remembered."""

    symbol: str
    received_us: int
    price: int
    price_scale: int
    venue_time_ns: int
    epoch: str
    seq: int


class _MarkAt(msgspec.Struct):
    asked_us: int
    symbol: str
    received_us: int
    price: int
    venue_time_ns: int
    seq: int


async def insert_portfolio(tx: Transaction, portfolio: Portfolio) -> None:
    name = await tx.vault.seal(
        tx, Place(PORTFOLIO_NAME, portfolio.portfolio_id), portfolio.name, portfolio.organisation_id
    )
    await tx.execute(
        "insert into analytics.portfolio (portfolio_id, organisation_id, environment, name, base_currency,"
        " account_ids, created_at) values (%(portfolio_id)s, %(organisation_id)s, %(environment)s, %(name)s,"
        " %(base_currency)s, %(account_ids)s, %(created_at)s)",
        {**msgspec.structs.asdict(portfolio), "name": name},
    )


async def find_portfolio(tx: Transaction, portfolio_id: str) -> Portfolio | None:
    row = await tx.fetch_one(
        Portfolio, "select * from analytics.portfolio where portfolio_id = %s", (portfolio_id,)
    )
    return None if row is None else await _open(tx, row)


async def list_portfolios(tx: Transaction, after: str, limit: int) -> list[Portfolio]:
    """In order of id, which is the order of creation."""
    rows = await tx.fetch(
        Portfolio,
        "select * from analytics.portfolio where portfolio_id > %s order by portfolio_id limit %s",
        (after, limit),
    )
    return [await _open(tx, row) for row in rows]


async def _open(tx: Transaction, row: Portfolio) -> Portfolio:
    place = Place(PORTFOLIO_NAME, row.portfolio_id)
    name = await tx.vault.unseal(tx, place, row.name, row.organisation_id)
    return msgspec.structs.replace(row, name=name)


async def marks_at(tx: Transaction, symbol: str, instants: Sequence[int]) -> dict[int, Mark]:
    """The mark in force at each instant (microseconds); instants before the first mark are left out."""
    rows = await tx.fetch(
        _MarkAt,
        "select i.asked_us, m.symbol, m.received_us, m.price, m.venue_time_ns, m.seq"
        " from unnest(%s::bigint[]) as i (asked_us) cross join lateral ("
        "  select * from analytics.mark m where m.symbol = %s and m.received_us <= i.asked_us"
        "  order by m.received_us desc limit 1) m",
        (list(instants), symbol),
    )
    return {
        row.asked_us: Mark(row.symbol, row.received_us, row.price, row.venue_time_ns, row.seq) for row in rows
    }


async def insert_marks(tx: Transaction, marks: Sequence[NewMark]) -> None:
    """Remember prices; a mark that exists stays. May be lost in a crash of the server: it comes again."""
    await tx.execute("set local synchronous_commit = off")
    await tx.execute_many(
        "insert into analytics.mark (symbol, received_us, price, price_scale, venue_time_ns, epoch, seq)"
        " values (%(symbol)s, %(received_us)s, %(price)s, %(price_scale)s, %(venue_time_ns)s, %(epoch)s,"
        " %(seq)s) on conflict do nothing",
        [msgspec.structs.asdict(mark) for mark in marks],
    )


async def thin_marks(tx: Transaction, older_than_us: int, limit: int) -> int:
    """Delete up to `limit` marks that a later one of the same minute follows; returns how many."""
    return await tx.execute(
        "delete from analytics.mark where (symbol, received_us) in ("
        " select m.symbol, m.received_us from analytics.mark m"
        " where m.received_us < %(older)s and exists (select from analytics.mark n"
        "  where n.symbol = m.symbol and n.received_us > m.received_us"
        "  and n.received_us < (m.received_us / 60000000 + 1) * 60000000)"
        " limit %(limit)s)",
        {"older": older_than_us, "limit": limit},
    )
