"""The verbs of custody: `agio.custody.vaults`, `.requests`, `.policy`, `.destinations`, `.freezes`, ...

What makes something new carries an idempotency key, yours or one made here, and is repeated when its answer
is lost. A step of a request (approve, release, settle, ...) is sent once: after OutcomeUnknown, read it.
"""

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

from agio_sdk.approval import Approver, CodeApprover, KeyApprover, SigningKey, check_policy, possession
from agio_sdk.custody_models import (
    Credential,
    CustodyEvent,
    Destination,
    DestinationKind,
    DryRun,
    Freeze,
    FreezeKind,
    NewCredential,
    Signer,
    SubAccount,
    Vault,
    VaultDeposit,
)
from agio_sdk.listing import Listing
from agio_sdk.models import Me
from agio_sdk.policy_models import Policy, PolicyDocument, PolicyInForce, PolicySummary
from agio_sdk.statements import FileFormat, Period, Statement, read_statement, save_statement
from agio_sdk.transfer_requests import Requests, Wanted
from agio_sdk.transport import Amount, Instant, Transport, Verbs, amount_text, given, segment

T = TypeVar("T")


class Creating(Verbs):
    """Verbs that make something new, once per key."""

    async def _create(self, path: str, kind: type[T], body: dict[str, object], key: str | None) -> T:
        return await self._rest.post(path, kind, body, idempotency_key=key or uuid.uuid4().hex)


class Vaults(Creating):
    """Vaults and what is in them, by asset and location."""

    def list(self, *, page_size: int | None = None) -> Listing[Vault]:
        """Vaults, oldest first."""
        return self._rest.listing("/api/vaults", Vault, {"limit": page_size})

    async def get(self, vault_id: str) -> Vault:
        return await self._rest.get(_vault(vault_id), Vault)

    async def open(self, name: str, *, key: str | None = None) -> Vault:
        return await self._create("/api/vaults", Vault, {"name": name}, key)

    def sub_accounts(self, vault_id: str) -> Listing[SubAccount]:
        """A vault's sub-accounts with their balances."""
        return self._rest.listing(f"{_vault(vault_id)}/sub-accounts", SubAccount)

    async def open_sub_account(
        self, vault_id: str, asset: str, location: str, *, key: str | None = None
    ) -> SubAccount:
        """Open a sub-account for an asset in a location, such as `cold` or `bank_zurich`."""
        body: dict[str, object] = {"asset": asset, "location": location}
        return await self._create(f"{_vault(vault_id)}/sub-accounts", SubAccount, body, key)

    async def deposit(
        self, vault_id: str, sub_account_id: str, amount: Amount, *, key: str | None = None
    ) -> VaultDeposit:
        """Let money arrive on the sandbox rail."""
        body: dict[str, object] = {"sub_account_id": sub_account_id, "amount": amount_text(amount)}
        return await self._create(f"{_vault(vault_id)}/deposits", VaultDeposit, body, key)

    async def statement(self, vault_id: str, sub_account_id: str, start: Instant, end: Instant) -> Statement:
        """A sub-account's statement with all its entries; as `agio.statements.get`."""
        path = _statements(vault_id, sub_account_id)
        return await read_statement(self._rest, path, Period(start, end))

    async def download_statement(
        self,
        vault_id: str,
        sub_account_id: str,
        start: Instant,
        end: Instant,
        file: Path,
        *,
        format: FileFormat = "csv",  # noqa: A002 - the parameter's name on the wire
    ) -> int:
        """Write a sub-account's statement to a file as it arrives; returns its bytes."""
        path = _statements(vault_id, sub_account_id)
        return await save_statement(self._rest, path, Period(start, end), file, format)


class Policies(Creating):
    """Who may move what: the policy in force, and drafts of the next one."""

    async def in_force(self) -> PolicyInForce:
        """Version 0, without a policy, denies everything."""
        return await self._rest.get("/api/custody/policy", PolicyInForce)

    def drafts(self, *, page_size: int | None = None) -> Listing[PolicySummary]:
        """Drafts and versions, newest first."""
        return self._rest.listing("/api/custody/policy/drafts", PolicySummary, {"limit": page_size})

    async def get(self, policy_id: str) -> Policy:
        """A draft or version with its approvals."""
        return await self._rest.get(_policy(policy_id), Policy)

    async def draft(self, document: PolicyDocument, *, key: str | None = None) -> Policy:
        """Propose a policy. A draft never changes; those who may agree to it sign its digest."""
        return await self._create("/api/custody/policy/drafts", Policy, {"document": document}, key)

    async def approve(self, policy: Policy, approver: Approver) -> Policy:
        """Agree to a draft as you have read it. Raises DigestMismatch when it is not what is shown."""
        digest = check_policy(policy, await self._rest.get("/api/me", Me))
        path = f"{_policy(policy.policy_id)}/approvals"
        return await self._rest.post(path, Policy, approver.consent(digest))

    async def activate(self, policy_id: str) -> Policy:
        """Put an agreed draft into force once its delay is over."""
        return await self._rest.request("POST", f"{_policy(policy_id)}/activate", Policy)

    async def discard(self, policy_id: str) -> Policy:
        """Give a draft up, also one that waits for its delay."""
        return await self._rest.request("DELETE", _policy(policy_id), Policy)

    async def dry_run(
        self, wanted: Wanted, *, policy_id: str | None = None, initiator: str | None = None
    ) -> DryRun:
        """Try a request out: by `initiator` (else your key), under a draft (else the policy in force)."""
        body = given(request=wanted.body(), policy_id=policy_id, initiator=initiator)
        path = "/api/custody/policy/dry-run"
        return await self._rest.request("POST", path, DryRun, body=body, is_repeatable=True)


