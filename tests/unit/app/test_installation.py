"""Which servers, certificates and addresses a start uses."""

import socket
import stat
from pathlib import Path

import msgspec
import pytest

from agio.app.installation import Installation, PortTaken, absolute_market, choose_port, public_url
from agio.app.run_state import AlreadyRunning, RunFolder, RunState, own_identity
from agio.platform.config import InvalidSetting, Settings
from agio.platform.migrations import role_url

OWNER_URL = "postgresql://owner:secret@db.example:5432/agio"


class TestSettings:
    def test_one_external_url_is_the_owner_and_the_logins_derive_from_it(self, tmp_path: Path) -> None:
        wanted = Settings(data_dir=tmp_path, database_url=OWNER_URL, nats_url="nats://bus.example")
        installation = Installation(wanted)
        settings = installation.settings()
        assert installation.postgres is None
        assert installation.nats is None
        assert settings.owner_database_url == OWNER_URL
        assert settings.database_url == role_url(OWNER_URL, "agio_app")
        assert settings.engine_database_url == role_url(OWNER_URL, "agio_engine")

    def test_logins_of_ones_own_are_kept(self, tmp_path: Path) -> None:
        wanted = Settings(
            data_dir=tmp_path,
            database_url="postgresql://a@db/agio",
            engine_database_url="postgresql://e@db/agio",
            owner_database_url=OWNER_URL,
            nats_url="nats://bus.example",
        )
        settings = Installation(wanted).settings()
        assert (settings.database_url, settings.engine_database_url) == (
            wanted.database_url,
            wanted.engine_database_url,
        )

    def test_logins_without_an_owner_are_refused(self, tmp_path: Path) -> None:
        wanted = Settings(
            data_dir=tmp_path, database_url="postgresql://a@db/x", engine_database_url="postgresql://e@db/x"
        )
        with pytest.raises(InvalidSetting, match="AGIO_OWNER_DATABASE_URL"):
            Installation(wanted).settings()

    def test_half_a_certificate_is_refused(self, tmp_path: Path) -> None:
        wanted = Settings(data_dir=tmp_path, database_url=OWNER_URL, tls_key=tmp_path / "own.key")
        with pytest.raises(InvalidSetting, match="AGIO_TLS_CERTIFICATE"):
            Installation(wanted).settings()

    def test_tapes_of_the_data_folder_may_be_replayed(self, tmp_path: Path) -> None:
        wanted = Settings(
            data_dir=tmp_path, database_url=OWNER_URL, nats_url="x", replay_dirs=(Path("/tapes"),)
        )
        assert Installation(wanted).settings().replay_dirs == (tmp_path / "replays", Path("/tapes"))


class TestChoosePort:
    def test_zero_becomes_a_free_port(self, tmp_path: Path) -> None:
        assert choose_port(Settings(data_dir=tmp_path, port=0)).port > 0

    def test_a_port_in_use_is_named(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(PortTaken, match=str(port)):
                choose_port(Settings(data_dir=tmp_path, port=port))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "https://localhost:1"),
        ("0.0.0.0", "https://localhost:1"),  # noqa: S104
        ("10.0.0.7", "https://10.0.0.7:1"),
        ("fd00::1", "https://[fd00::1]:1"),
    ],
)
def test_public_url(host: str, url: str, tmp_path: Path) -> None:
    assert public_url(Settings(data_dir=tmp_path, host=host, port=1)) == url


def test_the_tape_of_a_market_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "es.csv").touch()
    monkeypatch.chdir(tmp_path)
    assert absolute_market("replay:es.csv") == f"replay:{tmp_path / 'es.csv'}"
    assert absolute_market("sim") == "sim"


class TestRunFolder:
    def state(self, folder: Path) -> RunState:
        own = own_identity()
        return RunState("ready", own.pid, own.started_at, "https://localhost:1", str(folder), None, "sim", [])

    def test_a_second_claim_is_refused_until_the_first_is_released(self, tmp_path: Path) -> None:
        first, second = RunFolder(tmp_path), RunFolder(tmp_path)
        first.acquire()
        with pytest.raises(AlreadyRunning):
            second.acquire()
        first.release()
        second.acquire()
        second.release()

    def test_state_of_a_dead_process_does_not_count_as_running(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        folder.acquire()
        folder.write(self.state(tmp_path))
        assert folder.running() == self.state(tmp_path)
        other = RunFolder(tmp_path)
        folder.release()
        (tmp_path / "run" / "state.json").write_bytes(msgspec.json.encode(self.state(tmp_path)))
        assert other.read() is not None
        assert other.running() is None

    def test_settings_survive_and_are_private(self, tmp_path: Path) -> None:
        folder = RunFolder(tmp_path)
        folder.acquire()
        settings = Settings(data_dir=tmp_path, database_url=OWNER_URL, replay_dirs=(tmp_path,))
        folder.write_settings(settings)
        assert folder.read_settings() == settings
        assert stat.S_IMODE((tmp_path / "run" / "settings.json").stat().st_mode) == 0o600
        folder.release()
        assert folder.read_settings() is None
