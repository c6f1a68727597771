"""Says whose a token is: by checksum first, then from memory, then from the database."""

import asyncio
import math
from collections import OrderedDict
from datetime import datetime

import structlog

from agio.identity import store
from agio.identity.api import InvalidTicket, Principal, Revocations, TooManyAttempts, Unauthorized
from agio.identity.attempts import FailedAttempts
from agio.identity.model import KEY_PREFIXES, TICKET_PREFIX, Address, Credential, admit, read_address
from agio.identity.settings import IdentitySettings
from agio.kernel.ids import KeyId
from agio.kernel.problem import Problem
from agio.platform.clock import Clock
from agio.platform.crypto import hash_token, is_well_formed
from agio.platform.db import Database

_SLOW_LANE = 4
"""Lookups at once for all addresses that failed too often; a valid key from there still gets through."""

log = structlog.get_logger(__name__)


class KeyAuthenticator:
    """Authenticates keys and redeems tickets. `run` must be running for `last_used_at` to be written."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        revocations: Revocations,
        settings: IdentitySettings | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings or IdentitySettings()
        self._attempts = FailedAttempts(clock, self._settings)
        self._slow_lane = asyncio.Semaphore(_SLOW_LANE)
        self._known: OrderedDict[bytes, tuple[float, Credential]] = OrderedDict()
        self._lookups: dict[bytes, asyncio.Task[Credential | None]] = {}
        self._used_at: dict[KeyId, datetime] = {}
        revocations.watch(self.forget)

    async def authenticate(self, token: str, client_ip: str) -> Principal:
        """Say whose key this is (see `agio.identity.api.Authenticator`)."""
        address = read_address(client_ip)
        if not any(is_well_formed(token, prefix) for prefix in KEY_PREFIXES.values()):
            raise self._failed(address, Unauthorized("this is not an agio key; check that it is complete"))
        credential = await self._find(hash_token(token), address)
        if credential is None:
            raise self._failed(address, Unauthorized("no such key"))
        now = self._clock.now()
        principal = admit(credential, address, now)
        self._used_at[principal.key_id] = now
        return principal

    async def redeem_ticket(self, ticket: str, client_ip: str) -> Principal:
        """Use a ticket up (see `agio.identity.api.Authenticator`)."""
        address = read_address(client_ip)
        refusal = InvalidTicket("this ticket is unknown, expired or used; ask for a new one")
        if not is_well_formed(ticket, TICKET_PREFIX):
            raise self._failed(address, refusal)
        self._check_lane(address)
        async with self._database.transaction() as tx:
            credential = await store.redeem_ticket(tx, hash_token(ticket))
        if credential is None:
            raise self._failed(address, refusal)
        return admit(credential, address, self._clock.now())

    def forget(self, key_id: KeyId) -> None:
        """Drop what is remembered of a key that ended."""
        for token_hash in [known for known, (_, key) in self._known.items() if key.key_id == key_id]:
            del self._known[token_hash]

    async def run(self) -> None:
        """Write `last_used_at` of the keys in use, every few seconds and at the end."""
        try:
            while True:
                await asyncio.sleep(self._settings.touch_seconds)
                await self.write_usage()
        finally:
            await asyncio.shield(self.write_usage())

    async def write_usage(self) -> None:
        """Write what was gathered; what cannot be written is kept for the next time."""
        used_at, self._used_at = self._used_at, {}
        if not used_at:
            return
        try:
            async with self._database.transaction() as tx:
                await store.touch_keys(tx, used_at)
        except Exception as error:
            log.warning("key_usage_not_written", error=repr(error))
            self._used_at = {**used_at, **self._used_at}

    async def _find(self, token_hash: bytes, address: Address | None) -> Credential | None:
        known = self._known.get(token_hash)
        if known is not None and self._clock.monotonic() - known[0] < self._settings.cache_seconds:
            return known[1]
        if self._attempts.wait_seconds(address) > 0:
            self._check_lane(address)
            async with self._slow_lane:
                return await self._look_up(token_hash)
        return await self._look_up(token_hash)

    async def _look_up(self, token_hash: bytes) -> Credential | None:
        """Ask the database once for all requests that wait for the same key."""
        lookup = self._lookups.get(token_hash)
        if lookup is None:
            lookup = asyncio.create_task(self._ask(token_hash))
            self._lookups[token_hash] = lookup
            lookup.add_done_callback(lambda _: self._lookups.pop(token_hash, None))
        return await asyncio.shield(lookup)

    async def _ask(self, token_hash: bytes) -> Credential | None:
        asked_at = self._clock.monotonic()
        async with self._database.transaction() as tx:
            credential = await store.find_credential(tx, token_hash)
        if credential is not None:
            self._known.pop(token_hash, None)
            self._known[token_hash] = (asked_at, credential)
            if len(self._known) > self._settings.cached_keys:
                self._known.popitem(last=False)
        return credential

    def _check_lane(self, address: Address | None) -> None:
        """Raise TooManyAttempts when an address that failed too often would have to queue."""
        if self._attempts.wait_seconds(address) > 0 and self._slow_lane.locked():
            raise self._too_many(address)

    def _failed(self, address: Address | None, refusal: Problem) -> Problem:
        """Count a failure; what to raise for it."""
        self._attempts.record(address)
        return self._too_many(address) if self._attempts.wait_seconds(address) > 0 else refusal

    def _too_many(self, address: Address | None) -> TooManyAttempts:
        seconds = max(1, math.ceil(self._attempts.wait_seconds(address)))
        return TooManyAttempts(
            f"too many failed attempts from your address; wait {seconds} s",
            headers={"Retry-After": str(seconds)},
        )
