"""What can be set in the market data room."""

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from agio.marketdata.live.settings import LiveSettings
from agio.marketdata.model import SIM_INSTRUMENTS
from agio.marketdata.tape.survey import TapeLimits
from agio.marketdata.ticks.settings import TickStoreAddress, TickStoreSettings
from agio.platform.config import InvalidSetting, Settings


class MarketDataSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults suit one machine; app/wiring.py fills what the operator decides."""

    market: str = "none"
    """What `GET /api/market/status` names: `sim`, `replay:PATH`, `live:...`, `none`."""
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


def live_settings(settings: Settings) -> LiveSettings:
    """Where live venues are, as far as the operator decided. Raises InvalidSetting."""
    return LiveSettings(
        _addresses(settings.feed_urls, ("ws", "wss")), _addresses(settings.feed_rest_urls, ("http", "https"))
    )


def _addresses(texts: tuple[str, ...], schemes: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for text in texts:
        venue, _, url = text.partition("=")
        parts = urlsplit(url)
        if not venue or parts.scheme not in schemes or not parts.netloc:
            raise InvalidSetting(f"{text!r}: an address of a live venue is VENUE={schemes[-1]}://host")
        found[venue.strip().upper()] = url
    return found


def tick_writer_address(settings: Settings) -> TickStoreAddress:
    """The tick store as its writer opens it."""
    return TickStoreAddress(url=settings.ticks_database_url, folder=_tick_folder(settings))


def tick_reader_address(settings: Settings) -> TickStoreAddress:
    """The tick store as everybody else opens it."""
    return TickStoreAddress(url=settings.ticks_reader_database_url, folder=_tick_folder(settings))


def tick_store_settings(settings: Settings) -> TickStoreSettings:
    """What the operator decided about history."""
    return TickStoreSettings(
        hot_hours=settings.tick_hot_hours,
        trade_days=settings.tick_trade_days,
        quote_days=settings.tick_quote_days,
        sim_symbols=tuple(instrument.symbol for instrument in SIM_INSTRUMENTS),
    )


def _tick_folder(settings: Settings) -> Path:
    return settings.tick_dir or settings.data_dir / "ticks"
