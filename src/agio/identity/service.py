"""Use cases: organisations, keys, tickets."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from agio.identity import store
from agio.identity.api import Environment, Principal, StreamTicket
from agio.identity.events import KEY_REVOKED_SUBJECT, KeyRevoked
from agio.identity.model import (
    HINT_LENGTH,
    KEY_PREFIXES,
    TICKET_PREFIX,
    ApiKey,
    check_days,
    check_grant,
    check_networks,
    check_scopes,
    granted_days,
    overlap_end,
)
from agio.identity.ports import Announcer, Unannounced
from agio.identity.settings import IdentitySettings
from agio.kernel.ids import KeyId, OrganisationId, new_id
from agio.kernel.page import Page, check_limit, encode_cursor, read_id_cursor
from agio.kernel.problem import Conflict, InvalidRequest, NotFound
from agio.platform.clock import Clock
from agio.platform.crypto import hash_token, mint_token
from agio.platform.db import Database, Scope, Transaction

_encode = msgspec.msgpack.Encoder().encode


class IssuedKey(msgspec.Struct, frozen=True):
    """A new key with its secret, which exists nowhere else from here on."""

    key: ApiKey
    secret: str


class _Wanted(msgspec.Struct, frozen=True):
    """What a new key shall be, not yet checked."""

    name: str
    scopes: Sequence[str]
    expires_in_days: int | None
    allowed_cidrs: Sequence[str]
    created_by: KeyId | None = None


class IdentityService:
    """Organisations and their credentials."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        announcer: Announcer | None = None,
        settings: IdentitySettings | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._announcer = announcer or Unannounced()
        self._settings = settings or IdentitySettings()

    async def create_organisation(self, name: str) -> OrganisationId:
        """Create an organisation; both of its environments exist from then on."""
        organisation_id = OrganisationId(new_id("org"))
        await self.ensure_organisation(organisation_id, name)
        return organisation_id

    async def ensure_organisation(self, organisation_id: OrganisationId, name: str) -> bool:
        """Create the organisation unless it exists; returns whether it was created."""
        if not 1 <= len(name) <= 200:
            raise InvalidRequest("name: 1 to 200 characters", extra={"field": "name"})
        async with self._database.transaction(Scope(organisation_id, "sandbox")) as tx:
            return await store.insert_organisation(tx, organisation_id, name)

    async def issue_key(
        self,
        organisation_id: OrganisationId,
        environment: Environment,
        scopes: Sequence[str],
        *,
        name: str,
        expires_in_days: int | None = None,
        allowed_cidrs: Sequence[str] = (),
    ) -> IssuedKey:
        """Issue a key on the operator's authority, who may grant any scope."""
        wanted = _Wanted(name, scopes, expires_in_days, allowed_cidrs)
        issued = self._mint(organisation_id, environment, wanted)
        async with self._database.transaction(Scope(organisation_id, environment)) as tx:
            await self._insert(tx, issued)
        return issued

    async def create_key(
        self,
        principal: Principal,
        *,
        name: str,
        scopes: Sequence[str],
        expires_in_days: int | None = None,
        allowed_cidrs: Sequence[str] | None = None,
    ) -> IssuedKey:
        """Create a key of the caller's environment with some of the caller's scopes.

        Networks default to the caller's own. Raises ScopeNotHeld, NetworkNotHeld, UnknownScope,
        InvalidNetwork, InvalidRequest.
        """
        async with self._database.transaction(principal.scope) as tx:
            creator = await self._own_key(tx, principal)
            networks = creator.allowed_cidrs if allowed_cidrs is None else allowed_cidrs
            wanted = _Wanted(name, scopes, expires_in_days, networks, creator.key_id)
            issued = self._mint(principal.organisation_id, principal.environment, wanted)
            check_grant(creator, issued.key.scopes, issued.key.allowed_cidrs)
            await self._insert(tx, issued)
        return issued

    async def rotate_key(
        self, principal: Principal, key_id: str, overlap_seconds: int | None = None
    ) -> IssuedKey:
        """Issue a successor with the same rights; the old key ends after the overlap.

        The successor lives as long as the old key was given. Only a caller who holds every right of the key
        may rotate it, as the caller learns the new secret. Raises NotFound, KeyNotActive, ScopeNotHeld,
        NetworkNotHeld.
        """
        overlap = self._overlap(overlap_seconds)
        now = self._clock.now()
        async with self._database.transaction(principal.scope) as tx:
            old = await store.lock_key(tx, key_id)
            if old is None:
                raise _no_such_key()
            check_grant(await self._own_key(tx, principal), old.scopes, old.allowed_cidrs)
            ends_at = overlap_end(old, now, overlap)
            days = granted_days(old, self._settings.max_key_days)
            wanted = _Wanted(old.name, old.scopes, days, old.allowed_cidrs, principal.key_id)
            issued = self._mint(old.organisation_id, old.environment, wanted)
            await self._insert(tx, issued)
            await store.replace_key(tx, key_id, issued.key.key_id, ends_at)
        if overlap == timedelta(0):
            await self._announce(old.key_id)
        return issued

    async def revoke_key(self, principal: Principal, key_id: str) -> None:
        """End a key now, everywhere within a second. Idempotent; raises NotFound."""
        async with self._database.transaction(principal.scope) as tx:
            is_new = await store.revoke_key(tx, key_id)
            if not is_new and await store.find_key(tx, key_id) is None:
                raise _no_such_key()
        await self._announce(KeyId(key_id))

    async def show_key(self, principal: Principal, key_id: str) -> ApiKey:
        async with self._database.transaction(principal.scope) as tx:
            key = await store.find_key(tx, key_id)
        if key is None:
            raise _no_such_key()
        return key

    async def list_keys(self, principal: Principal, limit: int, cursor: str | None) -> Page[ApiKey]:
        """The keys of the caller's environment, oldest first, those that ended included."""
        check_limit(limit)
        after = read_id_cursor(cursor, "after", "key") or ""
        async with self._database.transaction(principal.scope) as tx:
            keys = await store.list_keys(tx, after, limit + 1)
        has_more = len(keys) > limit
        return Page(keys[:limit], encode_cursor({"after": keys[limit - 1].key_id}) if has_more else None)

    async def issue_ticket(self, principal: Principal) -> StreamTicket:
        """A single-use credential for one connection within 30 seconds."""
        ticket = mint_token(TICKET_PREFIX)
        lifetime = timedelta(seconds=self._settings.ticket_seconds)
        async with self._database.transaction(principal.scope) as tx:
            expires_at = await store.insert_ticket(tx, hash_token(ticket), principal.key_id, lifetime)
            if await store.count_tickets(tx) > self._settings.max_open_tickets:
                raise Conflict("too many unused stream tickets; they end after 30 seconds")
        return StreamTicket(ticket, expires_at)

    async def _own_key(self, tx: Transaction, principal: Principal) -> ApiKey:
        key = await store.find_key(tx, principal.key_id)
        if key is None:
            raise _no_such_key()
        return key

    def _mint(self, organisation_id: OrganisationId, environment: Environment, wanted: _Wanted) -> IssuedKey:
        if not 1 <= len(wanted.name) <= 100:
            raise InvalidRequest("name: 1 to 100 characters", extra={"field": "name"})
        days = self._settings.default_key_days if wanted.expires_in_days is None else wanted.expires_in_days
        lifetime = check_days(days, self._settings.max_key_days)
        secret = mint_token(KEY_PREFIXES[environment])
        now = self._clock.now()
        key = ApiKey(
            key_id=KeyId(new_id("key")),
            organisation_id=organisation_id,
            environment=environment,
            name=wanted.name,
            hint=secret[: len(KEY_PREFIXES[environment]) + 1 + HINT_LENGTH],
            scopes=check_scopes(wanted.scopes),
            allowed_cidrs=check_networks(wanted.allowed_cidrs, self._settings.max_networks),
            created_by=wanted.created_by,
            created_at=now,
            expires_at=now + lifetime,
            revoked_at=None,
            replaced_by=None,
            last_used_at=None,
        )
        return IssuedKey(key, secret)

    async def _insert(self, tx: Transaction, issued: IssuedKey) -> None:
        if await store.count_active_keys(tx) >= self._settings.max_keys:
            raise Conflict(f"this environment already has {self._settings.max_keys} active keys; revoke some")
        await store.insert_key(tx, issued.key, hash_token(issued.secret))

    def _overlap(self, seconds: int | None) -> timedelta:
        value = self._settings.default_overlap_seconds if seconds is None else seconds
        if not 0 <= value <= self._settings.max_overlap_seconds:
            raise InvalidRequest(
                f"overlap_seconds: between 0 and {self._settings.max_overlap_seconds}",
                extra={"field": "overlap_seconds"},
            )
        return timedelta(seconds=value)

    async def _announce(self, key_id: KeyId) -> None:
        await self._announcer.publish(KEY_REVOKED_SUBJECT, _encode(KeyRevoked(key_id)))


def _no_such_key() -> NotFound:
    return NotFound("there is no such key in this environment of your organisation")
