"""Every signer keeps the same promises: the key file's, and a token's behind PKCS#11 (here SoftHSM 2)."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pkcs11
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pkcs11.util.ec import encode_named_curve_parameters

from agio.custody.errors import SignerUnavailable
from agio.custody.ports import Signer
from agio.custody.settings import open_signer
from agio.custody.signing.pkcs11 import Pkcs11Signer, Token
from agio.custody.signing.software import SoftwareSigner
from agio.platform.config import InvalidSetting, Settings

MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)
PIN, TOKEN, KEY = "24681357", "agio", "house"
ED25519 = "1.3.101.112"


@pytest.fixture(scope="session")
def token_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A SoftHSM token with an Ed25519 key pair that was made inside of it."""
    module = next((Path(path) for path in MODULES if Path(path).exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("no SoftHSM here: apt-get install -y softhsm2")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    # The library reads this once, when it is first loaded into the process.
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--pin", PIN, "--so-pin", "1234567890"],
        check=True,
        capture_output=True,
    )
    _make_key(module)
    pin_file = folder / "pin"
    pin_file.write_text(f"{PIN}\n")
    return Settings(
        data_dir=folder,
        pkcs11_module=module,
        pkcs11_token=TOKEN,
        pkcs11_key=KEY,
        pkcs11_pin_file=pin_file,
    )


def _make_key(module: Path) -> None:
    token = pkcs11.lib(str(module)).get_token(token_label=TOKEN)
    with token.open(rw=True, user_pin=PIN) as session:
        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(ED25519)}
        parameters = session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True)
        parameters.generate_keypair(mechanism=pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN, store=True, label=KEY)


@pytest.fixture(params=["software", "pkcs11"])
async def signer(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Signer]:
    if request.param == "software":
        yield open_signer(Settings(data_dir=tmp_path))
        return
    token = open_signer(request.getfixturevalue("token_settings"))
    assert isinstance(token, Pkcs11Signer)
    yield token
    await token.close()


class TestEverySigner:
    async def test_a_signature_verifies_under_its_public_key_and_no_other_message(
        self, signer: Signer
    ) -> None:
        public_key = await signer.public_key()
        signature = await signer.sign(b"digest")

        assert (signer.algorithm, len(public_key), len(signature)) == ("ed25519", 32, 64)
        verifier = Ed25519PublicKey.from_public_bytes(public_key)
        verifier.verify(signature, b"digest")
        with pytest.raises(InvalidSignature):
            verifier.verify(signature, b"another")

    async def test_it_signs_the_same_way_again(self, signer: Signer) -> None:
        """Ed25519 is deterministic (RFC 8032): no randomness that could fail."""
        assert await signer.sign(b"digest") == await signer.sign(b"digest")
        assert await signer.public_key() == await signer.public_key()


class TestKeyFile:
    async def test_it_is_private_and_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "secrets" / "signer.key"
        first = await SoftwareSigner(path).public_key()

        assert path.stat().st_mode & 0o777 == 0o600
        assert await SoftwareSigner(path).public_key() == first
        assert [one.name for one in path.parent.iterdir()] == ["signer.key"]

    async def test_a_file_that_others_can_read_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "signer.key"
        await SoftwareSigner(path).public_key()
        path.chmod(0o640)

        with pytest.raises(SignerUnavailable, match="chmod 600"):
            await SoftwareSigner(path).sign(b"digest")

    async def test_a_damaged_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "signer.key"
        path.write_bytes(b"short")
        path.chmod(0o600)

        with pytest.raises(SignerUnavailable):
            await SoftwareSigner(path).sign(b"digest")


class TestToken:
    async def test_a_wrong_pin_or_key_is_unavailable_and_names_no_secret(
        self, token_settings: Settings, tmp_path: Path
    ) -> None:
        module = token_settings.pkcs11_module
        assert module is not None
        for token in (
            Token(module, TOKEN, "no such key", PIN),
            Token(module, TOKEN, KEY, "00000000"),
            Token(module, "no such token", KEY, PIN),
            Token(tmp_path / "no-library.so", TOKEN, KEY, PIN),
        ):
            signer = Pkcs11Signer(token)
            with pytest.raises(SignerUnavailable) as refusal:
                await signer.sign(b"digest")
            assert token.pin not in str(refusal.value)
            await signer.close()

    def test_settings_must_be_complete(self, tmp_path: Path) -> None:
        module = tmp_path / "library.so"
        with pytest.raises(InvalidSetting, match="AGIO_PKCS11_TOKEN"):
            open_signer(Settings(data_dir=tmp_path, pkcs11_module=module, pkcs11_key=KEY))
        # A token that holds the master keys only leaves the signing key where it is.
        assert isinstance(open_signer(Settings(data_dir=tmp_path, pkcs11_module=module)), SoftwareSigner)
