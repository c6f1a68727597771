"""What all master keys promise. Run as a program it makes a SoftHSM token and asks the token's keys.

That is a process of its own because the library reads where its tokens are once, when it is loaded.
"""

import os
import subprocess
import sys
from pathlib import Path

from agio.platform.config import Settings
from agio.platform.master_keys import (
    DamagedKey,
    MasterKeys,
    UnknownMasterKey,
    Wrapped,
    open_master_keys,
)

PIN, TOKEN = "24681357", "agio-master"
DATA = bytes(range(32))


def check_promises(before: MasterKeys, after: MasterKeys, without_old: MasterKeys) -> None:
    """`before` the change of the master key, `after` it, and where the old one is not known."""
    wrapped = before.wrap(DATA, b"org_a")
    assert wrapped.master_id == before.current_id()
    assert DATA not in wrapped.content
    assert before.wrap(DATA, b"org_a").content != wrapped.content
    assert before.unwrap(wrapped, b"org_a") == DATA
    for bad in (b"", wrapped.content[:-1], bytes([wrapped.content[0] ^ 1]) + wrapped.content[1:]):
        _refuses(before, Wrapped(wrapped.master_id, bad), b"org_a", DamagedKey)
    _refuses(before, wrapped, b"org_b", DamagedKey)
    assert after.current_id() != before.current_id()
    assert after.unwrap(wrapped, b"org_a") == DATA
    anew = after.wrap(DATA, b"org_a")
    assert anew.master_id == after.current_id()
    assert without_old.unwrap(anew, b"org_a") == DATA
    _refuses(without_old, wrapped, b"org_a", UnknownMasterKey)


def _refuses(keys: MasterKeys, wrapped: Wrapped, binding: bytes, kind: type[Exception]) -> None:
    try:
        keys.unwrap(wrapped, binding)
    except kind:
        return
    raise AssertionError(f"{wrapped} was opened, or refused otherwise than by {kind.__name__}")


def _main(module: Path, folder: Path) -> None:
    import pkcs11  # noqa: PLC0415

    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--pin", PIN, "--so-pin", "1234567890"],
        check=True,
        capture_output=True,
    )
    with pkcs11.lib(str(module)).get_token(token_label=TOKEN).open(rw=True, user_pin=PIN) as session:
        for label in ("old", "new"):
            session.generate_key(pkcs11.KeyType.AES, 256, store=True, label=label)
    (folder / "pin").write_text(f"{PIN}\n")

    def keys(labels: str) -> MasterKeys:
        return open_master_keys(
            Settings(
                data_dir=folder,
                pkcs11_module=module,
                pkcs11_token=TOKEN,
                pkcs11_pin_file=folder / "pin",
                pkcs11_master_keys=labels,
            )
        )

    old, both, new = keys("old"), keys("new,old"), keys("new")
    check_promises(old, both, new)
    # Whoever logged in first logs everybody out: the others log in again.
    old.close()  # type: ignore[attr-defined]
    check_promises(keys("old"), both, new)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
