"""What approvers prove themselves with: an Ed25519 key of their own, or a one-time code. Pure.

The message that an Ed25519 key signs is the 32 bytes of the digest. A code says that the approver is there
now; the digest sent beside it says what for.
"""

import hmac
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec
import pyotp
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agio.custody.errors import CredentialNotUsable
from agio.kernel.ids import CredentialId, KeyId
from agio.kernel.problem import InvalidRequest
from agio.kernel.time import format_instant

Method = Literal["ed25519", "totp"]
MAX_CREDENTIALS: Final = 10
"""Of one key, revoked ones not counted."""
STEP_SECONDS: Final = 30
MAX_FAILURES: Final = 5
LOCK_TIME: Final = timedelta(minutes=15)
MAX_LOCK_TIME: Final = timedelta(days=1)
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_PURPOSE: Final = "agio.custody.credential.v1"
_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(text)
    for text in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    )
)
"""Points of small order: a signature under them proves nothing (RFC 7748 6.1, libsodium's list)."""


class Credential(msgspec.Struct, frozen=True):
    """A means of proof that belongs to one key; a TOTP secret is not part of it."""

    credential_id: CredentialId
    key_id: KeyId
    method: Method
    public_key: bytes | None
    registered_at: datetime
    confirmed_at: datetime | None
    usable_from: datetime
    last_step: int = 0
    """The newest time step whose code was used: no code works twice (RFC 6238 5.2)."""
    failures: int = 0
    locked_until: datetime | None = None
    revoked_at: datetime | None = None


class Approval(msgspec.Struct, frozen=True):
    """A consent to one version of a request or a policy; `voided_at` when that changed afterwards."""

    subject_id: str
    subject_version: int
    key_id: KeyId
    credential_id: CredentialId
    method: Method
    digest: bytes
    signature: bytes | None
    approved_at: datetime
    voided_at: datetime | None = None


class Proof(msgspec.Struct, frozen=True):
    """What an approver sends: which credential, the digest that it is about, a signature or a code."""

    credential_id: CredentialId
    digest: bytes
    signature: bytes | None = None
    code: str | None = None


def check_usable(credential: Credential, now: datetime) -> None:
    """Raise CredentialNotUsable unless it may approve now."""
    problem = ""
    if credential.revoked_at is not None:
        problem = "was revoked"
    elif credential.confirmed_at is None:
        problem = "waits for its confirmation"
    elif now < credential.usable_from:
        problem = f"is cooling until {format_instant(credential.usable_from)}"
    if problem:
        raise CredentialNotUsable(f"{credential.credential_id} {problem}")
    check_unlocked(credential, now)


def check_unlocked(credential: Credential, now: datetime) -> None:
    """Raise CredentialNotUsable while too many wrong codes lock it."""
    if credential.locked_until is not None and now < credential.locked_until:
        until = format_instant(credential.locked_until)
        raise CredentialNotUsable(f"{credential.credential_id} is locked until {until} after wrong codes")


def verify_signature(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Ed25519 (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def find_step(secret: str, code: str, now: datetime, last_step: int) -> int | None:
    """The time step, this one or a neighbour, whose code this is; None for a wrong or used one."""
    present = int(now.timestamp()) // STEP_SECONDS
    totp = pyotp.TOTP(secret)
    for step in (present, present - 1, present + 1):
        if step > last_step and hmac.compare_digest(totp.generate_otp(step).encode(), code.encode()):
            return step
    return None


def note_failure(credential: Credential, now: datetime) -> Credential:
    """After a wrong code; each fifth in a row locks it, for a quarter of an hour and then twice as long each
    time, up to a day: guessing gets a handful of tries a day."""
    failures = credential.failures + 1
    rounds, rest = divmod(failures, MAX_FAILURES)
    if rest:
        return msgspec.structs.replace(credential, failures=failures)
    locked_for = min(LOCK_TIME * 2 ** min(rounds - 1, 10), MAX_LOCK_TIME)
    return msgspec.structs.replace(credential, failures=failures, locked_until=now + locked_for)


def possession_text(organisation_id: str, environment: str, key_id: KeyId, public_key: bytes) -> bytes:
    """What a new Ed25519 key signs to show that its owner holds it, for this key of this organisation."""
    return f"{_PURPOSE}:{organisation_id}:{environment}:{key_id}:{public_key.hex()}".encode()


def read_hex(field: str, text: str, length: int) -> bytes:
    """Bytes of exactly this length; raises InvalidRequest naming the field."""
    try:
        content = bytes.fromhex(text) if len(text) == 2 * length else b""
    except ValueError:
        content = b""
    if len(content) != length:
        raise InvalidRequest(f"{field}: {2 * length} hexadecimal digits", extra={"field": field})
    return content


def check_public_key(public_key: bytes) -> bytes:
    """A public key under which a signature proves something; raises InvalidRequest."""
    if public_key in _SMALL_ORDER:
        raise InvalidRequest("public_key: a point of small order", extra={"field": "public_key"})
    return public_key
