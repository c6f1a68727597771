"""Wire types of credentials and approvals."""

from datetime import datetime

import msgspec

from agio.custody.credentials.model import (
    SIGNATURE_BYTES,
    Approval,
    Credential,
    Method,
    Proof,
    read_hex,
)
from agio.kernel.ids import CredentialId

DIGEST_BYTES = 32


class CreateCredential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`ed25519`: your public key and a signature that shows it is yours, both hexadecimal. `totp`: neither.

    The text to sign is `agio.custody.credential.v1:{organisation_id}:{environment}:{key_id}:{public_key}`.
    """

    method: Method
    public_key: str | None = None
    possession: str | None = None


class CredentialView(msgspec.Struct, frozen=True):
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

    @classmethod
    def of(cls, one: Credential) -> "CredentialView":
        return cls(
            credential_id=one.credential_id,
            key_id=one.key_id,
            method=one.method,
            public_key=None if one.public_key is None else one.public_key.hex(),
            registered_at=one.registered_at,
            confirmed_at=one.confirmed_at,
            usable_from=one.usable_from,
            locked_until=one.locked_until,
            revoked_at=one.revoked_at,
        )


class NewCredentialView(msgspec.Struct, frozen=True):
    """A new credential; the secret of a code generator is told here and nowhere else."""

    credential: CredentialView
    secret: str | None = None
    uri: str | None = None


class CredentialPage(msgspec.Struct, frozen=True):
    items: list[CredentialView]
    next_cursor: str | None = None


class ConfirmCredential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first code of a new code generator."""

    code: str


class GiveApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Consent to a digest: the Ed25519 signature of its 32 bytes (hexadecimal), or a one-time code."""

    credential_id: str
    digest: str
    signature: str | None = None
    code: str | None = None

    def to_proof(self) -> Proof:
        """Raises InvalidRequest for text that is not hexadecimal of the right length."""
        signature = self.signature
        return Proof(
            credential_id=CredentialId(self.credential_id),
            digest=read_hex("digest", self.digest, DIGEST_BYTES),
            signature=None if signature is None else read_hex("signature", signature, SIGNATURE_BYTES),
            code=self.code,
        )


class ApprovalView(msgspec.Struct, frozen=True):
    """A consent that was given; `voided_at` when what it was for changed afterwards."""

    key_id: str
    version: int
    method: Method
    digest: str
    signature: str | None
    approved_at: datetime
    voided_at: datetime | None

    @classmethod
    def of(cls, one: Approval) -> "ApprovalView":
        return cls(
            key_id=one.key_id,
            version=one.subject_version,
            method=one.method,
            digest=one.digest.hex(),
            signature=None if one.signature is None else one.signature.hex(),
            approved_at=one.approved_at,
            voided_at=one.voided_at,
        )


class ApprovalPage(msgspec.Struct, frozen=True):
    items: list[ApprovalView]
    next_cursor: str | None = None
