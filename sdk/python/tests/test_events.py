"""Server-sent events: the same promises over plain HTTP."""

import asyncio

import msgspec
from aiohttp import web
from sdk.python.tests.script import Gap, Timer, serving

from agio_sdk import Agio


class TestEvents:
    @staticmethod
    def event(message: object, position: str | None = None) -> bytes:
        stamp = f"id: {position}\n" if position is not None else ""
        return f"{stamp}data: {msgspec.json.encode(message).decode()}\n\n".encode()

    @staticmethod
    def answer(seq: int, **members: object) -> dict[str, object]:
        return {
            "id": None,
            "subs": [{"ch": "trades:X", "n": 1, "epoch": "e", "seq": seq, **members}],
            "errs": [],
        }

    @classmethod
    def pushes(cls, *sequences: int) -> bytes:
        pushes = [{"n": 1, "q": q, "t": 0, "d": {}} for q in sequences]
        return cls.event(pushes, f"p{sequences[-1]}")

    async def read(
        self, count: int, *bodies: list[bytes], gaps: list[Gap]
    ) -> tuple[list[int], list[str | None]]:
        """The first sequences that come out of these answers, and the positions that were asked from."""
        waiting = list(bodies)
        asked: list[str | None] = []

        async def answer(request: web.Request) -> web.StreamResponse:
            asked.append(request.headers.get("Last-Event-ID"))
            assert request.query.getall("ch") == ["trades:X"]
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            for part in waiting.pop(0):
                await response.write(part)
            return response

        timer = Timer()
        got: list[int] = []
        async with (
            asyncio.timeout(20),
            serving([web.get("/stream/sse", answer)]) as url,
            Agio(url, "key", pace=timer.pace()) as agio,
            agio.events("trades:X", on_gap=lambda *gap: gaps.append(gap)) as events,
        ):
            async for message in events:
                got.append(message.q)
                if len(got) == count:
                    break
        return got, asked

    async def test_resumes_from_the_last_id_and_drops_what_was_seen(self) -> None:
        gaps: list[Gap] = []
        first = [self.event({"op": "welcome", "hb_ms": 15_000}), self.event(self.answer(0), "p0")]
        second = [self.event(self.answer(5, recovered=True, replay=2), "p3"), self.pushes(3, 4, 5)]
        got, asked = await self.read(5, [*first, self.pushes(1, 2, 3)], second, gaps=gaps)
        assert got == [1, 2, 3, 4, 5]
        assert asked == [None, "p3"]
        assert gaps == []

    async def test_an_event_that_was_cut_off_does_not_count(self) -> None:
        whole = self.pushes(2)
        first = [self.event(self.answer(0), "p0"), self.pushes(1), whole[: len(whole) // 2]]
        second = [self.event(self.answer(2, recovered=True, replay=1), "p1"), whole]
        assert await self.read(2, first, second, gaps=[]) == ([1, 2], [None, "p1"])

    async def test_what_cannot_be_resumed_is_told(self) -> None:
        gaps: list[Gap] = []
        first = [self.event(self.answer(0), "p0"), self.pushes(1)]
        second = [self.event(self.answer(9, recovered=False, reason="too_far"), "p9"), self.pushes(10)]
        assert (await self.read(2, first, second, gaps=gaps))[0] == [1, 10]
        assert gaps == [("trades:X", 2, 9, False)]

    async def test_a_hole_is_read_again_from_the_last_position(self) -> None:
        first = [self.event(self.answer(0), "p0"), self.pushes(1), self.pushes(3)]
        second = [self.event(self.answer(3, recovered=True, replay=2), "p1"), self.pushes(2, 3)]
        assert await self.read(3, first, second, gaps=[]) == ([1, 2, 3], [None, "p1"])
