"""Refusals of identity: who is not let in, and what a credential may not do."""

from agio.kernel.problem import Conflict, InvalidRequest, Problem


class Unauthorized(Problem):
    """The request carries no valid credential. Send `Authorization: Bearer agio_...`."""

    status = 401
    code = "unauthorized"
    title = "Not authenticated"


class KeyExpired(Unauthorized):
    """The key was valid once and its time is over. Rotate keys before they expire, or create a new one."""

    code = "key_expired"
    title = "Key expired"


class KeyRevoked(Unauthorized):
    """Somebody revoked the key; it will never work again. Create a new one."""

    code = "key_revoked"
    title = "Key revoked"


class InvalidTicket(Unauthorized):
    """The stream ticket is unknown, older than 30 seconds or already used. Ask for a new one."""

    code = "invalid_ticket"
    title = "Invalid stream ticket"


class Forbidden(Problem):
    """The credential is valid and lacks the scope that this verb needs; `scope` names it."""

    status = 403
    code = "insufficient_scope"
    title = "Insufficient scope"


class AddressNotAllowed(Problem):
    """The key may only be used from the networks of its allowlist, and the request came from elsewhere."""

    status = 403
    code = "address_not_allowed"
    title = "Address not allowed"


class ScopeNotHeld(Problem):
    """A key can only hand on scopes that it holds itself; `scopes` names the others."""

    status = 403
    code = "scope_not_held"
    title = "Scope not held"


class NetworkNotHeld(Problem):
    """A key with an allowlist can only create keys for those networks or parts of them."""

    status = 403
    code = "network_not_held"
    title = "Network not held"


class TooManyAttempts(Problem):
    """Too many failed attempts from this address; wait as long as `Retry-After` says."""

    status = 429
    code = "too_many_attempts"
    title = "Too many failed attempts"


class UnknownScope(InvalidRequest):
    """A scope in the request does not exist; `known` lists those that do."""

    code = "unknown_scope"
    title = "Unknown scope"


class InvalidNetwork(InvalidRequest):
    """An entry of `allowed_cidrs` is not an IPv4 or IPv6 network such as `203.0.113.0/24`."""

    code = "invalid_network"
    title = "Invalid network"


class KeyNotActive(Conflict):
    """The key is revoked or expired and cannot be rotated."""

    code = "key_not_active"
    title = "Key not active"
