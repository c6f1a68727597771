"""agio: market data, order execution and custody behind one secured API, with one ledger as the truth."""

__version__ = "0.1.0"
