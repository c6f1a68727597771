"""Limits and intervals of a feed."""

import msgspec


class FeedSettings(msgspec.Struct, frozen=True):
    """One set for all venues; what differs between them is told by their connectors."""

    tick_seconds: float = 0.25
    """How often timers are looked at while nothing is received."""
    connect_seconds: float = 10.0
    """Longest wait for a connection, and for the answer to a request."""
    backoff_first_seconds: float = 0.5
    backoff_limit_seconds: float = 20.0
    healthy_seconds: float = 30.0
    """A connection or a book that held so long has its failures forgotten."""
    connects_per_minute: int = 10
    """Far below what the venues publish (OKX 3 a second, Coinbase 8): several feeds may share an address."""
    snapshot_seconds: float = 5.0
    """How long a snapshot may be on its way before it is asked for again; doubled each time."""
    resync_attempts: int = 5
    """Snapshots asked for without a lasting book before the connection is given up."""
