"""The rules of keys: what they may hold, from where and how long they may be used. No I/O, no clock."""

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from agio.identity.api import SCOPES, AddressNotAllowed, Environment, KeyExpired, KeyRevoked, Principal
from agio.identity.errors import InvalidNetwork, KeyNotActive, NetworkNotHeld, ScopeNotHeld, UnknownScope
from agio.kernel.ids import KeyId, OrganisationId
from agio.kernel.problem import InvalidRequest
from agio.kernel.time import format_instant

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HINT_LENGTH: Final = 6
"""How many characters of the secret are kept in the clear, so that people can tell keys apart."""

KEY_PREFIXES: Final[dict[Environment, str]] = {"sandbox": "agio_sandbox", "live": "agio_live"}
TICKET_PREFIX: Final = "agio_ticket"
KEY_PATTERN: Final = r"\bagio_(?:sandbox|live)_[0-9A-Za-z]{49}\b"
"""What a secret scanner looks for; the last six characters are the checksum."""


class Credential(msgspec.Struct, frozen=True):
    """What authentication needs to know of a key."""

    key_id: KeyId
    organisation_id: OrganisationId
    environment: Environment
    scopes: list[str]
    allowed_cidrs: list[str]
    expires_at: datetime
    revoked_at: datetime | None


class ApiKey(msgspec.Struct, frozen=True):
    """A key as its organisation sees it; the secret is not part of it and cannot be had again."""

    key_id: KeyId
    organisation_id: OrganisationId
    environment: Environment
    name: str
    hint: str
    """The first characters of the key, with the prefix."""
    scopes: list[str]
    allowed_cidrs: list[str]
    """Networks it may be used from; empty is anywhere."""
    created_by: KeyId | None
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    replaced_by: KeyId | None
    last_used_at: datetime | None
    """Known to about ten seconds."""

    def is_active(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at


def admit(credential: Credential, address: Address | None, now: datetime) -> Principal:
    """The principal of a key that may be used now and from here.

    Raises KeyRevoked, KeyExpired, AddressNotAllowed.
    """
    if credential.revoked_at is not None:
        raise KeyRevoked("this key was revoked; create a new one")
    if now >= credential.expires_at:
        raise KeyExpired(f"this key expired at {format_instant(credential.expires_at)}; create a new one")
    if credential.allowed_cidrs and not _is_within(address, credential.allowed_cidrs):
        raise AddressNotAllowed("this key may not be used from your address; its allowlist says from where")
    return Principal(
        key_id=credential.key_id,
        organisation_id=credential.organisation_id,
        environment=credential.environment,
        scopes=frozenset(credential.scopes),
        expires_at=credential.expires_at,
    )


def read_address(text: str) -> Address | None:
    """An address; IPv4 within IPv6 (`::ffff:192.0.2.1`) is IPv4. None for what is not an address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_within(address: Address | None, networks: Iterable[str]) -> bool:
    return address is not None and any(address in ipaddress.ip_network(network) for network in networks)


def check_scopes(scopes: Iterable[str]) -> list[str]:
    """Known scopes, sorted, each once; raises UnknownScope, or InvalidRequest for none at all."""
    wanted = sorted(set(scopes))
    if not wanted:
        raise InvalidRequest("scopes: name at least one", extra={"field": "scopes"})
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown:
        raise UnknownScope(
            f"scopes: {', '.join(unknown)[:200]} does not exist",
            extra={"field": "scopes", "known": list(SCOPES)},
        )
    return wanted


def check_networks(networks: Sequence[str], limit: int) -> list[str]:
    """Networks in their canonical text, sorted, each once; raises InvalidNetwork."""
    if len(networks) > limit:
        raise InvalidNetwork(f"allowed_cidrs: at most {limit} networks", extra={"field": "allowed_cidrs"})
    return sorted({_read_network(text) for text in networks})


def _read_network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise InvalidNetwork(
            f"allowed_cidrs: {text[:60]!r} is not a network such as 203.0.113.0/24 or 2001:db8::/32"
            " (host bits must be zero)",
            extra={"field": "allowed_cidrs"},
        ) from error


def check_grant(creator: ApiKey, scopes: Iterable[str], networks: Sequence[str]) -> None:
    """Nobody hands on more than they hold; raises ScopeNotHeld, NetworkNotHeld."""
    missing = sorted(set(scopes) - set(creator.scopes))
    if missing:
        raise ScopeNotHeld(
            f"your key does not hold {', '.join(missing)} and cannot grant it", extra={"scopes": missing}
        )
    if creator.allowed_cidrs and not _is_covered(networks, creator.allowed_cidrs):
        raise NetworkNotHeld(
            "your key is bound to networks; the new key must be bound to those or parts of them",
            extra={"allowed_cidrs": creator.allowed_cidrs},
        )


def _is_covered(inner: Sequence[str], outer: Sequence[str]) -> bool:
    return bool(inner) and all(any(_is_subnet(part, whole) for whole in outer) for part in inner)


def _is_subnet(part: str, whole: str) -> bool:
    a, b = ipaddress.ip_network(part), ipaddress.ip_network(whole)
    if isinstance(a, ipaddress.IPv4Network) and isinstance(b, ipaddress.IPv4Network):
        return a.subnet_of(b)
    if isinstance(a, ipaddress.IPv6Network) and isinstance(b, ipaddress.IPv6Network):
        return a.subnet_of(b)
    return False


def check_days(days: int, limit: int) -> timedelta:
    """A key's lifetime; raises InvalidRequest. Keys that never expire do not exist."""
    if not 1 <= days <= limit:
        raise InvalidRequest(
            f"expires_in_days: between 1 and {limit}; every key expires", extra={"field": "expires_in_days"}
        )
    return timedelta(days=days)


def overlap_end(key: ApiKey, now: datetime, overlap: timedelta) -> datetime:
    """When a rotated key ends: after the overlap, never later than before; raises KeyNotActive."""
    if not key.is_active(now):
        raise KeyNotActive("only a key that is neither revoked nor expired can be rotated; create a new one")
    return min(key.expires_at, max(now + overlap, key.created_at + timedelta.resolution))


def granted_days(key: ApiKey, limit: int) -> int:
    """The lifetime that a key was given, in whole days: its successor gets the same."""
    return max(1, min(round((key.expires_at - key.created_at) / timedelta(days=1)), limit))
