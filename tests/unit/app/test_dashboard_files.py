"""Serving the dashboard's files."""

from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from agio.app.dashboard_files import build_router
from agio.platform.http.problems import EXCEPTION_HANDLERS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>agio</title>", encoding="utf-8")
    (tmp_path / "assets" / "index-abc.js").write_text("export {}", encoding="utf-8")
    (tmp_path / "assets" / "notes.txt").write_text("not a file of a known type", encoding="utf-8")
    (tmp_path / "sources.sha256").write_text("0" * 64, encoding="ascii")
    return tmp_path


def client_of(folder: Path) -> TestClient[Litestar]:
    app = Litestar([build_router(folder)], exception_handlers=EXCEPTION_HANDLERS, openapi_config=None)
    return TestClient(app)


def test_the_page_is_asked_for_each_time_and_confined_to_its_own_origin(folder: Path) -> None:
    with client_of(folder) as client:
        answer = client.get("/")
    assert answer.text.endswith("<title>agio</title>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy


def test_assets_are_kept_for_ever(folder: Path) -> None:
    with client_of(folder) as client:
        answer = client.get("/assets/index-abc.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_assets_are_compressed_for_those_who_ask(folder: Path) -> None:
    with client_of(folder) as client:
        plain = client.get("/assets/index-abc.js", headers={"Accept-Encoding": "identity"})
        compressed = client.get("/assets/index-abc.js", headers={"Accept-Encoding": "gzip, br"})
    assert "content-encoding" not in plain.headers
    assert compressed.headers["content-encoding"] == "gzip"
    assert plain.content == compressed.content == b"export {}"


@pytest.mark.parametrize(
    "path",
    ["/assets/notes.txt", "/assets/..%2Findex.html", "/assets/%2e%2e/sources.sha256", "/assets/missing.js"],
)
def test_nothing_else_is_served(folder: Path, path: str) -> None:
    with client_of(folder) as client:
        assert client.get(path).status_code == 404


def test_without_a_build_the_page_says_how_to_get_one(tmp_path: Path) -> None:
    with client_of(tmp_path) as client:
        answer = client.get("/")
    assert answer.status_code == 200
    assert "hatch_build.py" in answer.text
