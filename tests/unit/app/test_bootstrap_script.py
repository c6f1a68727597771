"""The script `./agio`, without installing anything."""

import ast
import fcntl
import importlib.util
import json
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "agio"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module whose checkout is an empty folder with a small set of pins."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("agio_script", str(SCRIPT))
    specification = importlib.util.spec_from_loader("agio_script", loader)
    assert specification is not None
    module = importlib.util.module_from_spec(specification)
    loader.exec_module(module)
    requirements = tmp_path / "requirements"
    requirements.mkdir()
    (requirements / "runtime.txt").write_text("one==1 \\\n    --hash=sha256:aa\n", "utf-8")
    (requirements / "dev.txt").write_text(
        "one==1 \\\n    --hash=sha256:aa\n"
        "uv==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
        "uvloop==3 \\\n    --hash=sha256:dd\n",
        "utf-8",
    )
    (requirements / "build.txt").write_text("", "utf-8")
    (tmp_path / "pyproject.toml").write_text("", "utf-8")
    venv = tmp_path / ".venv"
    paths = {
        "ROOT": tmp_path,
        "VENV": venv,
        "PYTHON": venv / "bin" / "python",
        "STAMP": venv / "agio-setup.json",
        "LOCK": tmp_path / ".agio" / "setup.lock",
        "REQUIREMENTS": requirements,
    }
    for name, path in paths.items():
        monkeypatch.setattr(module, name, str(path))
    return module


def pretend_to_install(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    profiles: list[str] = []

    def install(profile: str) -> None:
        profiles.append(profile)
        python = Path(script.PYTHON)
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    monkeypatch.setattr(script, "install", install)
    return profiles


def test_is_readable_by_pythons_that_are_too_old() -> None:
    ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 7))


def test_installs_once_until_something_that_matters_changes(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = pretend_to_install(script, monkeypatch)
    script.set_up("runtime")
    script.set_up("runtime")
    assert installed == ["runtime"]
    (Path(script.REQUIREMENTS) / "runtime.txt").write_text("one==2", "utf-8")
    assert not script.is_set_up("runtime")


def test_the_development_set_serves_everything_and_survives(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = pretend_to_install(script, monkeypatch)
    script.set_up("dev")
    script.set_up("runtime")
    assert installed == ["dev"]
    assert json.loads(Path(script.STAMP).read_text(encoding="ascii")).keys() == {"dev", "runtime"}


def test_a_changed_dashboard_source_is_built_again(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_to_install(script, monkeypatch)
    script.set_up("runtime")
    modules = Path(script.ROOT) / "web" / "node_modules"
    modules.mkdir(parents=True)
    (modules / "library.js").touch()
    assert script.is_set_up("runtime")
    (Path(script.ROOT) / "web" / "app.ts").touch()
    assert not script.is_set_up("runtime")


def test_a_vanished_interpreter_is_noticed(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_to_install(script, monkeypatch)
    script.set_up("runtime")
    Path(script.PYTHON).unlink()
    assert not script.is_set_up("runtime")


def test_waits_for_another_setup_and_says_so(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_to_install(script, monkeypatch)
    asked: list[int] = []

    def flock(_file: object, operation: int) -> None:
        asked.append(operation)
        if operation & fcntl.LOCK_NB:
            raise BlockingIOError

    monkeypatch.setattr(fcntl, "flock", flock)
    script.set_up("runtime")
    assert asked == [fcntl.LOCK_EX | fcntl.LOCK_NB, fcntl.LOCK_EX]
    assert "waiting for it" in capsys.readouterr().err


def test_finds_the_pins_of_exactly_one_package(script: ModuleType) -> None:
    assert script.pins_of("uv") == "uv==2 \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"


def test_an_old_python_without_a_newer_one_is_told_what_to_do(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(script.sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit, match=r"Python 3\.11 or later is needed"):
        script.main()


def test_failing_packages_name_the_network(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.call", lambda *_, **__: 1)
    with pytest.raises(script.SetupFailed, match="network"):
        script.run_pip(["install", "nothing"])
