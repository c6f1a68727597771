"""When to try again: full jitter, and a breaker against hammering on a locked door."""

from agio_sdk.pace import Pace


class Backoff:
    """Full-jitter exponential backoff, by default from 0.5 to 20 s, reset only by 30 healthy seconds.

    (Exponential Backoff And Jitter, AWS Architecture Blog, 2015: "full jitter".)
    """

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self.attempt = 0
        """How many delays were given since the last healthy time."""

    def next_delay(self, at_least_seconds: float = 0.0) -> float:
        """Seconds to wait now; never less than the server asked for."""
        pace = self._pace
        ceiling = min(pace.longest_delay, pace.first_delay * 2 ** min(self.attempt, 62))
        self.attempt += 1
        return max(at_least_seconds, pace.rng.uniform(0.0, ceiling))

    def was_healthy(self, seconds: float) -> None:
        """Tell for how long the last connection spoke."""
        if seconds >= self._pace.healthy:
            self.attempt = 0


class AuthenticationBreaker:
    """Opens after some refusals in a row: a wrong key does not become right by being sent again."""

    def __init__(self, pace: Pace | None = None) -> None:
        self._limit = (pace or Pace()).refusals
        self._failures = 0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._limit

    def failed(self) -> None:
        self._failures += 1

    def succeeded(self) -> None:
        self._failures = 0
