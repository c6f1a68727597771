"""Encryption of what is personal or secret, before it reaches the database.

Envelope encryption with AES-256-GCM: each organisation has data keys of its own, stored wrapped by the master
key. A sealed value opens only for the organisation, the column and the row that it was sealed for: moved
anywhere else it is refused. The transaction that a value is read or written in says which organisation it is.

A sealed value is: format (1 byte), version of the data key (4), nonce (12), ciphertext, tag (16). Columns of
text hold it as `sealed:` and base64.
"""

import base64
import binascii
import secrets
import struct
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from agio.platform.db import Transaction
from agio.platform.master_keys import KEY_BYTES, NONCE_BYTES, MasterKeys, Wrapped

PREFIX: Final = "sealed:"
FORMAT: Final = 1
KNOWN_ORGANISATIONS: Final = 20_000
_HEAD: Final = struct.Struct(">BI")


class DamagedSeal(Exception):
    """A sealed value does not open: it was changed, or belongs to another organisation, column or row."""


class Place(NamedTuple):
    """Where a value lives: `room.table.column`, and the row's id."""

    column: str
    row: str = ""


class _DataKeyRow(NamedTuple):
    version: int
    master_id: str
    wrapped: bytes


class Vault:
    """Seals and opens values of one database. Knows data keys only after they are committed."""

    def __init__(self, masters: MasterKeys) -> None:
        self._masters = masters
        self._newest: dict[str, int] = {}
        self._ciphers: dict[tuple[str, int], AESGCM] = {}

    async def seal(self, tx: Transaction, place: Place, text: str, organisation_id: str = "") -> str:
        """Text that may be stored. The organisation is the transaction's unless it acts for none."""
        sealed = await self.seal_bytes(tx, place, text.encode(), organisation_id)
        return PREFIX + base64.b64encode(sealed).decode()

    async def unseal(self, tx: Transaction, place: Place, sealed: str, organisation_id: str = "") -> str:
        """The text again; raises DamagedSeal."""
        if not is_sealed(sealed):
            raise DamagedSeal(f"{place.column} holds a value that is not sealed")
        try:
            content = base64.b64decode(sealed[len(PREFIX) :], validate=True)
        except (binascii.Error, ValueError) as error:
            raise DamagedSeal(f"{place.column} holds a damaged value") from error
        return (await self.unseal_bytes(tx, place, content, organisation_id)).decode()

    async def seal_bytes(
        self, tx: Transaction, place: Place, content: bytes, organisation_id: str = ""
    ) -> bytes:
        """The same for bytes."""
        owner = _owner(tx, organisation_id)
        version, cipher = await self._newest_key(tx, owner)
        nonce = secrets.token_bytes(NONCE_BYTES)
        return _HEAD.pack(FORMAT, version) + nonce + cipher.encrypt(nonce, content, _binding(owner, place))

    async def unseal_bytes(
        self, tx: Transaction, place: Place, sealed: bytes, organisation_id: str = ""
    ) -> bytes:
        """The same for bytes."""
        owner = _owner(tx, organisation_id)
        if len(sealed) < _HEAD.size + NONCE_BYTES or sealed[0] != FORMAT:
            raise DamagedSeal(f"{place.column} holds a value that is not sealed")
        _, version = _HEAD.unpack_from(sealed)
        cipher = await self._key(tx, owner, version)
        start = _HEAD.size + NONCE_BYTES
        try:
            return cipher.decrypt(sealed[_HEAD.size : start], sealed[start:], _binding(owner, place))
        except InvalidTag as error:
            raise DamagedSeal(f"{place.column} holds a value that does not open") from error

    async def renew_data_key(self, tx: Transaction, organisation_id: str = "") -> int:
        """Give the organisation a new data key for what is sealed from now on; returns its version.

        Older versions go on opening what they sealed. Other nodes follow when they next start.
        """
        owner = _owner(tx, organisation_id)
        version, _ = await self._newest_key(tx, owner)
        await self._create(tx, owner, version + 1)
        return version + 1

    async def _newest_key(self, tx: Transaction, owner: str) -> tuple[int, AESGCM]:
        fresh = [version for organisation, version in tx.data_keys if organisation == owner]
        if fresh:
            return max(fresh), tx.data_keys[owner, max(fresh)]
        known = self._newest.get(owner)
        if known is not None:
            return known, self._ciphers[owner, known]
        row = await _select(tx, owner, None)
        if row is None:
            await self._create(tx, owner, 1)
            # Somebody else may have been first: then theirs is committed, and ours was not inserted.
            if (owner, 1) in tx.data_keys:
                return 1, tx.data_keys[owner, 1]
            row = await _select(tx, owner, None)
        if row is None:
            raise DamagedSeal(f"{owner} has no data key and none can be made")
        cipher = self._remember(owner, row)
        self._newest[owner] = row.version
        return row.version, cipher

    async def _key(self, tx: Transaction, owner: str, version: int) -> AESGCM:
        cipher = tx.data_keys.get((owner, version)) or self._ciphers.get((owner, version))
        if cipher is not None:
            return cipher
        row = await _select(tx, owner, version)
        if row is None:
            raise DamagedSeal(f"the data key {version} of {owner} does not exist")
        return self._remember(owner, row)

    def _remember(self, owner: str, row: _DataKeyRow) -> AESGCM:
        if len(self._ciphers) >= KNOWN_ORGANISATIONS:
            self._ciphers.clear()
            self._newest.clear()
        cipher = AESGCM(self._masters.unwrap(Wrapped(row.master_id, row.wrapped), key_binding(owner)))
        self._ciphers[owner, row.version] = cipher
        return cipher

    async def _create(self, tx: Transaction, owner: str, version: int) -> None:
        # Whoever changes the master key waits for us from here on; if they were first, we see the new key.
        await tx.execute("lock table platform.data_key in row exclusive mode")
        key = secrets.token_bytes(KEY_BYTES)
        wrapped = self._masters.wrap(key, key_binding(owner))
        is_ours = await tx.execute(
            "insert into platform.data_key (organisation_id, version, master_id, wrapped)"
            " values (%s, %s, %s, %s) on conflict do nothing",
            (owner, version, wrapped.master_id, wrapped.content),
        )
        if is_ours:
            # Until it commits, the key exists for this transaction alone.
            tx.data_keys[owner, version] = AESGCM(key)


def is_sealed(text: str) -> bool:
    return text.startswith(PREFIX)


def key_binding(organisation_id: str) -> bytes:
    """What a wrapped data key is bound to."""
    return f"agio data key\0{organisation_id}".encode()


def _binding(organisation_id: str, place: Place) -> bytes:
    return f"agio value\0{organisation_id}\0{place.column}\0{place.row}".encode()


def _owner(tx: Transaction, organisation_id: str) -> str:
    owner = organisation_id or tx.scope.organisation_id
    if not owner or tx.scope.organisation_id not in ("", owner):
        raise DamagedSeal("a value can be sealed and opened for the transaction's own organisation only")
    return owner


async def _select(tx: Transaction, owner: str, version: int | None) -> _DataKeyRow | None:
    rows = await tx.fetch_tuples(
        "select version, master_id, wrapped from platform.data_key where organisation_id = %(owner)s"
        " and (%(version)s::integer is null or version = %(version)s::integer) order by version desc limit 1",
        {"owner": owner, "version": version},
    )
    return _DataKeyRow(*rows[0]) if rows else None
