"""What rooms stand on: database, outbox, bus, clock, settings, TLS, HTTP. Knows no business words."""
