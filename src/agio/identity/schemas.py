"""Wire types of `/api/me`, `/api/keys` and `/api/stream/tickets`."""

from datetime import datetime

import msgspec

from agio.identity.api import Environment, Principal
from agio.identity.model import ApiKey
from agio.identity.service import IssuedKey
from agio.kernel.ids import KeyId, OrganisationId


class Me(msgspec.Struct, frozen=True):
    """The key that made the request."""

    key_id: KeyId
    organisation_id: OrganisationId
    environment: Environment
    scopes: list[str]
    expires_at: datetime

    @classmethod
    def of(cls, principal: Principal) -> "Me":
        return cls(
            key_id=principal.key_id,
            organisation_id=principal.organisation_id,
            environment=principal.environment,
            scopes=sorted(principal.scopes),
            expires_at=principal.expires_at,
        )


class CreateKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to create, in the environment of the key that asks."""

    name: str
    scopes: list[str]
    """Some of the asking key's own scopes."""
    expires_in_days: int | None = None
    """1 to 90; 7 when absent."""
    allowed_cidrs: list[str] | None = None
    """IPv4 and IPv6 networks; those of the asking key when absent."""


class RotateKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to rotate a key."""

    overlap_seconds: int | None = None
    """How long the old key goes on working, 0 to 604,800; 3,600 when absent."""


class CreatedKey(msgspec.Struct, frozen=True):
    """A new key; `api_key` is shown this once and stored nowhere."""

    key_id: KeyId
    api_key: str
    organisation_id: OrganisationId
    environment: Environment
    name: str
    scopes: list[str]
    allowed_cidrs: list[str]
    created_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, issued: IssuedKey) -> "CreatedKey":
        key: ApiKey = issued.key
        return cls(
            key_id=key.key_id,
            api_key=issued.secret,
            organisation_id=key.organisation_id,
            environment=key.environment,
            name=key.name,
            scopes=key.scopes,
            allowed_cidrs=key.allowed_cidrs,
            created_at=key.created_at,
            expires_at=key.expires_at,
        )
