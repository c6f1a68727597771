"""Checksums of addresses, on vectors that their specifications publish."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.custody.destinations.checksums import (
    check_bic,
    check_bitcoin,
    check_ethereum,
    check_iban,
    checksum_ethereum,
)
from agio.custody.errors import InvalidAddress

# Examples of the SWIFT IBAN registry.
IBANS = [
    "AT611904300234573201",
    "BE68539007547034",
    "CH9300762011623852957",
    "DE89370400440532013000",
    "FR1420041010050500013M02606",
    "GB29NWBK60161331926819",
    "MT84MALT011000012345MTLCAST001S",
    "NO9386011117947",
]

# BIP 173 and BIP 350: valid main-net addresses; Base58Check: the genesis block's, and a pay to script hash.
BITCOIN = [
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "3P14159f73E4gFr7JterCCQh9QjiTjiZrG",
    "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
    "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
    "BC1SW50QGDZ25J",
    "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
]

# BIP 173 and BIP 350: invalid addresses, each for a reason of its own.
BAD_BITCOIN = [
    "tc1qw508d6qejxtdg4y5r3zarvary0c5xw7kg3g4ty",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
    "BC13W508D6QEJXTDG4Y5R3ZARVARY0C5XW7KN40WF2",
    "bc1rw5uspcuh",
    "bc10w508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kw5rljs90",
    "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
    "bc1zw508d6qejxtdg4y5r3zarvaryvqyzf3du",
    "bc1gmk9yu",
    "tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
    "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
    "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
    "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
    "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
    "bc1pw5dgrnzv",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
    "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
    "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
    "Bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
    "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
    "1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf0a",
    "1111111111111111111114oLvT3",
]

# EIP-55's own test cases.
ETHEREUM = [
    "0x52908400098527886E0F7030069857D2E4169EE7",
    "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
    "0xde709f2102306220921060314715629080e2fb77",
    "0x27b1fdb04752bbc536007a920d24acb045561c26",
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


@pytest.mark.parametrize("text", IBANS)
def test_an_iban_of_the_registry_is_accepted_with_and_without_blanks(text: str) -> None:
    assert check_iban(text) == text
    assert check_iban(" ".join(text[i : i + 4] for i in range(0, len(text), 4))) == text


@given(st.sampled_from(IBANS), st.integers(2, 33), st.sampled_from("0123456789"))
def test_one_wrong_digit_of_an_iban_is_noticed(text: str, place: int, digit: str) -> None:
    place %= len(text)
    if not text[place].isdigit() or text[place] == digit:
        return
    with pytest.raises(InvalidAddress):
        check_iban(text[:place] + digit + text[place + 1 :])


@pytest.mark.parametrize(
    "text", ["", "XX89370400440532013000", "DE8937040044053201300", "DE00", "é" * 22, "9" * 500]
)
def test_what_is_no_iban_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddress):
        check_iban(text)


def test_a_bic_has_eight_or_eleven_characters_and_a_country() -> None:
    assert check_bic("deutdeff500") == "DEUTDEFF500"
    for text in ["DEUTDEFF50", "DEUTXXFF", "1EUTDEFF", ""]:
        with pytest.raises(InvalidAddress):
            check_bic(text)


@pytest.mark.parametrize("text", BITCOIN)
def test_a_bitcoin_address_is_accepted(text: str) -> None:
    assert check_bitcoin(text) in {text, text.lower()}


@pytest.mark.parametrize("text", BAD_BITCOIN)
def test_a_bad_bitcoin_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddress):
        check_bitcoin(text)


@given(st.sampled_from(BITCOIN[2:]), st.integers(3, 80), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_one_wrong_character_of_a_segwit_address_is_noticed(text: str, place: int, character: str) -> None:
    lower = text.lower()
    place = 3 + (place - 3) % (len(lower) - 3)
    if lower[place] == character:
        return
    with pytest.raises(InvalidAddress):
        check_bitcoin(lower[:place] + character + lower[place + 1 :])


@pytest.mark.parametrize("text", ETHEREUM)
def test_an_ethereum_address_needs_its_capitals(text: str) -> None:
    assert check_ethereum(text) == text
    assert checksum_ethereum(text.lower()) == text
    for other in {"0x" + text[2:].lower(), "0x" + text[2:].upper()} - {text}:
        with pytest.raises(InvalidAddress):
            check_ethereum(other)


@given(st.text(max_size=60))
def test_any_text_is_accepted_or_refused_and_never_breaks_anything(text: str) -> None:
    for check in (check_iban, check_bic, check_bitcoin, check_ethereum):
        with suppress(InvalidAddress):
            assert check(text)
