import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agio.identity.model import KEY_PATTERN
from agio.platform.crypto import BASE62, hash_token, is_well_formed, mint_token


class TestMintToken:
    def test_a_token_is_well_formed_and_matches_the_published_pattern(self) -> None:
        token = mint_token("agio_sandbox")

        assert is_well_formed(token, "agio_sandbox")
        assert re.fullmatch(KEY_PATTERN, token)

    def test_tokens_differ(self) -> None:
        assert len({mint_token("agio_live") for _ in range(200)}) == 200


class TestIsWellFormed:
    @pytest.mark.parametrize(
        "change",
        [
            lambda token: token[:-1],
            lambda token: token + "0",
            lambda token: token.replace("agio_sandbox", "agio_live"),
            lambda token: " " + token,
            lambda token: token[:-7] + "-" + token[-6:],
            lambda token: token.upper(),
            lambda token: token.removeprefix("agio_sandbox_"),
            lambda _: "",
            lambda token: "é" * len(token),
        ],
    )
    def test_a_damaged_token_is_refused(self, change) -> None:
        assert not is_well_formed(change(mint_token("agio_sandbox")), "agio_sandbox")

    @given(position=st.integers(0, 48), digit=st.sampled_from(BASE62))
    def test_any_single_mistyped_character_is_noticed(self, position: int, digit: str) -> None:
        token = mint_token("agio_sandbox")
        index = len("agio_sandbox_") + position
        mistyped = token[:index] + digit + token[index + 1 :]

        assert is_well_formed(mistyped, "agio_sandbox") == (mistyped == token)


class TestHashToken:
    def test_the_hash_is_sha_256_and_hides_the_token(self) -> None:
        assert hash_token("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
