"""Master keys: where they are kept, and what they refuse."""

import base64
import os
import secrets
import threading
from pathlib import Path

import pytest

from agio.platform.config import InvalidSetting, Settings
from agio.platform.master_keys import (
    DamagedKey,
    KeyFile,
    KeyRing,
    UnknownMasterKey,
    Wrapped,
    open_master_keys,
)

OLD, NEW, DATA = secrets.token_bytes(32), secrets.token_bytes(32), secrets.token_bytes(32)


class TestKeyRing:
    def test_what_is_wrapped_opens_with_the_same_binding_only(self) -> None:
        ring = KeyRing([NEW])
        wrapped = ring.wrap(DATA, b"org_a")

        assert ring.unwrap(wrapped, b"org_a") == DATA
        assert DATA not in wrapped.content
        with pytest.raises(DamagedKey):
            ring.unwrap(wrapped, b"org_b")

    def test_every_damaged_bit_is_noticed(self) -> None:
        ring = KeyRing([NEW])
        wrapped = ring.wrap(DATA, b"org_a")
        for place in range(len(wrapped.content)):
            damaged = bytearray(wrapped.content)
            damaged[place] ^= 1
            with pytest.raises(DamagedKey):
                ring.unwrap(Wrapped(wrapped.master_id, bytes(damaged)), b"org_a")
        with pytest.raises(DamagedKey):
            ring.unwrap(Wrapped(wrapped.master_id, b""), b"org_a")

    def test_an_older_key_still_opens_and_a_missing_one_is_named(self) -> None:
        wrapped = KeyRing([OLD]).wrap(DATA, b"")

        assert KeyRing([NEW, OLD]).unwrap(wrapped, b"") == DATA
        with pytest.raises(UnknownMasterKey, match=wrapped.master_id):
            KeyRing([NEW]).unwrap(wrapped, b"")


class TestKeyFile:
    def test_the_first_start_makes_it_for_its_owner_only(self, tmp_path: Path) -> None:
        first = open_master_keys(Settings(data_dir=tmp_path))
        again = open_master_keys(Settings(data_dir=tmp_path))

        file = tmp_path / "secrets" / "master.key"
        assert first.current_id() == again.current_id()
        assert file.stat().st_mode & 0o777 == 0o600
        assert [entry.name for entry in file.parent.iterdir()] == ["master.key"]

    def test_processes_that_start_together_agree(self, tmp_path: Path) -> None:
        found: list[str] = []

        def start() -> None:
            found.append(open_master_keys(Settings(data_dir=tmp_path)).current_id())

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(found) == 8
        assert len(set(found)) == 1

    def test_a_process_that_runs_sees_the_new_key_and_still_reads_the_old(self, tmp_path: Path) -> None:
        running = open_master_keys(Settings(data_dir=tmp_path))
        before = running.wrap(DATA, b"")
        operator = open_master_keys(Settings(data_dir=tmp_path))
        assert isinstance(operator, KeyFile)

        new = operator.add_key()

        after = running.wrap(DATA, b"")
        assert (before.master_id != new, after.master_id) == (True, new)
        assert running.unwrap(before, b"") == running.unwrap(after, b"") == DATA

    def test_forgetting_keeps_what_is_current_or_needed(self, tmp_path: Path) -> None:
        keys = open_master_keys(Settings(data_dir=tmp_path))
        assert isinstance(keys, KeyFile)
        first = keys.current_id()
        second, third = keys.add_key(), keys.add_key()

        assert keys.forget_all_but({first}) == [second]
        assert keys.ids() == [third, first]

    def test_a_file_that_others_can_read_is_refused(self, tmp_path: Path) -> None:
        open_master_keys(Settings(data_dir=tmp_path))
        os.chmod(tmp_path / "secrets" / "master.key", 0o640)  # noqa: PTH101

        with pytest.raises(InvalidSetting, match="chmod 600"):
            open_master_keys(Settings(data_dir=tmp_path))

    @pytest.mark.parametrize("text", ["", "# nothing\n", "short\n", base64.b64encode(b"x" * 31).decode()])
    def test_a_file_without_a_key_is_refused_without_telling_its_content(
        self, tmp_path: Path, text: str
    ) -> None:
        file = tmp_path / "key"
        file.write_text(text)
        file.chmod(0o600)

        with pytest.raises(InvalidSetting) as refused:
            open_master_keys(Settings(data_dir=tmp_path, master_key_file=file))

        assert text.strip() == "" or text.strip() not in str(refused.value) or text.startswith("#")

    def test_a_named_file_is_never_made(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidSetting, match="no such file"):
            open_master_keys(Settings(data_dir=tmp_path, master_key_file=tmp_path / "nothing"))


class TestEnvironment:
    def test_the_first_key_of_the_variable_is_current(self, tmp_path: Path) -> None:
        text = ",".join(base64.b64encode(key).decode() for key in (NEW, OLD))
        settings = Settings.from_environment({"AGIO_MASTER_KEYS": text, "AGIO_DATA_DIR": str(tmp_path)})

        keys = open_master_keys(settings)

        assert keys.current_id() == KeyRing([NEW]).current_id()
        assert keys.unwrap(KeyRing([OLD]).wrap(DATA, b""), b"") == DATA
        assert not (tmp_path / "secrets").exists()

    def test_a_bad_key_is_refused_without_telling_it(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidSetting) as refused:
            open_master_keys(Settings(data_dir=tmp_path, master_keys="not-a-key"))

        assert "not-a-key" not in str(refused.value)
