"""Typed, prefixed, time-ordered identifiers such as `ord_00n4q8xk2m7v1c9tb3fh`.

An identifier is its prefix, an underscore and 20 characters of lower-case Crockford base32: 48 bits of
milliseconds since 1970 and 52 random bits, so that text order is creation order to the millisecond.
"""

import re
import secrets
import time
from collections.abc import Callable
from typing import NewType

OrganisationId = NewType("OrganisationId", str)
KeyId = NewType("KeyId", str)
AccountId = NewType("AccountId", str)
LedgerAccountId = NewType("LedgerAccountId", str)
"""A ledger account's address, `owner:...:ASSET`, for example `acc_x:USD` or `org_x:fees:USD`."""
JournalId = NewType("JournalId", str)
HoldId = NewType("HoldId", str)
TransferId = NewType("TransferId", str)
OrderId = NewType("OrderId", str)
ExecutionId = NewType("ExecutionId", str)
PortfolioId = NewType("PortfolioId", str)
EventId = NewType("EventId", str)
VaultId = NewType("VaultId", str)
SubAccountId = NewType("SubAccountId", str)
TransferRequestId = NewType("TransferRequestId", str)
DestinationId = NewType("DestinationId", str)
CredentialId = NewType("CredentialId", str)
PolicyId = NewType("PolicyId", str)
FreezeId = NewType("FreezeId", str)

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_BODY_LENGTH = 20
_RANDOM_BITS = 52
_PATTERN = re.compile(r"^[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{20}$")


def encode_base32(number: int, length: int) -> str:
    """Write a non-negative integer in `length` characters of Crockford base32, lower case."""
    characters = []
    for _ in range(length):
        number, digit = divmod(number, 32)
        characters.append(_ALPHABET[digit])
    return "".join(reversed(characters))


class IdFactory:
    """Makes identifiers from a clock (milliseconds) and a source of random bits; both replaceable."""

    __slots__ = ("_milliseconds", "_random_bits")

    def __init__(
        self,
        milliseconds: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        random_bits: Callable[[int], int] = secrets.randbits,
    ) -> None:
        self._milliseconds = milliseconds
        self._random_bits = random_bits

    def new(self, prefix: str) -> str:
        number = (self._milliseconds() << _RANDOM_BITS) | self._random_bits(_RANDOM_BITS)
        return f"{prefix}_{encode_base32(number, _BODY_LENGTH)}"


new_id = IdFactory().new
"""Make an identifier from the wall clock and the system's randomness."""


def is_id(text: str, prefix: str) -> bool:
    """Tell whether `text` is a well-formed identifier with this prefix."""
    return text.startswith(f"{prefix}_") and _PATTERN.fullmatch(text) is not None
