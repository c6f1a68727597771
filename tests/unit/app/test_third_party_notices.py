"""THIRD_PARTY_NOTICES.md names everything that is shipped or installed."""

import json
import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]
NOTICES = (CHECKOUT / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")
FORBIDDEN = re.compile(r"\b(AGPL|BUSL|BSL|SSPL)\b")


def test_every_pinned_python_package_is_listed_with_its_licence() -> None:
    pins = (CHECKOUT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    wanted = {name.lower() for name in re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==", pins, re.MULTILINE)}
    listed = {name.lower() for name in re.findall(r"^\| ([a-z0-9_.-]+) \| \S", NOTICES, re.MULTILINE)}
    assert wanted - listed == set()


def test_every_package_of_the_bundle_is_listed() -> None:
    lock = json.loads((CHECKOUT / "web" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    bundled = ["react", "react-dom", "lightweight-charts"]
    for name in bundled:
        assert f"| {name} |" in NOTICES
        bundled += lock[f"node_modules/{name}"].get("dependencies", {})


def test_no_licence_is_among_those_that_agio_cannot_use() -> None:
    assert FORBIDDEN.search(NOTICES) is None
