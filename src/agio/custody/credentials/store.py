"""SQL of credentials and approvals."""

from datetime import datetime
from typing import Final

import msgspec

from agio.custody.credentials.model import Approval, Credential
from agio.kernel.ids import CredentialId, KeyId
from agio.platform.db import Transaction
from agio.platform.vault import Place

SECRET: Final = "custody.credential.secret"  # noqa: S105 - a column's name
_CREDENTIAL: Final = (
    "select credential_id, key_id, method, public_key, registered_at, confirmed_at, usable_from, last_step,"
    " failures, locked_until, revoked_at from custody.credential"
)
_APPROVAL: Final = (
    "select subject_id, subject_version, key_id, credential_id, method, digest, signature, approved_at,"
    " voided_at from custody.approval"
)


async def insert_credential(tx: Transaction, credential: Credential, secret: str | None) -> None:
    place = Place(SECRET, credential.credential_id)
    await tx.execute(
        "insert into custody.credential (credential_id, organisation_id, environment, key_id, method,"
        " public_key, secret, registered_at, confirmed_at, usable_from) values (%(credential_id)s,"
        " %(organisation_id)s, %(environment)s, %(key_id)s, %(method)s, %(public_key)s, %(secret)s,"
        " %(registered_at)s, %(confirmed_at)s, %(usable_from)s)",
        {
            **msgspec.structs.asdict(credential),
            "secret": None if secret is None else await tx.vault.seal(tx, place, secret),
            "organisation_id": tx.scope.organisation_id,
            "environment": tx.scope.environment,
        },
    )


async def select_credential(tx: Transaction, credential_id: CredentialId) -> Credential | None:
    return await tx.fetch_one(Credential, _CREDENTIAL + " where credential_id = %s", (credential_id,))


async def select_credentials(tx: Transaction, key_id: KeyId) -> list[Credential]:
    """Those of one key, oldest first."""
    return await tx.fetch(Credential, _CREDENTIAL + " where key_id = %s order by credential_id", (key_id,))


async def has_public_key(tx: Transaction, public_key: bytes) -> bool:
    is_known: bool = await tx.value(
        "select exists (select from custody.credential where public_key = %s and revoked_at is null)",
        (public_key,),
    )
    return is_known


async def select_secret(tx: Transaction, credential_id: CredentialId) -> str:
    sealed: str = await tx.value(
        "select secret from custody.credential where credential_id = %s", (credential_id,)
    )
    return await tx.vault.unseal(tx, Place(SECRET, credential_id), sealed)


async def update_credential(tx: Transaction, credential: Credential) -> None:
    await tx.execute(
        "update custody.credential set confirmed_at = %(confirmed_at)s, last_step = %(last_step)s,"
        " failures = %(failures)s, locked_until = %(locked_until)s, revoked_at = %(revoked_at)s"
        " where credential_id = %(credential_id)s",
        msgspec.structs.asdict(credential),
    )


async def insert_approval(tx: Transaction, approval: Approval) -> None:
    await tx.execute(
        "insert into custody.approval (subject_id, subject_version, key_id, organisation_id, environment,"
        " credential_id, method, digest, signature, approved_at) values (%(subject_id)s, %(subject_version)s,"
        " %(key_id)s, %(organisation_id)s, %(environment)s, %(credential_id)s, %(method)s, %(digest)s,"
        " %(signature)s, %(approved_at)s)",
        {
            **msgspec.structs.asdict(approval),
            "organisation_id": tx.scope.organisation_id,
            "environment": tx.scope.environment,
        },
    )


async def select_approvals(tx: Transaction, subject_id: str) -> list[Approval]:
    """All, void ones included, in the order in which they were given."""
    return await tx.fetch(
        Approval, _APPROVAL + " where subject_id = %s order by approved_at, key_id", (subject_id,)
    )


async def void_approvals(tx: Transaction, subject_id: str, at: datetime) -> int:
    """Void what is not void yet; returns how many."""
    return await tx.execute(
        "update custody.approval set voided_at = %s where subject_id = %s and voided_at is null",
        (at, subject_id),
    )
