"""Limits of identity, all with their units."""

import msgspec


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True):
    default_key_days: int = 7
    max_key_days: int = 90
    default_overlap_seconds: int = 3600
    max_overlap_seconds: int = 7 * 24 * 3600
    max_keys: int = 1000
    """Keys of one organisation and environment that are neither revoked nor expired."""
    max_networks: int = 64
    ticket_seconds: int = 30
    max_open_tickets: int = 500
    """Unused stream tickets of one organisation and environment."""

    cache_seconds: float = 1.0
    """How long a verified key is taken on trust; an upper bound on how long a lost revocation can last."""
    cached_keys: int = 10_000
    watch_seconds: float = 0.4
    """How often the table is asked which keys ended, besides what the bus says."""
    touch_seconds: float = 10.0
    """How often `last_used_at` is written."""

    failures_allowed: int = 30
    """Failed attempts of one address (IPv6: one /64) at once; then one for each `failure_seconds`."""
    failure_seconds: float = 2.0
    tracked_addresses: int = 10_000
