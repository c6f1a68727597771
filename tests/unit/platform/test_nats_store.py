"""A message store that failed while the disk was full stays broken until NATS is started anew."""

from pathlib import Path

import pytest

from agio.platform.embedded.nats import EmbeddedNats


class TestNeedOfRestart:
    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        log = tmp_path / "logs" / "nats.log"
        log.parent.mkdir()
        log.write_text("[INF] Server is ready\n")
        return log

    def test_a_sound_server_needs_none(self, tmp_path: Path, log: Path) -> None:
        assert not EmbeddedNats(tmp_path).is_in_need_of_restart()

    def test_a_failed_store_needs_one_and_goes_on_needing_it(self, tmp_path: Path, log: Path) -> None:
        server = EmbeddedNats(tmp_path)
        assert not server.is_in_need_of_restart()
        with log.open("a") as file:
            file.write("[ERR] JetStream failed to store a msg on stream: no space left on device\n")

        assert server.is_in_need_of_restart()
        assert server.is_in_need_of_restart()

    def test_not_while_the_disk_is_full(
        self, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log.write_text("[ERR] JetStream failed to store a msg on stream: no space left on device\n")
        monkeypatch.setattr("agio.platform.embedded.nats._SPACE_NEEDED_BYTES", 2**70)

        assert not EmbeddedNats(tmp_path).is_in_need_of_restart()

    def test_a_log_that_was_cut_short_is_read_from_its_start(self, tmp_path: Path, log: Path) -> None:
        server = EmbeddedNats(tmp_path)
        assert not server.is_in_need_of_restart()
        log.write_text("[ERR] JetStream failed to store a msg\n"[:20])
        assert not server.is_in_need_of_restart()
        with log.open("a") as file:
            file.write("\n[ERR] JetStream failed to store a msg\n")

        assert server.is_in_need_of_restart()

    def test_a_disk_that_was_full_may_have_had_no_room_for_the_log_either(
        self, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = EmbeddedNats(tmp_path)
        monkeypatch.setattr("agio.platform.embedded.nats._FULL_BYTES", 2**70)
        server.is_in_need_of_restart()
        monkeypatch.undo()

        assert server.is_in_need_of_restart()
