"""What the edge tells Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class Tally:
    """What was written since the last `publish`: a counter's lock per write costs too much."""

    __slots__ = ("bytes", "pushes")

    def __init__(self) -> None:
        self.pushes = 0
        self.bytes = 0


class StreamMetrics:
    """Counters and gauges of one gateway."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.tally = Tally()
        self.connections = Gauge(
            "agio_stream_connections", "Open WebSocket connections", ["door"], registry=registry
        )
        self.subscriptions = Gauge("agio_stream_subscriptions", "Open subscriptions", registry=registry)
        self.channels = Gauge("agio_stream_channels", "Channels in use", registry=registry)
        self.received = Counter(
            "agio_stream_received", "Pushes taken from the bus", ["channel"], registry=registry
        )
        self.deliveries = Counter(
            "agio_stream_deliveries", "Pushes written to connections", registry=registry
        )
        self.written_bytes = Counter("agio_stream_written_bytes", "Bytes written", registry=registry)
        self.drops = Counter(
            "agio_stream_drops",
            "Pushes left out for a slow reader, always announced",
            ["channel"],
            registry=registry,
        )
        self.closes = Counter("agio_stream_closes", "Connections ended", ["code"], registry=registry)
        self.refusals = Counter("agio_stream_refusals", "Handshakes refused", ["code"], registry=registry)
        self.resumes = Counter("agio_stream_resumes", "Resumes asked for", ["outcome"], registry=registry)
        self.replayed = Counter("agio_stream_replayed", "Pushes brought back", ["source"], registry=registry)
        self.gaps = Counter(
            "agio_stream_gaps", "Holes seen on the bus and healed", ["channel"], registry=registry
        )
        self.queued_bytes = Gauge(
            "agio_stream_queued_bytes", "Bytes that wait for slow connections", registry=registry
        )
        self.ring_bytes = Gauge("agio_stream_ring_bytes", "Bytes kept for resumes", registry=registry)

    def publish(self) -> None:
        """Hand over what was tallied."""
        tally = self.tally
        pushes, tally.pushes = tally.pushes, 0
        count_bytes, tally.bytes = tally.bytes, 0
        self.deliveries.inc(pushes)
        self.written_bytes.inc(count_bytes)
