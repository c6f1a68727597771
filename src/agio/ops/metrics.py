"""Prometheus metrics of one process: requests, the process itself, and what other parts register."""

from collections.abc import Callable
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8")
"""Without the character set, which the web framework adds to every text."""
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_KNOWN_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """A registry of its own, so that two applications in one process do not mix.

    Implements `agio.platform.http.RequestObserver`. Labels are bound once: about 1 us a request.
    """

    def __init__(self, process: str, version: str) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "agio_http_requests", "Finished requests", ["method", "route", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "agio_http_request_seconds",
            "Seconds from the request's head to the end of the answer",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._bound_requests: dict[tuple[str, str, int], Counter] = {}
        self._bound_seconds: dict[tuple[str, str], Histogram] = {}
        ProcessCollector(registry=self.registry)
        information = Gauge(
            "agio_build", "Always 1; the labels say what runs", ["process", "version"], registry=self.registry
        )
        information.labels(process, version).set(1)

    def request_finished(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one exchange; unheard-of methods share one label, so that callers cannot make labels."""
        known = method if method in _KNOWN_METHODS else "other"
        counter = self._bound_requests.get((known, route, status))
        if counter is None:
            counter = self._requests.labels(known, route, str(status))
            self._bound_requests[known, route, status] = counter
        counter.inc()
        histogram = self._bound_seconds.get((known, route))
        if histogram is None:
            histogram = self._seconds.labels(known, route)
            self._bound_seconds[known, route] = histogram
        histogram.observe(seconds)

    def add_gauge(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Register a value that is read when somebody looks."""
        Gauge(name, description, registry=self.registry).set_function(value)

    def render(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self.registry)
