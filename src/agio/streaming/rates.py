"""Token buckets: so many at once, so many a second."""

from collections.abc import Callable


class TokenBucket:
    def __init__(self, per_second: float, burst: float, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._counted_at = clock()

    def take(self, count: int = 1) -> bool:
        """Take tokens; False, and nothing taken, when there are not enough."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._per_second)
        self._counted_at = now
        if self._tokens < count:
            return False
        self._tokens -= count
        return True

    def wait_ms(self, count: int = 1) -> int:
        """After how many milliseconds `take` can succeed."""
        return max(1, round((count - self._tokens) / self._per_second * 1000))
