"""PostgreSQL and NATS out of PyPI wheels, run as children of ours on the loopback interface."""
