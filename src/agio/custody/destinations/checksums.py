"""Whether an address can be right at all: IBAN, BIC, Bitcoin, Ethereum. Pure; each gives the canonical form.

A valid checksum says that the text was not mistyped, not that somebody is there.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import Final, NoReturn

from stdnum import bic, iban
from stdnum.exceptions import ValidationError

from agio.custody.errors import InvalidAddress

MAX_LENGTH: Final = 120
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_CONSTANT: Final = 1
_BECH32M_CONSTANT: Final = 0x2BC830A3
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_PREFIX: Final = "bc"
_VERSIONS: Final = (0x00, 0x05)
"""Main-net pay to public key hash and pay to script hash."""
_ETHEREUM: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)


def check_iban(text: str) -> str:
    """An IBAN in its electronic form (ISO 13616): country, length, structure, mod 97.

    The countries' lists of banks are not asked: they age, and a new bank must not be refused.
    """
    _check_text("IBAN", text)
    try:
        return iban.validate(text, check_country=False)
    except ValidationError as error:
        raise InvalidAddress(
            "this is not an IBAN: its country, length or check digits are wrong", extra={"field": "address"}
        ) from error


def check_bic(text: str) -> str:
    """A BIC of 8 or 11 characters (ISO 9362) with a country that exists."""
    _check_text("BIC", text)
    try:
        return bic.validate(text)
    except ValidationError as error:
        raise InvalidAddress("this is not a BIC", extra={"field": "bic"}) from error


def check_bitcoin(text: str) -> str:
    """A main-net Bitcoin address: Base58Check, or segwit in bech32 (BIP 173) and bech32m (BIP 350)."""
    _check_text("Bitcoin address", text)
    if text.lower().startswith(f"{_PREFIX}1"):
        return _check_segwit(text)
    version, payload = _decode_base58check(text)
    if version not in _VERSIONS or len(payload) != 20:
        _refuse("Bitcoin address: not one of the main network")
    return text


def check_ethereum(text: str) -> str:
    """An Ethereum address with the checksum of EIP-55; without one (all of one case) it is refused.

    A checksum is the only thing that tells a mistyped address from a right one.
    """
    _check_text("Ethereum address", text)
    if _ETHEREUM.fullmatch(text) is None:
        _refuse("Ethereum address: 0x and 40 hexadecimal digits")
    if checksum_ethereum(text) != text:
        _refuse("Ethereum address: the capitals of its checksum (EIP-55) are wrong or missing")
    return text


def checksum_ethereum(text: str) -> str:
    """The same address with the capitals that EIP-55 gives it."""
    # Imported late: it costs every start a quarter of a second, and few addresses are Ethereum's.
    from Crypto.Hash import keccak  # noqa: PLC0415

    digits = text[2:].lower()
    digest = keccak.new(data=digits.encode(), digest_bits=256).hexdigest()
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) >= 8 else digit
        for digit, nibble in zip(digits, digest, strict=False)
    )


def _decode_base58check(text: str) -> tuple[int, bytes]:
    number = 0
    for character in text:
        digit = _BASE58.find(character)
        if digit < 0:
            _refuse("Bitcoin address: a character that Base58 does not have")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    content = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    body, checksum = content[:-4], content[-4:]
    if len(body) < 1 or hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4] != checksum:
        _refuse("Bitcoin address: its checksum is wrong")
    return body[0], body[1:]


def _check_segwit(text: str) -> str:
    lower = text.lower()
    if text not in (lower, text.upper()) or len(text) > 90:
        _refuse("Bitcoin address: bech32 is either small or capital letters, at most 90 of them")
    data = [_BECH32.find(character) for character in lower[len(_PREFIX) + 1 :]]
    if -1 in data or len(data) < 8:
        _refuse("Bitcoin address: a character that bech32 does not have, or too few")
    version, program = data[0], _regroup(data[1:-6])
    expanded = [ord(c) >> 5 for c in _PREFIX] + [0] + [ord(c) & 31 for c in _PREFIX]
    constant = _BECH32_CONSTANT if version == 0 else _BECH32M_CONSTANT
    if _polymod(expanded + data) != constant:
        _refuse("Bitcoin address: its checksum is wrong")
    if version > 16 or not 2 <= len(program) <= 40 or (version == 0 and len(program) not in (20, 32)):
        _refuse("Bitcoin address: no such witness program")
    return lower


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for place, part in enumerate(_GENERATOR):
            if top >> place & 1:
                checksum ^= part
    return checksum


def _regroup(values: Iterable[int]) -> bytes:
    """Groups of five bits as bytes; what is left over must be fewer than five zeros (BIP 173)."""
    accumulator = bits = 0
    content = bytearray()
    for value in values:
        accumulator = (accumulator << 5 | value) & 0xFFF
        bits += 5
        if bits >= 8:
            bits -= 8
            content.append(accumulator >> bits & 0xFF)
    if bits >= 5 or accumulator & ((1 << bits) - 1):
        _refuse("Bitcoin address: its padding is wrong")
    return bytes(content)


def _check_text(kind: str, text: str) -> None:
    if not text or len(text) > MAX_LENGTH or not text.isascii() or not text.isprintable():
        _refuse(f"{kind}: 1 to {MAX_LENGTH} plain characters")


def _refuse(detail: str) -> NoReturn:
    raise InvalidAddress(detail, extra={"field": "address"})
