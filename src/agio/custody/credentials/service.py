"""Use cases of credentials: register, confirm, revoke, and prove a consent."""

import hmac
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec
import pyotp

from agio.custody.credentials import store
from agio.custody.credentials.model import (
    MAX_CREDENTIALS,
    Approval,
    Credential,
    Method,
    Proof,
    check_public_key,
    check_unlocked,
    check_usable,
    find_step,
    note_failure,
    possession_text,
    verify_signature,
)
from agio.custody.errors import (
    AlreadyExists,
    InvalidApproval,
    RequestChanged,
    TooMany,
    UnknownCredential,
    WrongState,
)
from agio.custody.freezes.service import Freezes
from agio.custody.house import lock_house, tell
from agio.custody.policy import store as policies
from agio.custody.policy.model import DEFAULT_COOLING_SECONDS
from agio.kernel.ids import CredentialId, KeyId, is_id, new_id
from agio.platform.clock import Clock
from agio.platform.db import Transaction

ISSUER: Final = "agio"
_SHOWN: Final = 40


class NewTotp(NamedTuple):
    """A code generator with its secret, which is told once."""

    credential: Credential
    secret: str
    uri: str


class Credentials:
    """Means of proof, and the consents given with them."""

    def __init__(self, freezes: Freezes, clock: Clock) -> None:
        self._freezes = freezes
        self._clock = clock

    async def register_key(
        self, tx: Transaction, by: KeyId, public_key: bytes, possession: bytes
    ) -> Credential:
        """Register an Ed25519 key of the caller's, shown to be theirs by a signature.

        Raises InvalidApproval, AlreadyExists (one signing key is one person), TooMany, Frozen.
        """
        check_public_key(public_key)
        text = possession_text(tx.scope.organisation_id, tx.scope.environment, by, public_key)
        if not verify_signature(public_key, possession, text):
            raise InvalidApproval(f"possession must be the signature of {text.decode()!r}")
        credential = await self._prepare(tx, by, "ed25519", public_key)
        if await store.has_public_key(tx, public_key):
            raise AlreadyExists("this signing key is registered already")
        await store.insert_credential(tx, credential, None)
        return credential

    async def register_totp(self, tx: Transaction, by: KeyId) -> NewTotp:
        """Make a code generator for the caller; it counts once confirmed. Raises TooMany, Frozen."""
        credential = await self._prepare(tx, by, "totp", None)
        secret = pyotp.random_base32()
        await store.insert_credential(tx, credential, secret)
        uri = pyotp.TOTP(secret).provisioning_uri(name=by, issuer_name=ISSUER)
        return NewTotp(credential, secret, uri)

    async def confirm(
        self, tx: Transaction, by: KeyId, credential_id: CredentialId, code: str
    ) -> Credential | InvalidApproval:
        """Confirm a code generator with its first code. A wrong one is counted: commit, then raise it."""
        await lock_house(tx)
        await self._freezes.require_key(tx, by)
        credential = await self.own(tx, by, credential_id)
        if credential.confirmed_at is not None or credential.revoked_at is not None:
            raise WrongState(f"{credential_id} is confirmed or revoked already")
        now = self._clock.now()
        used = await self._use_code(tx, credential, code, now)
        if isinstance(used, InvalidApproval):
            return used
        confirmed = msgspec.structs.replace(used, confirmed_at=now)
        await store.update_credential(tx, confirmed)
        return confirmed

    async def revoke(self, tx: Transaction, by: KeyId, credential_id: CredentialId) -> Credential:
        """End a credential of the caller's; approvals given with it stand."""
        await lock_house(tx)
        await self._freezes.require_key(tx, by)
        credential = await self.own(tx, by, credential_id)
        if credential.revoked_at is None:
            credential = msgspec.structs.replace(credential, revoked_at=self._clock.now())
            await store.update_credential(tx, credential)
            await tell(tx, "credential_revoked", self._clock.now(), credential_id=credential_id, key_id=by)
        return credential

    async def own(self, tx: Transaction, by: KeyId, credential_id: CredentialId) -> Credential:
        """A credential of the caller's key; raises UnknownCredential also for those of others."""
        credential = await store.select_credential(tx, credential_id) if is_id(credential_id, "crd") else None
        if credential is None or credential.key_id != by:
            raise UnknownCredential(f"your key has no credential {credential_id[:_SHOWN]!r}")
        return credential

    async def of_key(self, tx: Transaction, by: KeyId) -> list[Credential]:
        return await store.select_credentials(tx, by)

    async def consent(
        self, tx: Transaction, by: KeyId, subject: tuple[str, int], digest: bytes, proof: Proof
    ) -> Approval | InvalidApproval:
        """Record the caller's consent to a subject (id, version) with this digest. Hold the house lock.

        Repeating it answers what stands. A wrong code is counted: commit, then raise what is returned.
        Raises RequestChanged, UnknownCredential, CredentialNotUsable.
        """
        if not hmac.compare_digest(proof.digest, digest):
            raise RequestChanged("this is not the present digest", extra={"digest": digest.hex()})
        given = [one for one in await store.select_approvals(tx, subject[0]) if one.voided_at is None]
        for one in given:
            if (one.key_id, one.subject_version) == (by, subject[1]):
                return one
        credential = await self.own(tx, by, proof.credential_id)
        now = self._clock.now()
        check_usable(credential, now)
        if credential.public_key is not None:
            if proof.signature is None or not verify_signature(
                credential.public_key, proof.signature, digest
            ):
                return InvalidApproval("the signature is not one of this credential over this digest")
        else:
            used = await self._use_code(tx, credential, proof.code or "", now)
            if isinstance(used, InvalidApproval):
                return used
        signature = proof.signature if credential.public_key is not None else None
        approval = Approval(*subject, by, credential.credential_id, credential.method, digest, signature, now)
        await store.insert_approval(tx, approval)
        return approval

    async def approvals(self, tx: Transaction, subject_id: str) -> list[Approval]:
        """All that were given for a subject, void ones included."""
        return await store.select_approvals(tx, subject_id)

    async def approvers(self, tx: Transaction, subject_id: str, version: int) -> set[KeyId]:
        """Whose consent to this version counts: not that of a key that is frozen now."""
        keys = await self.consenting(tx, subject_id, version)
        return keys - await self._freezes.frozen_keys(tx, keys)

    async def consenting(self, tx: Transaction, subject_id: str, version: int) -> set[KeyId]:
        """Who has consented to this version, frozen or not."""
        return {
            one.key_id
            for one in await store.select_approvals(tx, subject_id)
            if one.voided_at is None and one.subject_version == version
        }

    async def void(self, tx: Transaction, subject_id: str) -> int:
        """What was approved is no longer what stands; returns how many approvals that voids."""
        return await store.void_approvals(tx, subject_id, self._clock.now())

    async def _use_code(
        self, tx: Transaction, credential: Credential, code: str, now: datetime
    ) -> Credential | InvalidApproval:
        check_unlocked(credential, now)
        secret = await store.select_secret(tx, credential.credential_id)
        step = find_step(secret, code, now, credential.last_step)
        if step is None:
            await store.update_credential(tx, note_failure(credential, now))
            return InvalidApproval("the code is wrong, or was used already")
        used = msgspec.structs.replace(credential, last_step=step, failures=0, locked_until=None)
        await store.update_credential(tx, used)
        return used

    async def _prepare(
        self, tx: Transaction, by: KeyId, method: Method, public_key: bytes | None
    ) -> Credential:
        await lock_house(tx)
        await self._freezes.require_none(tx, keys=[by])
        known = await store.select_credentials(tx, by)
        if sum(one.revoked_at is None for one in known) >= MAX_CREDENTIALS:
            raise TooMany(f"at most {MAX_CREDENTIALS} credentials of one key; revoke one")
        now = self._clock.now()
        active = await policies.select_active(tx)
        cooling = 0 if active is None else active.document.credential_cooling_seconds
        if any(one.confirmed_at is not None for one in known):
            # Whoever stole the API key could add a credential of their own: its owner gets time to see it.
            cooling = max(cooling, DEFAULT_COOLING_SECONDS)
        credential = Credential(
            credential_id=CredentialId(new_id("crd")),
            key_id=by,
            method=method,
            public_key=public_key,
            registered_at=now,
            confirmed_at=now if method == "ed25519" else None,
            usable_from=now + timedelta(seconds=cooling),
        )
        await tell(
            tx, "credential_registered", now, credential_id=credential.credential_id, key_id=by, method=method
        )
        return credential
