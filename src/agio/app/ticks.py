"""The recorded market of a platform on this machine, for Python and notebooks."""

from pathlib import Path
from typing import TYPE_CHECKING

from agio.app.run_state import RunFolder
from agio.marketdata.errors import TickStoreUnavailable
from agio.marketdata.settings import tick_reader_address
from agio.marketdata.ticks.duck import DuckLimits
from agio.marketdata.ticks.research import open_research
from agio.platform.config import Settings

if TYPE_CHECKING:
    import duckdb

LIMITS = DuckLimits(memory_mb=2048, threads=4)


def open_ticks(data_dir: Path | str | None = None) -> "duckdb.DuckDBPyConnection":
    """A DuckDB with the views `trades` and `quotes`; the platform must be running.

    Raises TickStoreUnavailable where none is. Without an argument: AGIO_DATA_DIR, or where `agio up` puts it.
    """
    return open_research(tick_reader_address(find_settings(data_dir)), LIMITS)


def find_settings(data_dir: Path | str | None) -> Settings:
    """What the platform on the data folder runs with, else the environment's; raises TickStoreUnavailable."""
    environment = Settings.from_environment()
    folder = Path(data_dir) if data_dir is not None else environment.data_dir
    settings = RunFolder(folder).read_settings() or environment
    if not settings.ticks_reader_database_url:
        raise TickStoreUnavailable(
            "no tick store is within reach: start the platform, or set AGIO_TICKS_READER_DATABASE_URL"
        )
    return settings
