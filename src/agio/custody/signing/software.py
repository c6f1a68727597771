"""A signer whose Ed25519 key lies in a private file: for the sandbox, and where there is no HSM."""

import asyncio
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agio.custody.errors import SignerUnavailable
from agio.custody.ports import SignatureAlgorithm

SEED_BYTES: Final = 32


class SoftwareSigner:
    """Reads its key at the first use and makes it when there is none. Several nodes need the same file."""

    algorithm: SignatureAlgorithm = "ed25519"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key: Ed25519PrivateKey | None = None

    async def public_key(self) -> bytes:
        key = await self._load()
        return key.public_key().public_bytes_raw()

    async def sign(self, message: bytes) -> bytes:
        key = await self._load()
        return key.sign(message)

    async def _load(self) -> Ed25519PrivateKey:
        if self._key is None:
            self._key = await asyncio.to_thread(_read_or_make, self._path)
        return self._key


def _read_or_make(path: Path) -> Ed25519PrivateKey:
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise SignerUnavailable(f"the signing key {path.name} is open to others: chmod 600")
        seed = path.read_bytes()
    except OSError as error:
        raise SignerUnavailable(f"the signing key {path.name} cannot be read") from error
    if len(seed) != SEED_BYTES:
        raise SignerUnavailable(f"the signing key {path.name} does not have {SEED_BYTES} bytes")
    return Ed25519PrivateKey.from_private_bytes(seed)


def _make(path: Path) -> None:
    """Whoever links the file first has made it; it is whole and private from its first moment."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    candidate = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(SEED_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    with suppress(FileExistsError):
        os.link(candidate, path)
    candidate.unlink()
