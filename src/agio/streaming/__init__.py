"""The WebSocket edge: sessions, subscriptions, sequence, recovery, conflation and backpressure."""
