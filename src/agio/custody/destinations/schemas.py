"""Wire types of destinations."""

from datetime import datetime

import msgspec

from agio.custody.destinations.model import Destination, DestinationKind


class CreateDestination(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address to allow. Its checksum must be right: IBAN (mod 97), Base58Check, bech32, EIP-55."""

    kind: DestinationKind
    name: str
    address: str
    bic: str | None = None


class DestinationView(msgspec.Struct, frozen=True):
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

    @classmethod
    def of(cls, one: Destination) -> "DestinationView":
        return cls(
            destination_id=one.destination_id,
            kind=one.kind,
            name=one.name,
            address=one.address,
            bic=one.bic,
            added_by=one.added_by,
            added_at=one.added_at,
            usable_from=one.usable_from,
            revoked_at=one.revoked_at,
            revoked_by=one.revoked_by,
        )


class DestinationPage(msgspec.Struct, frozen=True):
    items: list[DestinationView]
    next_cursor: str | None
