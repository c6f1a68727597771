"""`start`: history, then live, on one subscription."""

import asyncio
import random
from datetime import datetime

import msgspec
import pytest
from tests.unit.streaming.harness import QUICK, Edge, running_edge

from agio.kernel.time import format_instant, from_micros

FIRST_T = 1_790_000_000_000_000


async def commit(edge: Edge, count: int) -> None:
    """Commit trades one microsecond apart and publish them."""
    begin = len(edge.trades.history)
    for pushes in edge.trades.trades(count):
        (push,) = pushes
        edge.trades.history[push.q - 1] = moved = msgspec.structs.replace(push, t=FIRST_T + push.q)
        await edge.publish("trades", "ES", [moved])
    assert len(edge.trades.history) == begin + count


def time_of(sequence: int) -> str:
    instant: datetime = from_micros(FIRST_T + sequence)
    return format_instant(instant)


class TestStart:
    @pytest.mark.parametrize("seed", range(8))
    async def test_history_then_live_without_hole_or_repetition(self, seed: int) -> None:
        chance = random.Random(seed)
        small = msgspec.structs.replace(QUICK, ring_messages=chance.choice([5, 50]), replay_page=7)
        async with running_edge(small) as edge:
            before, during = chance.randint(0, 60), chance.randint(1, 60)
            await commit(edge, before)
            first = chance.randint(1, before + 1)
            start = first if seed % 2 else time_of(first)
            client = await edge.connect()
            publishing = asyncio.create_task(commit(edge, during))
            answer = await client.ask(op="sub", ch=[{"ch": "trades:ES", "start": start}])
            await publishing
            await commit(edge, 5)
            top = before + during + 5
            await client.wait_until(lambda: client.sequences()[-1:] == [top])

            (entry,) = answer["subs"]
            assert (entry["recovered"], entry["first"]) == (True, client.sequences()[0])
            assert client.sequences() == list(range(client.sequences()[0], top + 1))
            # A time that nothing has reached yet begins with what was new when it was asked for.
            assert client.sequences()[0] == first or first == before + 1

    @pytest.mark.parametrize("start", [1, time_of(0), time_of(1)])
    async def test_more_than_a_resume_brings_back_is_refused_whole(self, start: int | str) -> None:
        async with running_edge(msgspec.structs.replace(QUICK, replay_limit=10)) as edge:
            await commit(edge, 30)
            client = await edge.connect()
            answer = await client.ask(op="sub", ch=[{"ch": "trades:ES", "start": start}])
            await commit(edge, 1)
            await client.wait_until(lambda: client.sequences() == [31])

            (entry,) = answer["subs"]
            assert (entry["recovered"], entry["reason"]) == (False, "too_far")

    async def test_time_before_a_trimmed_history_is_refused_whole(self) -> None:
        async with running_edge() as edge:
            await commit(edge, 30)
            edge.trades.trimmed = 20
            client = await edge.connect()
            too_early = await client.ask(op="sub", ch=[{"ch": "trades:ES", "start": time_of(5)}])
            await client.ask(op="unsub", ch=["trades:ES"])
            known = await client.ask(op="sub", ch=[{"ch": "trades:ES", "start": time_of(25)}])

            assert [entry["subs"][0]["recovered"] for entry in (too_early, known)] == [False, True]

    @pytest.mark.parametrize(
        ("request_", "code"),
        [
            ({"ch": "balances:acc_1", "start": 1}, "start_not_available"),
            ({"ch": "trades:ES", "start": 99}, "start_not_available"),
            ({"ch": "trades:ES", "start": 0}, "start_not_available"),
            ({"ch": "trades:ES", "start": "2026-01-01T00:00:00"}, "start_not_available"),
            ({"ch": "trades:ES", "start": "yesterday"}, "start_not_available"),
            ({"ch": "trades:ES", "start": 1, "from": {"seq": 0}}, "invalid_operation"),
        ],
    )
    async def test_what_has_no_meaning_is_refused(self, request_: dict[str, object], code: str) -> None:
        async with running_edge() as edge:
            client = await edge.connect()
            answer = await client.ask(op="sub", ch=[request_])

            assert [entry["code"] for entry in answer["errs"]] == [code]
            assert not client.session.subscriptions
