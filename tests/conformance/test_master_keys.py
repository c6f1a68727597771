"""Every kind of master key keeps the same promises: in memory, in a file, in a token behind PKCS#11."""

import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conformance import master_key_promises
from tests.conformance.test_signers import MODULES

from agio.platform.config import Settings
from agio.platform.master_keys import KeyFile, KeyRing, open_master_keys


def test_keys_in_memory() -> None:
    old, new = secrets.token_bytes(32), secrets.token_bytes(32)

    master_key_promises.check_promises(KeyRing([old]), KeyRing([new, old]), KeyRing([new]))


def test_keys_in_a_file(tmp_path: Path) -> None:
    files = [tmp_path / name / "secrets" / "master.key" for name in ("before", "after", "without")]
    before = open_master_keys(Settings(data_dir=tmp_path / "before"))
    for file in files[1:]:
        file.parent.mkdir(parents=True)
        shutil.copy(files[0], file)
    after = KeyFile(files[1])
    after.add_key()
    shutil.copy(files[1], files[2])
    without = KeyFile(files[2])
    without.forget_all_but(set())

    master_key_promises.check_promises(before, after, without)


def test_keys_in_a_token(tmp_path: Path) -> None:
    module = next((path for path in MODULES if Path(path).exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("no SoftHSM here: apt-get install -y softhsm2")

    finished = subprocess.run(
        [sys.executable, "-m", "tests.conformance.master_key_promises", module, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
