"""What other rooms may ask of identity: who a caller is, and whether it may use a verb."""

from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal, Protocol

import msgspec

from agio.identity.errors import (
    AddressNotAllowed,
    Forbidden,
    InvalidTicket,
    KeyExpired,
    KeyRevoked,
    TooManyAttempts,
    Unauthorized,
)
from agio.kernel.ids import KeyId, OrganisationId
from agio.platform.db import Scope

__all__ = [
    "ANY_KEY",
    "SCOPES",
    "AddressNotAllowed",
    "Authenticator",
    "Environment",
    "Forbidden",
    "InvalidTicket",
    "KeyExpired",
    "KeyRevoked",
    "Policy",
    "Principal",
    "Revocations",
    "StreamTicket",
    "TooManyAttempts",
    "Unauthorized",
]

Environment = Literal["sandbox", "live"]

ANY_KEY: Final = "*"
"""The scope of a verb that every valid key may use: `opt={"scope": ANY_KEY}`."""

SCOPES: Final[dict[str, str]] = {
    "market:read": "Instruments, trades, quotes, books and bars",
    "market:admin": "Start and stop replays of recorded markets",
    "accounts:read": "Accounts, balances, ledger entries and transfers",
    "accounts:write": "Open accounts",
    "transfers:write": "Deposit and withdraw",
    "custody:read": "Vaults, transfer requests, policies, destinations and freezes",
    "custody:write": "Request, change, cancel and release transfers out of vaults",
    "custody:approve": "Register credentials; approve and reject transfer requests and policies",
    "custody:admin": "Open vaults, draft policies, allow destinations, freeze, report settlements",
    "orders:read": "Orders and executions",
    "orders:write": "Place and cancel orders",
    "portfolios:read": "Portfolios, positions and analytics",
    "portfolios:write": "Create portfolios",
    "ledger:read": "Journals, holds, ledger accounts and their history",
    "ledger:write": "Post and reverse journals, place holds, freeze and close ledger accounts",
    "reconciliation:read": "Imported statements and breaks",
    "reconciliation:write": "Import statements, explain and resolve breaks",
    "keys:read": "See the organisation's API keys (never their secrets)",
    "keys:write": "Create, rotate and revoke API keys",
    "ops:read": "Metrics and the state of the service",
}
"""Every scope that a key can hold, with what it opens."""


class Principal(msgspec.Struct, frozen=True):
    """The authenticated caller: one key of one environment of one organisation."""

    key_id: KeyId
    organisation_id: OrganisationId
    environment: Environment
    scopes: frozenset[str]
    expires_at: datetime

    @property
    def scope(self) -> Scope:
        """The database scope to read and write under: `database.transaction(principal.scope)`."""
        return Scope(self.organisation_id, self.environment)


class StreamTicket(msgspec.Struct, frozen=True):
    """A credential for one connection, made for places where a header cannot be set (browsers' sockets)."""

    ticket: str
    expires_at: datetime


class Authenticator(Protocol):
    async def authenticate(self, token: str, client_ip: str) -> Principal:
        """Say whose key this is.

        Raises Unauthorized, KeyExpired, KeyRevoked, AddressNotAllowed, TooManyAttempts.
        """
        ...

    async def redeem_ticket(self, ticket: str, client_ip: str) -> Principal:
        """Use a stream ticket up, on whichever node; the principal is that of the key it was issued to.

        Raises InvalidTicket (unknown, expired, used), AddressNotAllowed, TooManyAttempts.
        """
        ...


class Revocations(Protocol):
    """Tells when keys end, so that whatever lives longer than a request can be closed."""

    def watch(self, ended: Callable[[KeyId], None]) -> Callable[[], None]:
        """Call `ended` for each key that is revoked or expires, on this node, within a second.

        The callback must not block. Returns a function that ends the watch.
        """
        ...


class Policy:
    """Answers whether a principal may use a verb; the only place where scopes are compared."""

    def allows(self, principal: Principal, scope: str) -> bool:
        return scope == ANY_KEY or scope in principal.scopes

    def require(self, principal: Principal, scope: str) -> None:
        """Raise Forbidden, naming the scope, unless the principal holds it."""
        if not self.allows(principal, scope):
            raise Forbidden(
                f"this needs the scope {scope}; create a key that has it",
                extra={"scope": scope},
                headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
            )
