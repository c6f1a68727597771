"""A tenant with a vault, a policy in force and three keys, made over HTTP on a running platform."""

import time
from dataclasses import dataclass
from typing import Any

import httpx
import pyotp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.e2e.tenants import Tenant, connect, give_belongings, make_key, make_tenant

from benchmarks.harness import Platform

IBAN = "CH93 0076 2011 6238 5295 7"
STEP_SECONDS = 30


@dataclass
class VaultHouse:
    """Who is in the house: `tenant` asks and administers, `approver` agrees by codes."""

    tenant: Tenant
    approver_id: str
    approver_secret: str
    totp: pyotp.TOTP
    sub_account_id: str
    destination_id: str
    platform: Platform

    def ask(self, amount: str) -> dict[str, Any]:
        """A request for a payment, by the tenant's first key."""
        body = {
            "sub_account_id": self.sub_account_id,
            "target": {"kind": "destination", "id": self.destination_id},
            "amount": amount,
            "reference": "invoice 17",
        }
        with connect(self.platform, self.tenant.secret) as http:
            return _post(http, "/api/custody/requests", body)

    def next_code(self) -> str:
        """A code of the approver's that nobody has used: the one after the present one counts already."""
        return self.totp.at(int(time.time()) + STEP_SECONDS)


def make_vault_house(platform: Platform) -> VaultHouse:
    """Payments in USD up to 5,000 need one of the treasury; larger ones are denied."""
    tenant = make_tenant(platform, "House of the dashboard")
    give_belongings(platform, tenant)
    approver_id, approver_secret = make_key(platform, tenant)
    elder_id, elder_secret = make_key(platform, tenant)
    with connect(platform, approver_secret) as approver, connect(platform, elder_secret) as elder:
        totp = _register_codes(approver)
        credential_id, signing_key = _register_signing_key(elder, tenant.organisation_id, elder_id)
        with connect(platform, tenant.secret) as http:
            document = _policy(approver_id, elder_id)
            draft = _post(http, "/api/custody/policy/drafts", {"document": document})
            path = f"/api/custody/policy/drafts/{draft['policy_id']}"
            digest = draft["digest"]
            signature = signing_key.sign(bytes.fromhex(digest)).hex()
            consent = {"credential_id": credential_id, "digest": digest, "signature": signature}
            _post(elder, f"{path}/approvals", consent)
            _post(http, f"{path}/activate")
            vault = _post(http, "/api/vaults", {"name": "Treasury"})["vault_id"]
            place = {"asset": "USD", "location": "bank_zurich"}
            sub = _post(http, f"/api/vaults/{vault}/sub-accounts", place)["sub_account_id"]
            _post(http, f"/api/vaults/{vault}/deposits", {"sub_account_id": sub, "amount": "10000.00"})
            bank = {"kind": "iban", "name": "Supplier Ltd", "address": IBAN}
            destination = _post(http, "/api/custody/destinations", bank)["destination_id"]
    return VaultHouse(tenant, approver_id, approver_secret, totp, sub, destination, platform)


def _policy(approver_id: str, elder_id: str) -> dict[str, Any]:
    return {
        "groups": {"treasury": [approver_id], "elders": [elder_id]},
        "rules": [
            {
                "name": "too-large",
                "action": "deny",
                "when": {"kinds": ["withdrawal"], "assets": ["USD"], "min_amount": "5000.01"},
            },
            {
                "name": "payments",
                "action": "allow",
                "when": {"kinds": ["withdrawal"], "assets": ["USD"]},
                "approvals": [{"group": "treasury", "required": 1}],
                "limits": [{"kind": "rolling", "amount": "8000.00", "window_seconds": 86_400}],
            },
        ],
        "changes": {"group": "elders", "required": 1, "delay_seconds": 0},
        "destination_cooling_seconds": 0,
    }


def _register_codes(http: httpx.Client) -> pyotp.TOTP:
    """Confirmed by the present code: no code works twice, so that the next one is the first to approve."""
    made = _post(http, "/api/custody/credentials", {"method": "totp"})
    totp = pyotp.TOTP(made["secret"])
    credential_id = made["credential"]["credential_id"]
    _post(http, f"/api/custody/credentials/{credential_id}/confirm", {"code": totp.now()})
    return totp


def _register_signing_key(
    http: httpx.Client, organisation_id: str, key_id: str
) -> tuple[str, Ed25519PrivateKey]:
    signing_key = Ed25519PrivateKey.generate()
    public_key = signing_key.public_key().public_bytes_raw().hex()
    text = f"agio.custody.credential.v1:{organisation_id}:sandbox:{key_id}:{public_key}"
    body = {
        "method": "ed25519",
        "public_key": public_key,
        "possession": signing_key.sign(text.encode()).hex(),
    }
    made = _post(http, "/api/custody/credentials", body)
    return str(made["credential"]["credential_id"]), signing_key


def _post(http: httpx.Client, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = http.post(path, json=body)
    assert answer.status_code in {200, 201}, answer.text
    return dict(answer.json())
