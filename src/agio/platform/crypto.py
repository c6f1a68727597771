"""Bearer secrets: made from the system's randomness, checkable without a lookup, stored only as hashes.

A token is `<prefix>_<43 random base62 characters><6 characters of checksum>`. 43 characters hold 256 bits.
The checksum is the CRC-32 of everything before it, in base62: a mistyped or truncated token is refused
without asking the database, and a secret scanner can tell a real token from a look-alike.
"""

import hashlib
import secrets
import zlib
from typing import Final

BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SECRET_LENGTH: Final = 43
CHECKSUM_LENGTH: Final = 6
_DIGITS: Final = frozenset(BASE62)


def encode_base62(number: int, length: int) -> str:
    """Write a non-negative integer in `length` base62 characters; higher digits are cut off."""
    characters = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        characters.append(BASE62[digit])
    return "".join(reversed(characters))


def mint_token(prefix: str) -> str:
    """A new secret token with 256 bits of randomness."""
    body = f"{prefix}_{''.join(secrets.choice(BASE62) for _ in range(SECRET_LENGTH))}"
    return body + _checksum(body)


def is_well_formed(token: str, prefix: str) -> bool:
    """Whether a text has the shape and the checksum of a token of this kind, known or not."""
    secret = token.removeprefix(f"{prefix}_")
    return (
        len(secret) == SECRET_LENGTH + CHECKSUM_LENGTH
        and len(token) == len(prefix) + 1 + len(secret)
        and _DIGITS.issuperset(secret)
        and secrets.compare_digest(_checksum(token[:-CHECKSUM_LENGTH]), token[-CHECKSUM_LENGTH:])
    )


def hash_token(token: str) -> bytes:
    """What is stored and looked up instead of the token.

    A plain SHA-256 is right here: slow password hashes protect guessable secrets, and nobody guesses 256
    random bits. Finding a row by the hash leaks no usable timing either, as nobody can steer a hash.
    """
    return hashlib.sha256(token.encode()).digest()


def _checksum(body: str) -> str:
    return encode_base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)
