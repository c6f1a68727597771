"""A house of custody for tests: people with keys, a vault with money, a clock that can be moved."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import httpx
import pyotp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.nodes import Node, bearer

from agio.identity.service import IssuedKey
from agio.kernel.ids import OrganisationId
from agio.platform.clock import VirtualClock

START: Final = datetime(2026, 3, 2, 9, tzinfo=UTC)
IBAN: Final = "CH93 0076 2011 6238 5295 7"
BIC: Final = "POFICHBEXXX"
DAY: Final = 86_400
Json = dict[str, Any]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


class Person:
    """Somebody with an API key of the house and, once registered, a signing key or a code generator."""

    def __init__(self, name: str, issued: IssuedKey, client: httpx.AsyncClient) -> None:
        self.name = name
        self.key_id = issued.key.key_id
        self.organisation_id = issued.key.organisation_id
        self.headers = bearer(issued.secret)
        self.credential_id = ""
        self.signing_key = Ed25519PrivateKey.generate()
        self.totp: pyotp.TOTP | None = None
        self._client = client

    def at(self, client: httpx.AsyncClient) -> "Person":
        """The same person at another door of the house."""
        other = copy.copy(self)
        other._client = client
        return other

    async def get(self, path: str) -> Json:
        answer = await self._client.get(path, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def post(self, path: str, body: Json | None = None) -> httpx.Response:
        return await self._client.post(path, json=body, headers=self.headers)

    async def patch(self, path: str, body: Json) -> httpx.Response:
        return await self._client.patch(path, json=body, headers=self.headers)

    async def delete(self, path: str) -> httpx.Response:
        return await self._client.delete(path, headers=self.headers)

    async def does(self, path: str, body: Json | None = None) -> Json:
        """POST what must succeed."""
        answer = await self.post(path, body)
        assert answer.status_code in {200, 201}, answer.text
        return dict(answer.json())

    async def register_signing_key(self) -> None:
        public_key = self.signing_key.public_key().public_bytes_raw().hex()
        text = f"agio.custody.credential.v1:{self.organisation_id}:sandbox:{self.key_id}:{public_key}"
        made = await self.does(
            "/api/custody/credentials",
            {
                "method": "ed25519",
                "public_key": public_key,
                "possession": self.signing_key.sign(text.encode()).hex(),
            },
        )
        self.credential_id = made["credential"]["credential_id"]

    async def register_code_generator(self, clock: VirtualClock) -> None:
        made = await self.does("/api/custody/credentials", {"method": "totp"})
        self.credential_id = made["credential"]["credential_id"]
        self.totp = pyotp.TOTP(made["secret"])
        code = self.totp.at(clock.now())
        await self.does(f"/api/custody/credentials/{self.credential_id}/confirm", {"code": code})
        clock.advance(timedelta(seconds=30))  # No code works twice.

    def consent(self, digest: str, clock: VirtualClock) -> Json:
        """The body of an approval of this digest."""
        body: Json = {"credential_id": self.credential_id, "digest": digest}
        if self.totp is not None:
            return body | {"code": self.totp.at(clock.now())}
        return body | {"signature": self.signing_key.sign(bytes.fromhex(digest)).hex()}


class LateNode(NamedTuple):
    """Another API node of the house: a client of it, and its clock, which is two days behind at first."""

    client: httpx.AsyncClient
    clock: VirtualClock


class House:
    """An organisation with a vault, its people, and short words for what they do."""

    def __init__(self, node: Node, clock: VirtualClock, organisation_id: OrganisationId) -> None:
        self.node = node
        self.clock = clock
        self.organisation_id = organisation_id
        self.vault_id = ""
        self.cash = ""
        self.bank = ""
        self.people: dict[str, Person] = {}

    async def hire(self, name: str, *scopes: str) -> Person:
        issued = await self.node.service.issue_key(self.organisation_id, "sandbox", scopes, name=name)
        self.people[name] = Person(name, issued, self.node.client)
        return self.people[name]

    def wait(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    async def open_vault(self, admin: Person, amount: str = "10000.00") -> None:
        """A vault with cash, and a bank account that may be paid after a day."""
        self.vault_id = (await admin.does("/api/vaults", {"name": "Treasury"}))["vault_id"]
        sub = await admin.does(
            f"/api/vaults/{self.vault_id}/sub-accounts", {"asset": "USD", "location": "bank_zurich"}
        )
        self.cash = sub["sub_account_id"]
        await admin.does(
            f"/api/vaults/{self.vault_id}/deposits", {"sub_account_id": self.cash, "amount": amount}
        )
        bank = await admin.does(
            "/api/custody/destinations",
            {"kind": "iban", "name": "Supplier Ltd", "address": IBAN, "bic": BIC},
        )
        self.bank = bank["destination_id"]

    async def adopt(self, document: Json, author: Person, *approvers: Person) -> Json:
        """Draft, agree and activate a policy."""
        draft = await author.does("/api/custody/policy/drafts", {"document": document})
        path = f"/api/custody/policy/drafts/{draft['policy_id']}"
        for person in approvers:
            await person.does(f"{path}/approvals", person.consent(draft["digest"], self.clock))
        return await author.does(f"{path}/activate")

    def payment(self, amount: str, **changes: object) -> Json:
        body = {
            "sub_account_id": self.cash,
            "target": {"kind": "destination", "id": self.bank},
            "amount": amount,
        }
        return body | changes

    async def ask(self, person: Person, amount: str, **changes: object) -> Json:
        return await person.does("/api/custody/requests", self.payment(amount, **changes))

    async def approve(self, person: Person, request: Json) -> httpx.Response:
        path = f"/api/custody/requests/{request['request_id']}/approvals"
        return await person.post(path, person.consent(request["digest"], self.clock))

    async def balance(self, person: Person) -> tuple[str, str, str]:
        """Total, held, available."""
        items = (await person.get(f"/api/vaults/{self.vault_id}/sub-accounts"))["items"]
        sub = next(item for item in items if item["sub_account_id"] == self.cash)
        return sub["total"], sub["held"], sub["available"]


def policy(house: House, **changes: object) -> Json:
    """Payments in USD need two of the treasury, stay below 5,000 each and 8,000 a day."""
    treasury = [house.people[name].key_id for name in ("ben", "cleo", "dana") if name in house.people]
    document: Json = {
        "groups": {"treasury": treasury},
        "rules": [
            {
                "name": "payments",
                "action": "allow",
                "when": {"kinds": ["withdrawal"], "assets": ["USD"]},
                "approvals": [{"group": "treasury", "required": 2}],
                "limits": [
                    {"kind": "per_transaction", "amount": "5000.00"},
                    {"kind": "rolling", "amount": "8000.00", "window_seconds": DAY},
                ],
            }
        ],
        "changes": {"group": "treasury", "required": 2, "delay_seconds": 3600},
        "destination_cooling_seconds": 3600,
    }
    return document | changes
