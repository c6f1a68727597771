import asyncio
from collections.abc import Sequence

import pytest

from agio.platform.group_commit import GroupCommit, Overloaded


class Ledger:
    """Records what it was asked to execute, and in which batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def execute(self, items: Sequence[int]) -> list[int | Exception]:
        await self.gate.wait()
        self.batches.append(list(items))
        return [ValueError(f"no {item}") if item < 0 else item * 2 for item in items]


class TestSubmit:
    async def test_a_lone_call_waits_for_nobody(self) -> None:
        ledger = Ledger()
        assert await GroupCommit(ledger.execute).submit(21) == 42
        assert ledger.batches == [[21]]

    async def test_concurrent_calls_share_a_batch_in_order(self) -> None:
        ledger = Ledger()
        group = GroupCommit(ledger.execute, max_batch=100)
        results = await asyncio.gather(*(group.submit(item) for item in range(250)))
        assert results == [item * 2 for item in range(250)]
        assert [len(batch) for batch in ledger.batches] == [100, 100, 50]
        assert [item for batch in ledger.batches for item in batch] == list(range(250))

    async def test_a_refused_item_fails_alone(self) -> None:
        group = GroupCommit(Ledger().execute)
        results = await asyncio.gather(
            group.submit(1), group.submit(-1), group.submit(2), return_exceptions=True
        )
        assert results[0] == 2
        assert isinstance(results[1], ValueError)
        assert results[2] == 4

    async def test_a_batch_that_breaks_fails_its_callers_and_the_next_batch_runs(self) -> None:
        calls = 0

        async def execute(items: Sequence[int]) -> list[int | Exception]:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise ConnectionError("cut")
            return list(items)

        group = GroupCommit(execute)
        with pytest.raises(ConnectionError):
            await group.submit(1)
        assert await group.submit(2) == 2

    async def test_a_full_queue_refuses_at_once(self) -> None:
        ledger = Ledger()
        ledger.gate.clear()
        group = GroupCommit(ledger.execute, queue_limit=3, max_batch=1)
        waiting = [asyncio.create_task(group.submit(item)) for item in range(3)]
        await asyncio.sleep(0)
        late = asyncio.create_task(group.submit(3))
        with pytest.raises(Overloaded):
            await asyncio.wait_for(late, 1)
        ledger.gate.set()
        assert await asyncio.gather(*waiting) == [0, 2, 4]

    async def test_a_caller_that_gives_up_does_not_disturb_the_others(self) -> None:
        ledger = Ledger()
        ledger.gate.clear()
        group = GroupCommit(ledger.execute)
        first, second = asyncio.create_task(group.submit(1)), asyncio.create_task(group.submit(2))
        await asyncio.sleep(0.01)
        first.cancel()
        ledger.gate.set()
        assert await second == 4
