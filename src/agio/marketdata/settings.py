"""What can be set in the market data room."""

from pathlib import Path

import msgspec

from agio.marketdata.tape.survey import TapeLimits


class MarketDataSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults suit one machine; app/wiring.py fills what the operator decides."""

    market: str = "none"
    """What `GET /api/market/status` names: `sim`, `replay:PATH`, `none`."""
    replay_dirs: tuple[Path, ...] = ()
    """Folders from which the API may replay; empty: only the local operator may start replays."""
    trade_retention_days: float = 7.0
    """Trades of the simulated exchange are kept this long; those of tapes until they are deleted by hand."""
    bar_retention_days: float = 30.0
    """The same for its 1 s bars; 1 min bars stay."""
    sweep_seconds: float = 300.0
    stale_seconds: float = 5.0
    """Silence after which a venue, or the engine itself, reads as stale."""
    limits: TapeLimits = TapeLimits()
