"""What custody needs filled: a key that signs for the house."""

from typing import Literal, Protocol

SignatureAlgorithm = Literal["ed25519"]


class Signer(Protocol):
    """Signs released requests. The private key never leaves the implementation."""

    @property
    def algorithm(self) -> SignatureAlgorithm: ...

    async def public_key(self) -> bytes:
        """32 bytes (RFC 8032); raises SignerUnavailable."""
        ...

    async def sign(self, message: bytes) -> bytes:
        """64 bytes that verify under `public_key`; raises SignerUnavailable. Never blocks the loop."""
        ...
