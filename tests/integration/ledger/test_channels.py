"""The ledger's channels, from an applied command to what a subscriber is pushed."""

from typing import NamedTuple

import msgspec
import pytest
from tests.integration.ledger.world import SCOPE_A, SCOPE_B, LedgerWorld, fund, hold, post

from agio.ledger.stream import build_channels
from agio.platform.channels import ChannelClass, UnknownChannel
from agio.platform.db import Scope
from agio.platform.relay import EventMessage


class Caller(NamedTuple):
    scope: Scope


async def relay(world: LedgerWorld) -> list[EventMessage]:
    async with world.engine_database.transaction() as tx:
        rows = await tx.fetch_tuples(
            "select channel, epoch, seq, event_id, kind, 1, body from platform.move_outbox(1000)"
        )
    return [EventMessage(*row) for row in rows]


async def test_ledger_replays_what_was_posted_in_sequence(world: LedgerWorld) -> None:
    ledger_channels, _ = build_channels(world.database, world.ledger, world.clock)
    handle = await ledger_channels.open(Caller(SCOPE_A), "acc_1")
    await world.codes(fund("acc_1:USD", 500), post("j", ("acc_1:USD", -200), ("acc_2:USD", 200)))
    await relay(world)

    pushes = await handle.replay(0, 10)

    assert ledger_channels.channel_class is ChannelClass.LOG
    assert handle.subject == "ev.ledger.acc_1"
    assert [push.q for push in pushes] == [1, 2]
    assert msgspec.json.decode(pushes[1].d)["journal_id"] == "j"


async def test_balances_follow_the_events_and_start_from_a_snapshot(world: LedgerWorld) -> None:
    _, balance_channels = build_channels(world.database, world.ledger, world.clock)
    handle = await balance_channels.open(Caller(SCOPE_A), "acc_3")
    await world.codes(fund("acc_3:USD", 500), hold("h", "acc_3:USD", 120))

    messages = [event for event in await relay(world) if event.channel == "ledger:acc_3"]
    pushed = [push for event in messages for push in handle.decode(msgspec.msgpack.encode(event))]
    snapshot = await handle.snapshot()

    newest = {"asset": "USD", "total": "5.00", "held": "1.20", "available": "3.30", "version": 1}
    assert msgspec.json.decode(pushed[-1].d) == newest
    assert (pushed[-1].q, pushed[-1].key) == (2, "USD")
    assert msgspec.json.decode(snapshot[0].d) == newest
    assert (snapshot[0].snapshot, snapshot[0].q) == (True, 2)


@pytest.mark.parametrize("key", ["acc_1", "acc_404", "org_b", "", "acc_1:USD"])
async def test_others_accounts_are_unknown_channels(world: LedgerWorld, key: str) -> None:
    for kind in build_channels(world.database, world.ledger, world.clock):
        with pytest.raises(UnknownChannel):
            await kind.open(Caller(SCOPE_B), key)
