"""Every snippet of the guides and every example runs as printed, from another folder."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.tenants import make_tenant

from benchmarks.harness import Platform

CHECKOUT = Path(__file__).parents[2]
GUIDES = [*sorted((CHECKOUT / "docs" / "guides").glob("*.md")), CHECKOUT / "sdk" / "python" / "README.md"]
EXAMPLES = sorted((CHECKOUT / "examples").glob("*.py"))
LONGEST_EXAMPLE = 60
NEED_A_NEW_SANDBOX = {"custody_story"}


def snippets(language: str) -> list[tuple[str, str]]:
    found = []
    for guide in GUIDES:
        block = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
        blocks = block.findall(guide.read_text(encoding="utf-8"))
        found += [(f"{guide.stem}-{number}", block) for number, block in enumerate(blocks, 1)]
    return found


def run(command: list[str], environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "code"), snippets("python"), ids=lambda value: value if len(value) < 40 else ""
)
def test_python_snippet(name: str, code: str, client_environment: dict[str, str], tmp_path: Path) -> None:
    assert run([sys.executable, "-c", code], client_environment, tmp_path)


@pytest.mark.parametrize(
    ("name", "code"), snippets("bash"), ids=lambda value: value if len(value) < 40 else ""
)
def test_bash_snippet(name: str, code: str, client_environment: dict[str, str], tmp_path: Path) -> None:
    assert run(["bash", "-euo", "pipefail", "-c", code], client_environment, tmp_path)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(
    example: Path, client_environment: dict[str, str], sim_platform: Platform, tmp_path: Path
) -> None:
    assert len(example.read_text(encoding="utf-8").splitlines()) < LONGEST_EXAMPLE
    environment = dict(client_environment)
    if example.stem in NEED_A_NEW_SANDBOX:
        environment["AGIO_API_KEY"] = make_tenant(sim_platform, example.stem).secret
    assert run([sys.executable, str(example)], environment, tmp_path)


def test_guides_name_only_files_that_exist() -> None:
    missing = []
    for page in [*GUIDES, CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", CHECKOUT / "ARCHITECTURE.md"]:
        targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8"))
        missing += [f"{page.name}: {target}" for target in targets if not (page.parent / target).exists()]
    assert missing == []
