"""The newest messages of a log channel, in memory, bounded by count and bytes."""

from collections.abc import Sequence

from agio.platform.channels import Push
from agio.streaming.chunks import PUSH_OVERHEAD_BYTES

_COMPACT_AT = 1_024


class RingBudget:
    """Bytes that all rings of a process hold together; when they pass the limit the largest gives way."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._rings: set[Ring] = set()
        self.used_bytes = 0

    def join(self, ring: "Ring") -> None:
        self._rings.add(ring)

    def leave(self, ring: "Ring") -> None:
        if ring in self._rings:
            self._rings.remove(ring)
            self.used_bytes -= ring.size_bytes

    def add(self, count_bytes: int) -> None:
        self.used_bytes += count_bytes
        while self.used_bytes > self._limit_bytes:
            largest = max(self._rings, key=lambda ring: ring.size_bytes)
            if not largest.halve():
                return


class Ring:
    """Pushes with sequences `first`..`last`, without a hole."""

    def __init__(self, max_messages: int, max_bytes: int, budget: RingBudget) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._budget = budget
        self._pushes: list[Push] = []
        self._start = 0
        self.size_bytes = 0
        budget.join(self)

    def __len__(self) -> int:
        return len(self._pushes) - self._start

    def append(self, pushes: Sequence[Push]) -> int:
        """Add pushes that follow the last one; returns about how many bytes they take."""
        self._pushes.extend(pushes)
        added = sum([len(push.d) for push in pushes]) + PUSH_OVERHEAD_BYTES * len(pushes)
        self.size_bytes += added
        before = self.size_bytes
        excess = len(self._pushes) - self._start - self._max_messages
        while excess > 0 or (self.size_bytes > self._max_bytes and len(self) > 1):
            self._drop_oldest()
            excess -= 1
        self._compact()
        self._budget.add(added - (before - self.size_bytes))
        return added

    def halve(self) -> bool:
        """Forget the older half; False when there is nothing left to forget."""
        if not len(self):
            return False
        before = self.size_bytes
        for _ in range((len(self) + 1) // 2):
            self._drop_oldest()
        self._compact()
        self._budget.used_bytes -= before - self.size_bytes
        return True

    def covers(self, sequence: int) -> bool:
        """Whether everything behind this sequence is here."""
        return len(self) > 0 and self._pushes[self._start].q <= sequence + 1

    def after(self, sequence: int, max_bytes: int) -> Sequence[Push]:
        """Pushes behind a sequence that `covers` accepts, up to about `max_bytes`."""
        index = self._start + max(0, sequence + 1 - self._pushes[self._start].q)
        end, size = index, 0
        while end < len(self._pushes) and size < max_bytes:
            size += len(self._pushes[end].d) + PUSH_OVERHEAD_BYTES
            end += 1
        return self._pushes[index:end]

    def release(self) -> None:
        """Give the memory back to the budget."""
        self._budget.leave(self)

    def _drop_oldest(self) -> None:
        self.size_bytes -= len(self._pushes[self._start].d) + PUSH_OVERHEAD_BYTES
        self._start += 1

    def _compact(self) -> None:
        if self._start >= _COMPACT_AT and self._start * 2 >= len(self._pushes):
            del self._pushes[: self._start]
            self._start = 0
