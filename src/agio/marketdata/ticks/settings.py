"""What can be set in the tick store."""

from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from agio.marketdata.ticks.batches import Kind


class TickStoreAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where the store is: the database as one of its two roles, and the folder of the files."""

    url: str
    folder: Path

    @property
    def data_folder(self) -> Path:
        return self.folder / "data"

    @property
    def spill_folder(self) -> Path:
        return self.folder / "spill"

    @property
    def export_folder(self) -> Path:
        return self.folder / "exports"


class Retention(msgspec.Struct, frozen=True):
    """For how long ticks of one kind are kept, counted from their receipt."""

    kind: Kind
    days: float
    """0 is for ever."""
    symbols: tuple[str, ...] = ()
    """Of these symbols only; empty: of all."""


class HotTail(msgspec.Struct, frozen=True):
    """What PostgreSQL keeps: rows received since `before`, and no more than `rows` trades of a symbol."""

    before: datetime
    rows: int


class TickStoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What stays where, and for how long."""

    hot_hours: float = 2.0
    """New rows stay in PostgreSQL for so long: streams resume from there."""
    hot_rows: int = 1_000_000
    """And no more trades of a symbol than so many."""
    move_minutes: float = 15.0
    """Rows are moved when so much has come together: one file for each kind."""
    trade_days: float = 0.0
    quote_days: float = 30.0
    sim_symbols: tuple[str, ...] = ()
    sim_trade_days: float = 7.0
    sim_quote_days: float = 2.0
    look_seconds: float = 30.0
    redraw_seconds: float = 2.0
    upkeep_minutes: float = 60.0

    def retention(self) -> tuple[Retention, ...]:
        rules = [Retention("trades", self.trade_days), Retention("quotes", self.quote_days)]
        if self.sim_symbols:
            rules.append(Retention("trades", self.sim_trade_days, self.sim_symbols))
            rules.append(Retention("quotes", self.sim_quote_days, self.sim_symbols))
        return tuple(rules)

    def tail(self, now: datetime) -> HotTail:
        """What stays when something is moved."""
        return HotTail(now - timedelta(hours=self.hot_hours), self.hot_rows)

    def lagging_tail(self, now: datetime) -> HotTail:
        """What must have been passed before anything is moved."""
        waited = timedelta(hours=self.hot_hours, minutes=self.move_minutes)
        return HotTail(now - waited, self.hot_rows + self.hot_rows // 4)
