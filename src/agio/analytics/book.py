"""Reads what a valuation needs from the rooms below: account histories, price sources, prices.

Used by the API for one request and by the engine for its live marks alike. Keeps histories in memory and
reads only what the ledger added since.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from agio.analytics import store
from agio.analytics.errors import HistoryTooLong
from agio.analytics.model.history import AccountHistory, LedgerEntry
from agio.analytics.model.valuation import Mark, PriceSource
from agio.analytics.settings import CACHED_ACCOUNTS, CACHED_MARKS, EXTERNAL_SOURCES, MAX_ENTRIES, SETTLED_US
from agio.analytics.store import Portfolio
from agio.kernel.ids import AccountId
from agio.kernel.time import to_micros
from agio.ledger.api import Entry, Ledger
from agio.marketdata.api import Instruments, LastTrade
from agio.platform.clock import Clock
from agio.platform.db import Transaction

_FIRST_PAGE = 50
_PAGE = 1000


class Book(msgspec.Struct, frozen=True):
    """What is known of a portfolio at one moment. The histories go on growing: read them up to an instant."""

    portfolio: Portfolio
    histories: Sequence[AccountHistory]
    sources: Mapping[str, PriceSource]
    """By asset, of every asset that was ever held."""
    base_scale: int

    @property
    def entries(self) -> int:
        """The portfolio's place in the ledger: how many entries its accounts have."""
        return sum(history.entries for history in self.histories)

    @property
    def first_us(self) -> int:
        return min((history.first_us for history in self.histories if history.first_us), default=0)

    @property
    def last_us(self) -> int:
        return max((history.last_us for history in self.histories), default=0)

    def held(self) -> list[PriceSource]:
        """Sources of the assets with a balance now, by symbol."""
        assets = {
            asset
            for history in self.histories
            for asset, curve in history.curves.items()
            if asset != self.portfolio.base_currency and curve.last
        }
        return sorted(
            (self.sources[asset] for asset in assets if asset in self.sources),
            key=lambda source: source.symbol,
        )


class BookReader:
    """Opens books; one for each process."""

    def __init__(self, ledger: Ledger, instruments: Instruments, clock: Clock) -> None:
        self._ledger = ledger
        self._instruments = instruments
        self._clock = clock
        self._histories: OrderedDict[AccountId, AccountHistory] = OrderedDict()
        self._scales: dict[str, int] = {}
        self._marks: dict[str, dict[int, Mark]] = {}

    async def open(self, tx: Transaction, portfolio: Portfolio) -> Book:
        """Bring the accounts' histories up to date and return them as a book."""
        histories = [
            await self._history(tx, account_id, portfolio.base_currency)
            for account_id in portfolio.account_ids
        ]
        assets = {asset for history in histories for asset in history.curves}
        sources = await self._sources(assets - {portfolio.base_currency}, portfolio.base_currency)
        return Book(portfolio, histories, sources, await self._scale(tx, portfolio.base_currency))

    async def marks(
        self, tx: Transaction, symbol: str, instants: Iterable[int], latest: LastTrade | None
    ) -> dict[int, Mark]:
        """The price in force at each instant; absent where there was none yet."""
        known = self._marks.setdefault(symbol, {})
        found: dict[int, Mark] = {}
        missing: list[int] = []
        newest = None if latest is None else mark_of(latest)
        for instant in set(instants):
            if newest is not None and newest.received_us <= instant:
                found[instant] = newest
            elif instant in known:
                found[instant] = known[instant]
            else:
                missing.append(instant)
        if missing:
            read = await store.marks_at(tx, symbol, missing)
            found.update(read)
            settled = self._clock.now_micros() - SETTLED_US
            if len(known) + len(read) > CACHED_MARKS:
                known.clear()
            known.update((instant, mark) for instant, mark in read.items() if instant < settled)
        return found

    async def _history(self, tx: Transaction, account_id: AccountId, currency: str) -> AccountHistory:
        history = self._histories.get(account_id)
        if history is None:
            history = self._histories[account_id] = AccountHistory(currency)
            if len(self._histories) > CACHED_ACCOUNTS:
                self._histories.popitem(last=False)
        else:
            self._histories.move_to_end(account_id)
        history.add(await self._newer(tx, account_id, history.versions), EXTERNAL_SOURCES)
        return history

    async def _newer(
        self, tx: Transaction, account_id: AccountId, versions: Mapping[str, int]
    ) -> list[LedgerEntry]:
        """Entries beyond the known versions, oldest first."""
        newest_first: list[LedgerEntry] = []
        cursor: str | None = None
        limit = _FIRST_PAGE if versions else _PAGE
        while True:
            page = await self._ledger.entries(tx, account_id, limit=limit, cursor=cursor)
            newer = [entry for entry in page.items if entry.version > versions.get(entry.asset, 0)]
            newest_first.extend(map(_entry, newer))
            cursor, limit = page.next_cursor, _PAGE
            if cursor is None or len(newer) < len(page.items):
                return newest_first[::-1]
            if len(newest_first) >= MAX_ENTRIES:
                raise HistoryTooLong(f"{account_id} has more than {MAX_ENTRIES} ledger entries")

    async def _sources(self, assets: set[str], currency: str) -> dict[str, PriceSource]:
        if not assets:
            return {}
        sources: dict[str, PriceSource] = {}
        for instrument in sorted(
            await self._instruments.instruments(), key=lambda one: (one.status != "active", one.symbol)
        ):
            if instrument.base_asset in assets and instrument.quote_asset == currency:
                source = PriceSource(
                    instrument.symbol,
                    instrument.base_asset,
                    instrument.price_scale,
                    instrument.quantity_scale,
                )
                sources.setdefault(instrument.base_asset, source)
        return sources

    async def _scale(self, tx: Transaction, currency: str) -> int:
        if currency not in self._scales:
            self._scales = {asset.asset: asset.scale for asset in await self._ledger.assets(tx)}
        return self._scales.get(currency, 2)


def mark_of(trade: LastTrade) -> Mark:
    return Mark(trade.symbol, trade.received_us, trade.price, trade.venue_time_ns, trade.seq)


def _entry(entry: Entry) -> LedgerEntry:
    return LedgerEntry(
        entry.journal_id, entry.asset, entry.amount, entry.version, entry.source, to_micros(entry.created_at)
    )
