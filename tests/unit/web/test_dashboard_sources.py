"""The dashboard's own checks: types, and the tests of its stores and rules."""

import shutil
from pathlib import Path

import pytest
from tests.typescript import SDK, npm

pytestmark = pytest.mark.slow

WEB = SDK.parents[1] / "web"
BUILT = shutil.ignore_patterns("node_modules", "dist")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with their development packages, laid out as they are here."""
    root = tmp_path_factory.mktemp("dashboard")
    shutil.copytree(WEB, root / "web", ignore=BUILT)
    shutil.copytree(SDK, root / "sdk" / "typescript", ignore=BUILT)
    for folder in (root / "web", root / "sdk" / "typescript"):
        done = npm(folder, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--loglevel=error")
        if done.returncode != 0:
            pytest.skip(f"npm ci: {done.stdout}{done.stderr}"[:400])
    return root / "web"


@pytest.mark.parametrize("script", ["types", "test"])
def test_the_dashboard_checks_itself(checkout: Path, script: str) -> None:
    checked = npm(checkout, "run", "--silent", script)
    assert checked.returncode == 0, checked.stdout[-8000:] + checked.stderr
