"""Destinations: where money may be sent, how it is written, and from when on. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Literal

import msgspec

from agio.custody.destinations.checksums import check_bic, check_bitcoin, check_ethereum, check_iban
from agio.custody.errors import DestinationNotUsable, InvalidAddress
from agio.kernel.ids import DestinationId, KeyId
from agio.kernel.problem import InvalidRequest
from agio.kernel.time import format_instant

MAX_DESTINATIONS: Final = 1000
DestinationKind = Literal["iban", "bitcoin", "ethereum"]
_CHECKS: Final[Mapping[DestinationKind, Callable[[str], str]]] = {
    "iban": check_iban,
    "bitcoin": check_bitcoin,
    "ethereum": check_ethereum,
}
BITCOIN: Final = "BTC"


class Destination(msgspec.Struct, frozen=True):
    """One entry of the allowlist. Its address never changes: another address is another destination."""

    destination_id: DestinationId
    kind: DestinationKind
    name: str
    address: str
    bic: str | None
    added_by: KeyId
    added_at: datetime
    usable_from: datetime
    revoked_at: datetime | None = None
    revoked_by: KeyId | None = None


def check_address(kind: DestinationKind, address: str, bic: str | None) -> tuple[str, str | None]:
    """Address and BIC in canonical form; raises InvalidAddress."""
    if bic is not None and kind != "iban":
        raise InvalidAddress("only an IBAN has a BIC", extra={"field": "bic"})
    return _CHECKS[kind](address), None if bic is None else check_bic(bic)


def check_usable(destination: Destination, now: datetime) -> None:
    """Raise DestinationNotUsable unless money may go there now."""
    if destination.revoked_at is not None:
        raise DestinationNotUsable(f"{destination.destination_id} was revoked")
    if now < destination.usable_from:
        until = format_instant(destination.usable_from)
        raise DestinationNotUsable(
            f"{destination.destination_id} is cooling until {until}", extra={"usable_from": until}
        )


def check_carries(destination: Destination, asset: str, asset_class: str) -> None:
    """Raise InvalidRequest unless the destination's network carries the asset."""
    carries = {
        "iban": asset_class == "currency",
        "bitcoin": asset == BITCOIN,
        "ethereum": asset_class == "crypto" and asset != BITCOIN,
    }
    if not carries[destination.kind]:
        raise InvalidRequest(
            f"{asset} cannot be sent to a destination of kind {destination.kind}",
            extra={"field": "target.id"},
        )
