"""DuckDB with the two extensions that the tick store needs, loaded offline from their wheels."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from agio.marketdata.errors import TickStoreUnavailable

if TYPE_CHECKING:
    import duckdb

EXTENSIONS: Final = ("ducklake", "postgres_scanner")


class DuckLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one DuckDB in one process may use. Beyond its memory it sorts and groups on disk."""

    memory_mb: int = 96
    threads: int = 2
    spill_mb: int = 4096


def open_duck(limits: DuckLimits, spill_folder: Path) -> "duckdb.DuckDBPyConnection":
    """An in-memory DuckDB that downloads nothing; raises TickStoreUnavailable when a wheel is missing."""
    # A third of a start's memory: imported by the first process and at the first moment that needs it.
    try:
        import duckdb  # noqa: PLC0415
    except ImportError as error:
        raise TickStoreUnavailable(f"duckdb cannot be loaded: {error}") from error

    connection = duckdb.connect(
        config={
            "threads": limits.threads,
            "memory_limit": f"{limits.memory_mb}MB",
            "temp_directory": str(spill_folder),
            "max_temp_directory_size": f"{limits.spill_mb}MB",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "preserve_insertion_order": "true",
        }
    )
    try:
        for name in EXTENSIONS:
            connection.execute(f"load '{quoted(str(find_extension(name, duckdb.__version__)))}'")
        connection.execute("set timezone = 'UTC'")
        connection.execute("set pg_connection_limit = 4")
    except duckdb.Error as error:
        connection.close()
        raise TickStoreUnavailable(f"an extension of DuckDB cannot be loaded: {error}") from error
    except TickStoreUnavailable:
        connection.close()
        raise
    return connection


def find_extension(name: str, version: str) -> Path:
    """The extension's file in its wheel; the wheel's version must be that of DuckDB."""
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        file = Path(folder) / "extensions" / f"v{version}" / f"{name}.duckdb_extension"
        if file.is_file():
            return file
    package = f"duckdb-extension-{name.replace('_', '-')}"
    raise TickStoreUnavailable(f"install {package}=={version}: it must have the version of duckdb")


def quoted(text: str) -> str:
    """Text for the inside of a SQL literal."""
    return text.replace("'", "''")
