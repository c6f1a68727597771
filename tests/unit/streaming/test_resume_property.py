"""Whatever the bus, the history and the connection do, a log subscriber sees each message once, in order."""

import asyncio

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.streaming.harness import PATIENCE_SECONDS, QUICK, Client, Edge, running_edge

from agio.platform.channels import Push

TINY = msgspec.structs.replace(
    QUICK,
    tick_seconds=0.01,
    ring_messages=6,
    replay_page=4,
    chunk_bytes=900,
    queue_bytes=6_000,
    write_bytes=600,
    messages_per_second=10_000.0,
    message_burst=10_000,
    linger_seconds=0.01,
)

fates = st.lists(st.sampled_from(["publish", "publish", "lose", "twice", "later"]), min_size=1, max_size=12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), fates),
        st.tuples(st.just("release"), st.none()),
        st.tuples(st.just("reconnect"), st.none()),
        st.tuples(st.just("stall"), st.none()),
        st.tuples(st.just("read"), st.none()),
        st.tuples(st.just("outage"), st.integers(1, 3)),
        st.tuples(st.just("pause"), st.none()),
    ),
    min_size=1,
    max_size=25,
)


class Follower:
    """A client that follows one log over reconnections and insists on +1."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._client: Client | None = None
        self._read = 0
        self.epoch = ""
        self.seen = 0

    async def connect(self, *, is_first: bool) -> None:
        self._client = await self._edge.connect()
        self._read = 0
        position = {} if is_first else {"from": {"epoch": self.epoch, "seq": self.seen}}
        answer = await self._client.ask(op="sub", ch=[{"ch": "trades:ES", **position}])
        if answer["errs"]:
            # The history was away: come back as the SDK does.
            assert answer["errs"][0]["retry"]
            self.leave()
            await self.connect(is_first=is_first)
            return
        entry = answer["subs"][0]
        if is_first:
            self.epoch, self.seen = entry["epoch"], entry["seq"]
        else:
            assert entry["recovered"], entry

    def leave(self) -> None:
        if self._client is not None:
            self.read()
            self._client.session.lost()
            self._client = None

    @property
    def client(self) -> Client:
        assert self._client is not None
        return self._client

    def read(self) -> None:
        assert self._client is not None
        pushes = self._client.pushes()
        for push in pushes[self._read :]:
            assert push["q"] == self.seen + 1, f"{push['q']} after {self.seen}"
            self.seen = int(str(push["q"]))
        self._read = len(pushes)


async def follow(plan: list[tuple[str, object]]) -> None:
    async with running_edge(TINY) as edge:
        follower = Follower(edge)
        await follower.connect(is_first=True)
        later: list[Push] = []
        for step, detail in plan:
            if step == "trade":
                await _trade(edge, detail, later)
            elif step == "release":
                while later:
                    await edge.publish("trades", "ES", [later.pop()])
            elif step == "reconnect":
                follower.leave()
                await follower.connect(is_first=False)
            elif step == "stall":
                follower.client.stall()
            elif step == "read":
                follower.client.resume()
            elif step == "outage":
                edge.trades.failures = int(str(detail))
            else:
                await asyncio.sleep(0.003)
            if follower.client.wire.closed is not None:
                follower.leave()
                await follower.connect(is_first=False)
            follower.read()
        follower.client.resume()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while follower.seen < len(edge.trades.history):
                await asyncio.sleep(0.005)
                follower.read()
        follower.leave()


async def _trade(edge: Edge, plan: object, later: list[Push]) -> None:
    assert isinstance(plan, list)
    for (push,), fate in zip(edge.trades.trades(len(plan)), plan, strict=True):
        if fate == "later":
            later.append(push)
        elif fate != "lose":
            await edge.publish("trades", "ES", [push])
            if fate == "twice":
                await edge.publish("trades", "ES", [push])


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps)
def test_each_message_once_and_in_order(plan: list[tuple[str, object]]) -> None:
    asyncio.run(follow(plan))


async def test_replay_ends_amid_a_batch_that_waits_for_its_tick() -> None:
    """Replayed up to 2 while 2 and 3 go out together: 2 is not repeated."""
    async with running_edge(msgspec.structs.replace(QUICK, tick_seconds=0.2)) as edge:
        first = await edge.connect("twin")
        await first.ask(op="sub", ch=["trades:ES"])
        await edge.trade(1)
        await asyncio.sleep(0.02)
        await edge.trade(1)
        client = await edge.connect()
        await client.ask(op="sub", ch=[{"ch": "trades:ES", "from": {"seq": 0}}])
        await asyncio.sleep(0.02)
        await edge.trade(1)
        await client.wait_until(lambda: len(client.pushes()) >= 3)
        await first.wait_until(lambda: len(first.pushes()) >= 3)

        assert client.sequences() == [1, 2, 3]
        assert first.sequences() == [1, 2, 3]
