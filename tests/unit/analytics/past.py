"""Makes pasts of accounts, day by day, as the ledger would tell them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from agio.analytics.book import Book
from agio.analytics.holdings import divisors_of
from agio.analytics.model.history import AccountHistory, LedgerEntry, Worth
from agio.analytics.model.query import AnalyticsQuery
from agio.analytics.model.valuation import Mark, PriceSource
from agio.analytics.settings import EXTERNAL_SOURCES
from agio.analytics.store import Portfolio
from agio.analytics.valuer import Facts, Valuer
from agio.kernel.ids import AccountId, OrganisationId, PortfolioId
from agio.kernel.time import to_micros

DAY_US = 86_400_000_000
START_US = to_micros(datetime(2024, 1, 1, tzinfo=UTC))
BTC = PriceSource("BTC-USD", "BTC", 2, 8)
ACME = PriceSource("ACME-USD", "ACME", 2, 0)
SOURCES = {"BTC": BTC, "ACME": ACME}


class Past:
    """An account in USD; every verb posts one journal."""

    def __init__(self) -> None:
        self.history = AccountHistory("USD")
        self._versions: dict[str, int] = {}
        self._journals = 0

    def post(self, at_us: int, source: str, *amounts: tuple[str, int], journal_id: str = "") -> None:
        self._journals += 1
        entries = []
        for asset, amount in amounts:
            version = self._versions[asset] = self._versions.get(asset, 0) + 1
            name = journal_id or f"jnl_{id(self)}_{self._journals}"
            entries.append(LedgerEntry(name, asset, amount, version, source, at_us))
        self.history.add(entries, EXTERNAL_SOURCES)

    def transfer(self, at_us: int, amount: int, asset: str = "USD") -> None:
        self.post(at_us, "custody", (asset, amount))

    def trade(self, at_us: int, source: PriceSource, quantity: int, price: int, fee: int = 0) -> None:
        """Buy (positive quantity) or sell; units are the smallest ones."""
        notional = quantity * price // 10 ** (source.price_scale + source.quantity_scale - 2)
        legs = [("USD", -notional), (source.asset, quantity)]
        if quantity < 0:
            legs.reverse()
        if fee:
            legs.append(("USD", -fee))
        self.post(at_us, "trading", *legs)


def make_book(*pasts: Past) -> Book:
    portfolio = Portfolio(
        portfolio_id=PortfolioId("pft_1"),
        organisation_id=OrganisationId("org_1"),
        environment="sandbox",
        name="test",
        base_currency="USD",
        account_ids=[AccountId(f"acc_{i}") for i in range(len(pasts))],
        created_at=datetime(2024, 1, 1, tzinfo=UTC),
    )
    return Book(portfolio, [past.history for past in pasts], SOURCES, 2)


def make_facts(
    book: Book,
    prices: Mapping[str, Sequence[tuple[int, int]]],
    query: AnalyticsQuery,
    *,
    newest_us: int,
) -> Facts:
    """Facts with every symbol's (instant, price) pairs as its marks."""
    valuer = Valuer(None)  # type: ignore[arg-type]
    boundaries, as_of = valuer.window(book, query, newest_us)
    flows = {flow.at_us for history in book.histories for flow in history.flows}
    instants = sorted({*boundaries.tolist(), *flows, as_of})
    marks: dict[str, dict[int, Mark]] = {}
    for symbol, pairs in prices.items():
        times = np.array([at for at, _ in pairs])
        found = marks[symbol] = {}
        for instant in instants:
            place = int(np.searchsorted(times, instant, side="right")) - 1
            if place >= 0:
                at, price = pairs[place]
                found[instant] = Mark(symbol, at, price, at * 1000, place + 1)
    worth = Worth(
        {
            (asset, instant): found[instant].price
            for asset, source in book.sources.items()
            for found in [marks.get(source.symbol, {})]
            for instant in flows
            if instant in found
        },
        divisors_of(book),
    )
    return Facts(book, boundaries, as_of, marks, worth)


def answer(facts: Facts, query: AnalyticsQuery):  # type: ignore[no-untyped-def]
    return Valuer(None).answer(facts, query)  # type: ignore[arg-type]
