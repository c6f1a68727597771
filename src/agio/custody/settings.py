"""How custody's signer is chosen."""

from pathlib import Path

from agio.custody.ports import Signer
from agio.custody.signing.software import SoftwareSigner
from agio.platform.config import InvalidSetting, Settings

KEY_FILE = Path("secrets") / "custody_signer.key"
"""Below the data folder."""


def open_signer(settings: Settings) -> Signer:
    """The signer that the settings name: a token by `AGIO_PKCS11_*`, or a key file; raises InvalidSetting."""
    if not settings.pkcs11_key:
        return SoftwareSigner(settings.data_dir / KEY_FILE)
    # The library is loaded only where there is a token.
    from agio.custody.signing.pkcs11 import Pkcs11Signer, Token  # noqa: PLC0415

    module, pin_file = settings.pkcs11_module, settings.pkcs11_pin_file
    if module is None or pin_file is None or not settings.pkcs11_token:
        raise InvalidSetting(
            "AGIO_PKCS11_KEY needs AGIO_PKCS11_MODULE, AGIO_PKCS11_TOKEN and AGIO_PKCS11_PIN_FILE beside it"
        )
    pin = pin_file.read_text(encoding="utf-8").strip()
    return Pkcs11Signer(Token(module, settings.pkcs11_token, settings.pkcs11_key, pin))
