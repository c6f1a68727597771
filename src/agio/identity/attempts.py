"""Counts failed attempts by address, in bounded memory."""

import ipaddress
from collections import OrderedDict

from agio.identity.model import Address
from agio.identity.settings import IdentitySettings
from agio.platform.clock import Clock

_IPV6_SITE_BITS = 64


class FailedAttempts:
    """The generic cell rate algorithm: a burst of failures, then one for each period.

    When more addresses fail than are tracked, the one that failed longest ago is forgotten.
    """

    def __init__(self, clock: Clock, settings: IdentitySettings) -> None:
        self._clock = clock
        self._period = settings.failure_seconds
        self._burst = settings.failures_allowed * settings.failure_seconds
        self._limit = settings.tracked_addresses
        self._free_at: OrderedDict[str, float] = OrderedDict()

    def record(self, address: Address | None) -> None:
        """Count one failure."""
        source = _source(address)
        now = self._clock.monotonic()
        # A flood must not push the end of the wait ever further away: a client that stops is let in again.
        free_at = max(self._free_at.pop(source, now), now) + self._period
        self._free_at[source] = min(free_at, now + self._burst + self._period)
        if len(self._free_at) > self._limit:
            self._free_at.popitem(last=False)

    def wait_seconds(self, address: Address | None) -> float:
        """How long this address has to wait; 0.0 when it may try."""
        free_at = self._free_at.get(_source(address))
        return 0.0 if free_at is None else max(0.0, free_at - self._clock.monotonic() - self._burst)


def _source(address: Address | None) -> str:
    """One customer usually has a whole IPv6 /64."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _IPV6_SITE_BITS), strict=False))
    return str(address)
