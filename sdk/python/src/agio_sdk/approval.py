"""What an approver proves a consent with: a signing key, a code generator, or a code that was typed in.

Before anything is signed, the digest is computed anew from what the approver has read. Where it is another
one, or the server shows something that this client does not know, nothing is signed.
"""

import base64
import hashlib
import hmac
import struct
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from agio_sdk.custody_models import TransferRequest
from agio_sdk.errors import AgioError
from agio_sdk.models import Me
from agio_sdk.policy_models import Policy
from agio_sdk.transport import amount_text

STEP_SECONDS = 30
CODE_DIGITS = 6


class DigestMismatch(AgioError):
    """The digest is not that of what was shown: do not approve it."""


class PublicKey(Protocol):
    """An Ed25519 public key, such as that of the package `cryptography`."""

    def public_bytes_raw(self) -> bytes: ...


class SigningKey(Protocol):
    """An Ed25519 private key, such as `cryptography`'s `Ed25519PrivateKey`, or a token that signs."""

    def sign(self, data: bytes, /) -> bytes: ...

    def public_key(self) -> PublicKey: ...


class Approver(Protocol):
    """Somebody who can consent to a digest."""

    def consent(self, digest: str) -> dict[str, object]:
        """The body of an approval of this digest."""
        ...


class KeyApprover:
    """Signs with an Ed25519 key that is registered as a credential."""

    def __init__(self, credential_id: str, key: SigningKey) -> None:
        self.credential_id = credential_id
        self._key = key

    def consent(self, digest: str) -> dict[str, object]:
        signature = self._key.sign(bytes.fromhex(digest)).hex()
        return {"credential_id": self.credential_id, "digest": digest, "signature": signature}


class CodeApprover:
    """Makes the codes of a registered generator itself. No code works twice: at most two in 30 seconds."""

    def __init__(self, credential_id: str, secret: str, clock: Callable[[], float] = time.time) -> None:
        self.credential_id = credential_id
        self._secret = secret
        self._clock = clock
        self._last_step = 0

    def consent(self, digest: str) -> dict[str, object]:
        return {"credential_id": self.credential_id, "digest": digest, "code": self.next_code()}

    def next_code(self) -> str:
        """A code that was not given out yet; raises AgioError when the next one is too far ahead."""
        present = int(self._clock()) // STEP_SECONDS
        step = max(present, self._last_step + 1)
        if step > present + 1:
            raise AgioError(f"no unused code yet; wait {STEP_SECONDS} seconds")
        self._last_step = step
        return totp_code(self._secret, step * STEP_SECONDS)


class TypedCode:
    """A code that somebody has read from a telephone."""

    def __init__(self, credential_id: str, code: str) -> None:
        self.credential_id = credential_id
        self._code = code

    def consent(self, digest: str) -> dict[str, object]:
        return {"credential_id": self.credential_id, "digest": digest, "code": self._code}


def totp_code(secret: str, at: float | None = None) -> str:
    """The six digits of a Base32 secret at an instant in seconds since 1970, or now (RFC 6238, SHA-1)."""
    step = int(time.time() if at is None else at) // STEP_SECONDS
    key = base64.b32decode(secret.upper() + "=" * (-len(secret) % 8))
    mac = hmac.digest(key, struct.pack(">Q", step), "sha1")
    offset = mac[-1] & 0x0F
    number: int = struct.unpack(">I", mac[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**CODE_DIGITS:0{CODE_DIGITS}}"


def possession(key: SigningKey, me: Me) -> dict[str, object]:
    """The body that registers a signing key, with the signature that shows that it is ours."""
    public_key = key.public_key().public_bytes_raw().hex()
    text = f"agio.custody.credential.v1:{me.organisation_id}:{me.environment}:{me.key_id}:{public_key}"
    return {"method": "ed25519", "public_key": public_key, "possession": key.sign(text.encode()).hex()}


def check_request(request: TransferRequest, me: Me) -> str:
    """The request's digest, computed from what it shows; raises DigestMismatch."""
    target = request.target
    content: dict[str, object] = {
        "purpose": "agio.custody.request.v1",
        "request_id": request.request_id,
        "version": str(request.version),
        "organisation_id": me.organisation_id,
        "environment": me.environment,
        "kind": request.kind,
        "vault_id": request.vault_id,
        "sub_account_id": request.sub_account_id,
        "asset": request.asset,
        "amount": amount_text(request.amount),
        "target": {"kind": target.kind, "id": target.id, "shown": target.shown},
        "reference": request.reference or "",
        "initiator": request.initiator,
        "editors": request.editors,
        "policy_version": str(request.policy_version),
    }
    return _check(request.request_id, request.digest, content)


def check_policy(policy: Policy, me: Me) -> str:
    """The draft's digest, computed from what it shows; raises DigestMismatch."""
    content: dict[str, object] = {
        "purpose": "agio.custody.policy.v1",
        "organisation_id": me.organisation_id,
        "environment": me.environment,
        "policy_id": policy.policy_id,
        "base_version": str(policy.base_version),
        "document": msgspec.to_builtins(policy.document),
    }
    return _check(policy.policy_id, policy.digest, content)


def _check(name: str, digest: str, content: dict[str, object]) -> str:
    computed = hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()
    if not hmac.compare_digest(computed, digest):
        raise DigestMismatch(f"the digest of {name} is not that of what it shows; do not approve it")
    return computed
