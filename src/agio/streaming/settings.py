"""Limits of the streaming edge. Every queue, rate and page has one."""

import msgspec

KIB = 1024
MIB = 1024 * KIB


class StreamingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one connection, one channel and one process may use."""

    allowed_origins: tuple[str, ...] = ()
    """Further browser origins; the server's own origin always may."""

    may_compress: bool = False
    """Agree to permessage-deflate when a client offers it."""

    max_connections: int = 10_000
    max_connections_per_key: int = 200
    max_unauthenticated_per_address: int = 32
    max_subscriptions: int = 500
    """Per connection."""

    max_event_channels: int = 50
    """Channels of one stream of events: each event carries the positions of all of them."""
    event_retry_ms: int = 2_000
    """How long a reader of events waits before it connects again."""

    authentication_seconds: float = 5.0
    max_message_bytes: int = 64 * KIB
    max_message_bytes_before_authentication: int = 4 * KIB
    messages_per_second: float = 20.0
    message_burst: int = 40
    opens_per_second: float = 50.0
    """Channels that one connection may open, on average; `open_burst` at once."""
    open_burst: int = 1_000
    max_pending_operations: int = 64

    queue_bytes: int = MIB
    """What may wait for one connection. At half, conflatable channels send their newest values only and log
    channels are read at the reader's pace; at the limit the connection is closed."""
    queue_seconds: float = 5.0
    """How long the oldest message may wait."""
    lag_seconds: float = 30.0
    """How long a log channel may stay behind its live end because the reader is slow."""
    process_queue_bytes: int = 256 * MIB
    write_bytes: int = 64 * KIB
    """Cap of one write, high-water mark of the transport and TCP_NOTSENT_LOWAT."""
    chunk_bytes: int = 24 * KIB
    """About how much one shared body holds."""
    tick_seconds: float = 0.02

    ring_messages: int = 10_000
    ring_bytes: int = 8 * MIB
    process_ring_bytes: int = 256 * MIB
    replay_limit: int = 200_000
    """Messages that a resume may bring back; further back is REST's business."""
    replay_page: int = 500
    concurrent_replays: int = 8
    conflation_keys: int = 1_024
    """Keys of a STATE channel whose newest values are remembered."""
    linger_seconds: float = 30.0
    """How long a channel without subscribers keeps its ring."""
    verify_seconds: float = 1.5
    """How often quiet log channels are compared with their durable source."""

    heartbeat_silence_seconds: float = 15.0
    heartbeat_seconds: float = 25.0
    unanswered_seconds: float = 75.0
    """A peer that answers no ping for so long is gone."""
    reauthenticate_seconds: float = 60.0
    """How long before expiry the client is told."""
    expiry_grace_seconds: float = 25.0
    resume_window_seconds: int = 600
    close_seconds: float = 3.0
    """How long a peer may take to answer a close frame."""
