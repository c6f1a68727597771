"""The AsyncAPI document: whole, and equal to what is really sent.

Every message that any test of this folder reads is held against the same types (`FakeWire.messages`).
"""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import msgspec
from tests.unit.streaming.fakes import FakeWire, MemoryLog, principal
from tests.unit.streaming.harness import QUICK, Edge, running_edge

from agio.streaming.asyncapi import build_document
from agio.streaming.event_response import EventWire
from agio.streaming.server_messages import KINDS, Close, Message, Reauthenticate, read_message


async def provoke_operations(edge: Edge) -> FakeWire:
    client = await edge.connect(subprotocol="agio.v1.json")
    await client.ask(op="sub", ch=["trades:ES", "balances:acc_1", "book:ES", "trades:NOPE"])
    await client.ask(op="resync", ch=["book:ES", "trades:ES"])
    await client.ask(op="ping")
    await client.ask(op="auth", token="twin")
    client.say(op="nonsense")
    await client.ask(op="unsub", ch=["trades:ES"])
    await client.ask(op="sub", ch=[{"ch": "trades:ES", "from": {"seq": 0}}])
    await client.wait_for(lambda message: message.get("op") == "snap")
    await edge.trade(2)
    await edge.publish("book", "ES", [edge.book.change("bids", "10.00", "1")])
    await client.wait_for(lambda message: "p" in message)
    await client.wait_for(lambda message: message.get("op") == "hb")
    client.stall()
    for number in range(400):
        await edge.publish("balances", "acc_1", [edge.balances.put("USD", number, {"text": "x" * 2_000})])
    await asyncio.sleep(0.05)
    client.resume()
    await client.wait_for(lambda message: message.get("op") == "skipped")
    edge.trades.epoch = "e2"
    await client.wait_for(lambda message: message.get("op") == "unsub")
    client.session.drain(1_000, 10)
    await client.wait_for(lambda message: message.get("op") == "drain")
    return client.wire


async def provoke_others(edge: Edge) -> set[type[Message]]:
    edge.authenticator.principals["short"] = principal(
        "key_short", expires_at=datetime.now(UTC) + timedelta(seconds=50)
    )
    short = await edge.connect("short")
    await short.wait_for(lambda message: message.get("op") == "reauth")
    simple = await edge.connect(symbol="ES")
    await simple.wait_until(lambda: "trades:ES" in simple.session.subscriptions)
    await edge.trade(1)
    await simple.wait_for(lambda message: "symbol" in message)
    wire = EventWire(QUICK, None)
    wire.close(1012, "restart")
    body = await wire.take()
    closed = read_message(msgspec.json.decode(body.removeprefix(b"data: ")))
    return {*short.wire.kinds, *simple.wire.kinds, type(closed)}


class TestDocument:
    async def test_everything_documented_is_sent_and_nothing_else(self) -> None:
        settings = msgspec.structs.replace(QUICK, heartbeat_silence_seconds=0.05)
        async with running_edge(settings) as edge:
            others = await provoke_others(edge)
            wire = await provoke_operations(edge)

        assert wire.kinds | others == set(KINDS)
        assert {Close, Reauthenticate} <= others

    async def test_every_reference_leads_somewhere(self) -> None:
        async with running_edge() as edge:
            document = msgspec.to_builtins(build_document(edge.gateway.kinds, "1"))
        references = set(re.findall(r'"\$ref":"#/([^"]+)"', msgspec.json.encode(document).decode()))
        assert references
        for reference in references:
            found = document
            for step in reference.split("/"):
                found = found[step]

    def test_a_channel_says_what_its_payloads_are(self) -> None:
        """Of several forms the member is named that tells them apart."""

        class Up(msgspec.Struct, tag_field="kind", tag="up"):
            by: int

        class Down(msgspec.Struct, tag_field="kind", tag="down"):
            by: int

        log = MemoryLog()
        log.payload = Up | Down  # type: ignore[attr-defined]
        document = build_document([log], "1")
        whole, payload = document["channels"]["channel_trades"]["messages"]["Push"]["payload"]["allOf"]

        assert whole == {"$ref": "#/components/schemas/Push"}
        assert payload["properties"]["d"]["discriminator"] == "kind"
        assert len(payload["properties"]["d"]["anyOf"]) == 2

    async def test_channels_come_from_the_registry(self) -> None:
        async with running_edge() as edge:
            document = build_document(edge.gateway.kinds, "1")
        channels = document["channels"]

        assert channels["channel_orders"]["x-scope"] == "orders:read"
        assert set(channels["channel_book"]["messages"]) == {"Snapshot", "BookPush", "Skipped"}
        assert document["x-close-codes"]["4008"] == "slow_consumer"
        assert document["components"]["schemas"]["Subscribe"]["properties"]["op"] == {"enum": ["sub"]}
