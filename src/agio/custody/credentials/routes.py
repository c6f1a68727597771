"""`/api/custody/credentials`: what the calling key proves its approvals with."""

from litestar import Router, delete, get, post

from agio.custody.credentials.model import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, read_hex
from agio.custody.credentials.schemas import (
    ConfirmCredential,
    CreateCredential,
    CredentialPage,
    CredentialView,
    NewCredentialView,
)
from agio.custody.credentials.service import Credentials
from agio.custody.errors import InvalidApproval
from agio.identity.api import Principal
from agio.kernel.ids import CredentialId
from agio.platform.db import Database


def build_router(credentials: Credentials, database: Database) -> Router:
    """The routes of credentials."""

    @get("/", opt={"scope": "custody:approve"})
    async def list_credentials(principal: Principal) -> CredentialPage:
        """The credentials of the calling key, oldest first."""
        async with database.transaction(principal.scope) as tx:
            found = await credentials.of_key(tx, principal.key_id)
        return CredentialPage([CredentialView.of(one) for one in found])

    @post("/", opt={"scope": "custody:approve"})
    async def register_credential(principal: Principal, data: CreateCredential) -> NewCredentialView:
        """Register an Ed25519 key of yours, or have a code generator made."""
        if data.method == "totp":
            async with database.transaction(principal.scope) as tx:
                made = await credentials.register_totp(tx, principal.key_id)
            return NewCredentialView(CredentialView.of(made.credential), made.secret, made.uri)
        public_key = read_hex("public_key", data.public_key or "", PUBLIC_KEY_BYTES)
        possession = read_hex("possession", data.possession or "", SIGNATURE_BYTES)
        async with database.transaction(principal.scope) as tx:
            registered = await credentials.register_key(tx, principal.key_id, public_key, possession)
        return NewCredentialView(CredentialView.of(registered))

    @post("/{credential_id:str}/confirm", opt={"scope": "custody:approve"}, status_code=200)
    async def confirm_credential(
        principal: Principal, credential_id: str, data: ConfirmCredential
    ) -> CredentialView:
        """Show that your code generator works; from then on it counts."""
        async with database.transaction(principal.scope) as tx:
            outcome = await credentials.confirm(tx, principal.key_id, CredentialId(credential_id), data.code)
        if isinstance(outcome, InvalidApproval):
            raise outcome
        return CredentialView.of(outcome)

    @delete("/{credential_id:str}", opt={"scope": "custody:approve"}, status_code=200)
    async def revoke_credential(principal: Principal, credential_id: str) -> CredentialView:
        """End a credential of yours. Approvals given with it stand."""
        async with database.transaction(principal.scope) as tx:
            return CredentialView.of(
                await credentials.revoke(tx, principal.key_id, CredentialId(credential_id))
            )

    return Router(
        "/api/custody/credentials",
        route_handlers=[list_credentials, register_credential, confirm_credential, revoke_credential],
        tags=["Custody"],
    )
