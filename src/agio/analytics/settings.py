"""Fixed figures of analytics."""

from typing import Final

from agio.custody.api import SOURCE as CUSTODY

EXTERNAL_SOURCES: Final = frozenset({CUSTODY})
"""Journal sources that bring money or securities from outside or take them there; all else is performance."""

MAX_ACCOUNTS: Final = 32
MAX_NAME_LENGTH: Final = 100
MAX_ENTRIES: Final = 1_000_000
"""Ledger entries of one account that are read."""

CACHED_ACCOUNTS: Final = 512
"""Account histories that a process keeps in memory, least recently used first out."""

CACHED_MARKS: Final = 20_000
"""Marks at period boundaries that a process keeps for each symbol."""

SETTLED_US: Final = 10_000_000
"""Marks older than this no longer change, so they may be cached."""

PUBLISH_SECONDS: Final = 0.5
"""At most one message a portfolio and channel in this time."""

PORTFOLIOS_PER_ROUND: Final = 200
"""Changed portfolios that are valued in one round; the others wait for the next."""

WATCHED_PORTFOLIOS: Final = 20_000
FULL_DETAIL_SECONDS: Final = 2 * 86_400
"""How long marks of every second are kept."""