class Destinations(Creating):
    """The allowlist: where money may be sent."""

    def list(self, *, page_size: int | None = None) -> Listing[Destination]:
        """Destinations, oldest first, revoked ones included."""
        return self._rest.listing("/api/custody/destinations", Destination, {"limit": page_size})

    async def get(self, destination_id: str) -> Destination:
        return await self._rest.get(_destination(destination_id), Destination)

    async def add(
        self,
        kind: DestinationKind,
        name: str,
        address: str,
        *,
        bic: str | None = None,
        key: str | None = None,
    ) -> Destination:
        """Allow an address. It counts from `usable_from`."""
        body = given(kind=kind, name=name, address=address, bic=bic)
        return await self._create("/api/custody/destinations", Destination, body, key)

    async def revoke(self, destination_id: str) -> Destination:
        """Take an address off the list, for good."""
        return await self._rest.request("DELETE", _destination(destination_id), Destination)


class Freezes(Creating):
    """Stops: of a vault, an account, a key, or the house."""

    def list(self, *, page_size: int | None = None) -> Listing[Freeze]:
        """Freezes, newest first, lifted ones included."""
        return self._rest.listing("/api/custody/freezes", Freeze, {"limit": page_size})

    async def get(self, freeze_id: str) -> Freeze:
        return await self._rest.get(_freeze(freeze_id), Freeze)

    async def place(
        self, target_kind: FreezeKind, reason: str, target_id: str | None = None, *, key: str | None = None
    ) -> Freeze:
        """Stop it from this answer on; the house has no `target_id`."""
        body = given(target_kind=target_kind, reason=reason, target_id=target_id)
        return await self._create("/api/custody/freezes", Freeze, body, key)

    async def lift(self, freeze_id: str) -> Freeze:
        """End a freeze. Not by the key that placed it."""
        return await self._rest.request("DELETE", _freeze(freeze_id), Freeze)


class Credentials(Verbs):
    """What the calling key proves its approvals with."""

    def list(self) -> Listing[Credential]:
        """The credentials of the calling key, oldest first."""
        return self._rest.listing("/api/custody/credentials", Credential)

    async def register_key(self, key: SigningKey) -> KeyApprover:
        """Register an Ed25519 key; what comes back approves with it."""
        body = possession(key, await self._rest.get("/api/me", Me))
        made = await self._rest.post("/api/custody/credentials", NewCredential, body)
        return KeyApprover(made.credential.credential_id, key)

    async def register_generator(self) -> NewCredential:
        """Have a code generator made: show `uri` as a QR code, then confirm it by its first code."""
        return await self._rest.post("/api/custody/credentials", NewCredential, {"method": "totp"})

    async def register_codes(self) -> CodeApprover:
        """Have a code generator made and confirmed for a program; what comes back approves with it."""
        made = await self.register_generator()
        approver = CodeApprover(made.credential.credential_id, made.secret or "")
        await self.confirm(approver.credential_id, approver.next_code())
        return approver

    async def confirm(self, credential_id: str, code: str) -> Credential:
        """Show that a code generator works; from then on it counts."""
        return await self._rest.post(f"{_credential(credential_id)}/confirm", Credential, {"code": code})

    async def revoke(self, credential_id: str) -> Credential:
        """End a credential. Approvals given with it stand."""
        return await self._rest.request("DELETE", _credential(credential_id), Credential, is_repeatable=True)


class Custody(Verbs):
    """Vaults, transfer requests, and the controls over them."""

    def __init__(self, rest: Transport) -> None:
        super().__init__(rest)
        self.vaults = Vaults(rest)
        self.requests = Requests(rest)
        self.policy = Policies(rest)
        self.destinations = Destinations(rest)
        self.credentials = Credentials(rest)
        self.freezes = Freezes(rest)

    async def signer(self) -> Signer:
        """The public key under which the signatures of released requests verify."""
        return await self._rest.get("/api/custody/signer", Signer)

    async def changes(self, **options: Any) -> AsyncGenerator[CustodyEvent, None]:
        """Everything that happens to the controls; see `Agio.follow`."""
        me = await self._rest.get("/api/me", Me)
        channel = f"custody:{me.organisation_id}:{me.environment}"
        async with aclosing(self._rest.follow(channel, CustodyEvent, **options)) as events:
            async for event in events:
                yield event


def _vault(vault_id: str) -> str:
    return f"/api/vaults/{segment(vault_id)}"


def _statements(vault_id: str, sub_account_id: str) -> str:
    return f"{_vault(vault_id)}/sub-accounts/{segment(sub_account_id)}/statements"


def _policy(policy_id: str) -> str:
    return f"/api/custody/policy/drafts/{segment(policy_id)}"


def _destination(destination_id: str) -> str:
    return f"/api/custody/destinations/{segment(destination_id)}"


def _freeze(freeze_id: str) -> str:
    return f"/api/custody/freezes/{segment(freeze_id)}"


def _credential(credential_id: str) -> str:
    return f"/api/custody/credentials/{segment(credential_id)}"
