"""Custody on a running platform: policy, request, two approvals, release, settlement, and its channel."""

import asyncio
import ssl
import time
from typing import Any

import aiohttp
import pyotp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from tests.e2e.tenants import make_key, make_tenant

from benchmarks.harness import Platform

Json = dict[str, Any]
STEP_SECONDS = 30


class Caller:
    """Somebody with a key of the organisation, over HTTPS."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key_id: str, secret: str) -> None:
        self.key_id = key_id
        self._session, self._url = session, url
        self.headers = {"Authorization": f"Bearer {secret}"}

    async def get(self, path: str) -> Json:
        async with self._session.get(f"{self._url}{path}", headers=self.headers) as answer:
            assert answer.status == 200, await answer.text()
            return dict(await answer.json())

    async def post(self, path: str, body: Json | None = None) -> Json:
        async with self._session.post(f"{self._url}{path}", headers=self.headers, json=body) as answer:
            assert answer.status in {200, 201}, await answer.text()
            return dict(await answer.json())


class Signer:
    """An approver with an Ed25519 key."""

    def __init__(self, caller: Caller, organisation_id: str) -> None:
        self._caller, self._organisation_id = caller, organisation_id
        self._key = Ed25519PrivateKey.generate()
        self._credential_id = ""

    async def register(self) -> None:
        public_key = self._key.public_key().public_bytes_raw().hex()
        claim = (
            f"agio.custody.credential.v1:{self._organisation_id}:sandbox:{self._caller.key_id}:{public_key}"
        )
        possession = self._key.sign(claim.encode()).hex()
        body = {"method": "ed25519", "public_key": public_key, "possession": possession}
        made = await self._caller.post("/api/custody/credentials", body)
        self._credential_id = made["credential"]["credential_id"]

    async def approve(self, path: str, digest: str) -> Json:
        signature = self._key.sign(bytes.fromhex(digest)).hex()
        body = {"credential_id": self._credential_id, "digest": digest, "signature": signature}
        return await self._caller.post(f"{path}/approvals", body)


class Coder:
    """An approver with a code generator."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._credential_id = ""
        self._totp = pyotp.TOTP(pyotp.random_base32())

    async def register(self) -> None:
        made = await self._caller.post("/api/custody/credentials", {"method": "totp"})
        self._credential_id = made["credential"]["credential_id"]
        self._totp = pyotp.TOTP(made["secret"])
        path = f"/api/custody/credentials/{self._credential_id}/confirm"
        await self._caller.post(path, {"code": self._totp.now()})

    async def approve(self, path: str, digest: str) -> Json:
        # No code works twice; the next one counts already.
        code = self._totp.at(int(time.time()) + STEP_SECONDS)
        body = {"credential_id": self._credential_id, "digest": digest, "code": code}
        return await self._caller.post(f"{path}/approvals", body)


async def test_a_payment_leaves_a_vault_and_its_channel_tells_it(sim_platform: Platform) -> None:
    tenant = await asyncio.to_thread(make_tenant, sim_platform, "Vault journey")
    keys = [await asyncio.to_thread(make_key, sim_platform, tenant) for _ in range(3)]
    context = ssl.create_default_context(cafile=sim_platform.ca_file)
    connector = aiohttp.TCPConnector(ssl=context)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        url = sim_platform.url
        clerk = Caller(session, url, tenant.key_id, tenant.secret)
        treasury = [Caller(session, url, *key) for key in keys]
        async with session.ws_connect(f"{url}/stream", headers=clerk.headers) as socket:
            assert (await socket.receive_json(timeout=20))["op"] == "welcome"
            channel = f"custody:{tenant.organisation_id}:sandbox"
            await socket.send_json({"id": 1, "op": "sub", "ch": [channel]})
            answer = await socket.receive_json(timeout=20)
            assert (answer["id"], answer["errs"]) == (1, []), answer

            signers = [Signer(one, tenant.organisation_id) for one in treasury[:2]]
            settled = await _pay(clerk, signers, Coder(treasury[2]), treasury)

            told = await _listen(socket, "request_settled")
    assert told == [
        *["credential_registered"] * 3,
        "vault_opened",
        "sub_account_opened",
        "vault_credited",
        "policy_drafted",
        *["policy_approved"] * 2,
        "policy_scheduled",
        "policy_activated",
        "destination_added",
        "request_created",
        "request_allowed",
        *["request_approved"] * 2,
        "request_held",
        "request_released",
        "request_settled",
    ]
    assert settled["external_reference"] == "E2E-1"


async def _pay(clerk: Caller, signers: list[Signer], coder: Coder, treasury: list[Caller]) -> Json:
    """From nothing to a settled withdrawal; the platform's clock is real, so that nothing cools or waits."""
    for one in (*signers, coder):
        await one.register()
    vault = await clerk.post("/api/vaults", {"name": "Treasury"})
    inside = f"/api/vaults/{vault['vault_id']}"
    sub = await clerk.post(f"{inside}/sub-accounts", {"asset": "USD", "location": "bank"})
    await clerk.post(f"{inside}/deposits", {"sub_account_id": sub["sub_account_id"], "amount": "1000.00"})
    document = {
        "groups": {"treasury": [one.key_id for one in treasury]},
        "rules": [
            {
                "name": "payments",
                "action": "allow",
                "when": {"kinds": ["withdrawal"], "assets": ["USD"]},
                "approvals": [{"group": "treasury", "required": 2}],
                "limits": [{"kind": "rolling", "amount": "500.00", "window_seconds": 86400}],
            }
        ],
        "changes": {"group": "treasury", "required": 2, "delay_seconds": 0},
        "destination_cooling_seconds": 0,
    }
    draft = await clerk.post("/api/custody/policy/drafts", {"document": document})
    path = f"/api/custody/policy/drafts/{draft['policy_id']}"
    for signer in signers:
        await signer.approve(path, draft["digest"])
    await clerk.post(f"{path}/activate")
    bank = await clerk.post(
        "/api/custody/destinations",
        {"kind": "iban", "name": "Supplier", "address": "CH93 0076 2011 6238 5295 7"},
    )
    request = await clerk.post(
        "/api/custody/requests",
        {
            "sub_account_id": sub["sub_account_id"],
            "target": {"kind": "destination", "id": bank["destination_id"]},
            "amount": "400.00",
        },
    )
    path = f"/api/custody/requests/{request['request_id']}"
    assert (await coder.approve(path, request["digest"]))["status"] == "approving"
    assert (await signers[0].approve(path, request["digest"]))["status"] == "held"
    released = await clerk.post(f"{path}/release")
    signature = released["signature"]
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature["public_key"])).verify(
        bytes.fromhex(signature["signature"]), bytes.fromhex(request["digest"])
    )
    settled = await clerk.post(f"{path}/settle", {"external_reference": "E2E-1"})
    (kept,) = (await clerk.get(f"{inside}/sub-accounts"))["items"]
    assert (kept["total"], kept["held"]) == ("600.00", "0.00")
    return settled


async def _listen(socket: aiohttp.ClientWebSocketResponse, last: str) -> list[str]:
    """What the channel tells, in sequence, up to this event."""
    told: list[str] = []
    async with asyncio.timeout(20):
        while last not in told:
            frame = await socket.receive_json()
            for message in frame if isinstance(frame, list) else [frame]:
                if "q" in message:
                    assert message["q"] == len(told) + 1, message
                    told.append(message["d"]["event"])
                else:
                    assert message["op"] != "error", message
    return told
