"""The objects of custody, typed: vaults, transfer requests, and the controls over them."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from agio_sdk.policy_models import Decision, Limit, Method

RequestKind = Literal["withdrawal", "internal"]
RequestStatus = Literal["created", "approving", "held", "released", "settled", "failed", "cancelled"]
TargetKind = Literal["destination", "sub_account", "account"]
DestinationKind = Literal["iban", "bitcoin", "ethereum"]
FreezeKind = Literal["house", "vault", "account", "key"]


class Vault(msgspec.Struct, frozen=True):
    vault_id: str
    name: str
    created_by: str
    created_at: datetime


class SubAccount(msgspec.Struct, frozen=True):
    """One asset in one location of a vault; `held` waits for its release or settlement."""

    sub_account_id: str
    vault_id: str
    asset: str
    location: str
    ledger_account: str
    total: Decimal
    held: Decimal
    available: Decimal
    created_at: datetime


class VaultDeposit(msgspec.Struct, frozen=True):
    """A deposit's journal, and the sub-account after it."""

    journal_id: str
    sub_account: SubAccount


class Target(msgspec.Struct, frozen=True):
    """Where money goes; `shown` is how it is reached: kind, address and BIC, or our own ledger account."""

    kind: TargetKind
    id: str
    shown: list[str] = []


class HouseSignature(msgspec.Struct, frozen=True):
    """The house's signature over a released request's digest, hexadecimal."""

    algorithm: str
    public_key: str
    signature: str


class TransferRequest(msgspec.Struct, frozen=True):
    """A wish to move money out of a sub-account, and what became of it.

    Approvers sign the 32 bytes of `digest`, the SHA-256 of everything that decides where how much goes.
    """

    request_id: str
    version: int
    kind: RequestKind
    status: RequestStatus
    vault_id: str
    sub_account_id: str
    asset: str
    amount: Decimal
    target: Target
    reference: str | None
    initiator: str
    editors: list[str]
    policy_version: int
    decision: Decision
    digest: str
    reason_code: str | None
    reason: str | None
    hold_id: str | None
    journal_id: str | None
    signature: HouseSignature | None
    external_reference: str | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime


class Step(msgspec.Struct, frozen=True):
    """What happened to a request, to which version, by whom, and the status after it."""

    step_no: int
    what: str
    version: int
    status: RequestStatus
    by_key: str | None
    detail: str
    at: datetime


class LimitReading(msgspec.Struct, frozen=True):
    """A limit against a request: `used` before it, `wanted` by it, `allowed` in all; amounts or counts."""

    limit: Limit
    used: Decimal
    wanted: Decimal
    allowed: Decimal
    holds: bool


class DryRun(msgspec.Struct, frozen=True):
    """What would become of a request: the rule that decides, each limit now, what stands in the way."""

    policy_version: int
    decision: Decision
    limits: list[LimitReading]
    obstacles: list[str]


class Destination(msgspec.Struct, frozen=True):
    """An entry of the allowlist; money may be sent there from `usable_from` until it is revoked."""

    destination_id: str
    kind: DestinationKind
    name: str
    address: str
    bic: str | None
    added_by: str
    added_at: datetime
    usable_from: datetime
    revoked_at: datetime | None
    revoked_by: str | None


class Freeze(msgspec.Struct, frozen=True):
    """A freeze; in force until `lifted_at`."""

    freeze_id: str
    target_kind: FreezeKind
    target_id: str
    reason: str
    placed_by: str
    placed_at: datetime
    lifted_by: str | None
    lifted_at: datetime | None


class Credential(msgspec.Struct, frozen=True):
    """A means of proof of the calling key."""

    credential_id: str
    key_id: str
    method: Method
    public_key: str | None
    registered_at: datetime
    confirmed_at: datetime | None
    usable_from: datetime
    locked_until: datetime | None
    revoked_at: datetime | None


class NewCredential(msgspec.Struct, frozen=True):
    """A new credential; the secret of a code generator is told here and nowhere else."""

    credential: Credential
    secret: str | None = None
    uri: str | None = None


class Signer(msgspec.Struct, frozen=True):
    """The public key under which released requests verify, hexadecimal."""

    algorithm: str
    public_key: str


class RequestBrief(msgspec.Struct, frozen=True):
    """A transfer request as its channel shows it: no reference and no address."""

    request_id: str
    version: int
    kind: RequestKind
    status: RequestStatus
    vault_id: str
    sub_account_id: str
    asset: str
    amount: Decimal
    target: Target
    initiator: str
    policy_version: int
    digest: str
    reason_code: str | None
    hold_id: str | None
    journal_id: str | None


class CustodyEvent(msgspec.Struct, frozen=True):
    """A message of the channel `custody`; which members are set depends on `event`.

    `request_...` events have `request`, others the ids of what they are about.
    """

    event: str
    by: str | None = None
    detail: str = ""
    request: RequestBrief | None = None
    vault_id: str | None = None
    sub_account_id: str | None = None
    journal_id: str | None = None
    policy_id: str | None = None
    status: str | None = None
    version: int | None = None
    destination_id: str | None = None
    freeze_id: str | None = None
    target_kind: str | None = None
    target_id: str | None = None
    credential_id: str | None = None
    key_id: str | None = None
    statement_id: str | None = None
    break_id: str | None = None
    account_id: str | None = None
    source: str | None = None
    asset: str | None = None
    amount: Decimal | None = None
    kind: str | None = None
    state: str | None = None
