"""When to try again: full jitter, and a breaker against hammering on a locked door."""

import random

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 20.0
HEALTHY_SECONDS = 30.0
AUTHENTICATION_FAILURES = 3


class Backoff:
    """Full-jitter exponential backoff from 0.5 to 20 s, reset only by 30 healthy seconds.

    (Exponential Backoff And Jitter, AWS Architecture Blog, 2015: "full jitter".)
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        self._random = rng or random.Random()  # noqa: S311 - spreads clients, protects nothing
        self._attempt = 0

    def next_delay(self, at_least_seconds: float = 0.0) -> float:
        """Seconds to wait now; never less than the server asked for."""
        ceiling = min(LONGEST_SECONDS, FIRST_SECONDS * 2**self._attempt)
        self._attempt += 1
        return max(at_least_seconds, self._random.uniform(0.0, ceiling))

    def was_healthy(self, seconds: float) -> None:
        """Tell how long the last connection lived."""
        if seconds >= HEALTHY_SECONDS:
            self._attempt = 0


class AuthenticationBreaker:
    """Opens after three refusals in a row: a wrong key does not become right by being sent again."""

    def __init__(self) -> None:
        self._failures = 0

    @property
    def is_open(self) -> bool:
        return self._failures >= AUTHENTICATION_FAILURES

    def failed(self) -> None:
        self._failures += 1

    def succeeded(self) -> None:
        self._failures = 0
