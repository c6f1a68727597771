"""What a running platform pushes on every family of channels is what its AsyncAPI document says."""

import asyncio
import ssl
from typing import Any

import aiohttp
import jsonschema_rs

from benchmarks.harness import Platform

Document = dict[str, Any]

OPEN = {"ControlEvent"}
"""Forms whose payloads may have more members than they name."""
CHANNEL = "channel_"


async def test_pushes_fit_the_document(sim_platform: Platform) -> None:
    trust = ssl.create_default_context(cafile=str(sim_platform.ca_file))
    headers = {"Authorization": f"Bearer {sim_platform.api_key}"}
    connector = aiohttp.TCPConnector(ssl=trust)
    async with (
        aiohttp.ClientSession(sim_platform.url, connector=connector, headers=headers) as http,
        asyncio.timeout(60),
    ):
        document = await (await http.get("/asyncapi.json")).json()
        me = await (await http.get("/api/me")).json()
        keys = keys_of(sim_platform, me)
        documented = {name.removeprefix(CHANNEL) for name in document["channels"] if name.startswith(CHANNEL)}
        told = await listen(http, sim_platform, keys)

    assert documented == set(keys)
    for name, pushes in told.items():
        for push in pushes:
            form = document["channels"][CHANNEL + name]["messages"][message_of(push)]["payload"]
            jsonschema_rs.validator_for({**document, **form}).validate(push)
            assert undocumented(document, form["allOf"][1]["properties"]["d"], push["d"]) == set()


def keys_of(platform: Platform, me: dict[str, str]) -> dict[str, str]:
    """A channel of every family."""
    market = {"trades": "BTC-USD", "quotes": "BTC-USD", "book": "BTC-USD", "bars": "BTC-USD:1s"}
    account = dict.fromkeys(("orders", "fills", "ledger", "balances"), platform.account_id)
    portfolio = dict.fromkeys(("positions", "analytics"), platform.portfolio_id)
    return {**market, **account, **portfolio, "custody": f"{me['organisation_id']}:{me['environment']}"}


async def listen(
    http: aiohttp.ClientSession, platform: Platform, keys: dict[str, str]
) -> dict[str, list[Document]]:
    """Pushes by family, until all of them have told something, and the book a change."""
    names: dict[int, str] = {}
    told: dict[str, list[Document]] = {name: [] for name in keys}
    async with http.ws_connect("/stream") as socket:
        await socket.send_json({"id": 1, "op": "sub", "ch": [f"{name}:{key}" for name, key in keys.items()]})
        while not all(told.values()) or not any("p" in push for push in told["book"]):
            received = await socket.receive_json()
            for message in received if isinstance(received, list) else [received]:
                if "subs" in message:
                    assert message["errs"] == []
                    names = {entry["n"]: entry["ch"].partition(":")[0] for entry in message["subs"]}
                    await provoke(http, platform)
                elif "q" in message:
                    told[names[message["n"]]].append(message)
    return told


async def provoke(http: aiohttp.ClientSession, platform: Platform) -> None:
    """Make something happen on the channels that are about what customers do."""
    order = {
        "account_id": platform.account_id,
        "symbol": "BTC-USD",
        "side": "buy",
        "type": "market",
        "quantity": "0.01",
    }
    for path, body in [("/api/vaults", {"name": "Documented"}), ("/api/orders", order)]:
        answer = await http.post(path, json=body)
        assert answer.status == 201, await answer.text()


def message_of(push: Document) -> str:
    if push.get("op") == "snap":
        return "Snapshot"
    return "BookPush" if "p" in push else "Push"


def undocumented(document: Document, payload: Document, value: Document) -> set[str]:
    """Members of a payload that its form does not name; of several forms the one of its kind counts."""
    for reference in payload.get("anyOf", [payload]):
        name = reference["$ref"].rpartition("/")[2]
        members = document["components"]["schemas"][name]["properties"]
        if value.get("kind") in members.get("kind", {}).get("enum", [None]):
            return set() if name in OPEN else set(value) - set(members)
    return set(value)
