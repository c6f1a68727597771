"""An account's past as its ledger entries tell it: balances at any instant, external flows, fills and fees.

Built journal by journal, in ledger order; adding later journals is all that keeping it current takes.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from agio.analytics.model.positions import CostBasis, Fill

Integers = NDArray[np.int64]
Numbers = NDArray[Any]
"""int64, or Python integers where those do not fit."""

_INT64_LIMIT = 2**62

TRADE = "trading"
"""Journal source of fills."""


class LedgerEntry(msgspec.Struct, frozen=True, gc=False):
    """One leg on an account, as far as analytics needs it."""

    journal_id: str
    asset: str
    amount: int
    version: int
    """Counts the entries of this account and asset."""
    source: str
    at_us: int


class Flow(msgspec.Struct, frozen=True, gc=False):
    """Money or securities that came in from outside (positive) or went out, in smallest units."""

    at_us: int
    asset: str
    amount: int
    journal_id: str


class Curve(msgspec.Struct):
    """A running sum over time."""

    times: list[int] = msgspec.field(default_factory=list)
    totals: list[int] = msgspec.field(default_factory=list)
    _arrays: tuple[Integers, Numbers] | None = None

    def add(self, at_us: int, amount: int) -> None:
        self.totals.append(self.last + amount)
        self.times.append(at_us)
        self._arrays = None

    def at(self, boundaries: Integers) -> Numbers:
        """The sum before each boundary, at the last one through it; exact integers."""
        if self._arrays is None:
            is_small = all(abs(total) < _INT64_LIMIT for total in self.totals)
            totals = np.array([0, *self.totals], dtype=np.int64 if is_small else object)
            self._arrays = np.array(self.times, dtype=np.int64), totals
        times, totals = self._arrays
        places = np.searchsorted(times, boundaries, side="left")
        if places.size:
            places[-1] = np.searchsorted(times, boundaries[-1], side="right")
        return np.asarray(totals[places])

    @property
    def last(self) -> int:
        return self.totals[-1] if self.totals else 0

    def through(self, instant: int) -> int:
        """The sum of everything up to and with an instant."""
        index = bisect_right(self.times, instant)
        return self.totals[index - 1] if index else 0


class AccountHistory(msgspec.Struct):
    """Everything that analytics knows of one account."""

    base_currency: str
    curves: dict[str, Curve] = msgspec.field(default_factory=dict)
    flows: list[Flow] = msgspec.field(default_factory=list)
    fills: list[Fill] = msgspec.field(default_factory=list)
    fees: Curve = msgspec.field(default_factory=Curve)
    versions: dict[str, int] = msgspec.field(default_factory=dict)
    first_us: int = 0
    last_us: int = 0

    @property
    def entries(self) -> int:
        """How many ledger entries it is made of: the account's place in the ledger."""
        return sum(self.versions.values())

    def add(self, entries: Iterable[LedgerEntry], external_sources: frozenset[str]) -> None:
        """Append entries in ledger order; those already known are skipped, so repeating is harmless."""
        journal: list[LedgerEntry] = []
        for entry in entries:
            if entry.version <= self.versions.get(entry.asset, 0):
                continue
            self.versions[entry.asset] = entry.version
            if journal and journal[0].journal_id != entry.journal_id:
                self._add_journal(journal, external_sources)
                journal = []
            journal.append(entry)
        if journal:
            self._add_journal(journal, external_sources)

    def _add_journal(self, journal: Sequence[LedgerEntry], external_sources: frozenset[str]) -> None:
        at_us = max(journal[0].at_us, self.last_us)
        self.first_us = self.first_us or at_us
        self.last_us = at_us
        for entry in journal:
            self.curves.setdefault(entry.asset, Curve()).add(at_us, entry.amount)
            if entry.source in external_sources:
                self.flows.append(Flow(at_us, entry.asset, entry.amount, entry.journal_id))
        if journal[0].source == TRADE:
            fill = read_fill(journal, self.base_currency, at_us)
            if fill is not None:
                self.fills.append(fill)
                self.fees.add(at_us, fill.fee)


def read_fill(journal: Sequence[LedgerEntry], base_currency: str, at_us: int) -> Fill | None:
    """The fill that a trading journal settles; None when it was not paid in the base currency.

    A fill's journal moves the securities, then the cash, then the fee: of the account's entries in cash
    the first is the notional and the rest are fees.
    """
    cash = sorted((entry.version, entry.amount) for entry in journal if entry.asset == base_currency)
    securities = [entry for entry in journal if entry.asset != base_currency]
    if len(securities) != 1 or not cash:
        return None
    quantity = securities[0].amount
    return Fill(
        asset=securities[0].asset,
        side="buy" if quantity > 0 else "sell",
        quantity=abs(quantity),
        notional=abs(cash[0][1]),
        fee=-sum(amount for _, amount in cash[1:]),
        at_us=at_us,
    )


def fold_costs(
    histories: Iterable[AccountHistory],
    base_currency: str,
    worth: "Worth",
    until_us: int,
) -> dict[str, CostBasis]:
    """Cost basis of each asset from all fills and transfers in kind up to an instant, in order of time."""
    bases: dict[str, CostBasis] = {}
    events: list[tuple[int, int, Fill | Flow]] = []
    for history in histories:
        events.extend((fill.at_us, 1, fill) for fill in history.fills if fill.at_us <= until_us)
        events.extend(
            (flow.at_us, 0, flow)
            for flow in history.flows
            if flow.at_us <= until_us and flow.asset != base_currency
        )
    events.sort(key=lambda event: event[:2])
    for _, _, event in events:
        basis = bases.setdefault(event.asset, CostBasis())
        if isinstance(event, Fill):
            basis.add(event)
        else:
            basis.transfer(event.amount, worth.of(event.asset, event.amount, event.at_us))
    return bases


class Worth(msgspec.Struct, frozen=True):
    """Market values of flows in kind, in the base currency's smallest unit, by asset and instant."""

    prices: dict[tuple[str, int], int]
    divisors: dict[str, int]
    """10**k by which quantity x price of an asset exceeds the base currency's smallest unit."""

    def of(self, asset: str, quantity: int, at_us: int) -> int | None:
        price, divisor = self.prices.get((asset, at_us)), self.divisors.get(asset)
        if price is None or divisor is None:
            return None
        return quantity * price // divisor
