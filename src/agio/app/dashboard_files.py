"""The dashboard's files at `/` and `/assets/`: read once, served from memory."""

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Request, Response, Router, get

from agio.kernel.problem import NotFound

FOLDER: Final = Path(__file__).parent / "dashboard"
LARGEST_FILE_BYTES: Final = 8 * 1024 * 1024

_CONTENT_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_POLICY: Final = (
    "default-src 'self'; connect-src 'self' wss:; object-src 'none'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_PAGE_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
}
_ASSET_HEADERS: Final = {
    # The name holds a hash of the content, so a changed file has another name.
    "Cache-Control": "public, max-age=31536000, immutable",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
}
_NOT_BUILT: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>agio</title></head><body>
<h1>agio is running</h1>
<p>This installation has no dashboard: it was built with <code>AGIO_SKIP_DASHBOARD=1</code>.</p>
<p>In a checkout, <code>python hatch_build.py</code> builds it; then restart the server.</p>
<p>The API works without it: see <a href="/docs">/docs</a>.</p>
</body></html>
"""


class AssetFile(msgspec.Struct, frozen=True):
    """A file of the dashboard, as it is and compressed, and how it is called on the wire."""

    content: bytes
    compressed: bytes
    content_type: str

    @classmethod
    def read(cls, path: Path) -> "AssetFile":
        content = path.read_bytes()
        return cls(content, gzip.compress(content, mtime=0), _CONTENT_TYPES[path.suffix])


def build_router(folder: Path = FOLDER) -> Router:
    """Routes of the dashboard; without a built one, `/` says how to get it."""
    page = read_page(folder)
    assets = read_assets(folder / "assets")

    @get("/", sync_to_thread=False)
    def show_dashboard() -> Response[bytes]:
        return Response(page, media_type=_CONTENT_TYPES[".html"], headers=_PAGE_HEADERS)

    @get("/assets/{name:str}", sync_to_thread=False)
    def show_asset(name: str, request: Request[Any, Any, Any]) -> Response[bytes]:
        asset = assets.get(name)
        if asset is None:
            raise NotFound("the dashboard has no such file")
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return Response(asset.content, media_type=asset.content_type, headers=_ASSET_HEADERS)
        headers = {**_ASSET_HEADERS, "Content-Encoding": "gzip"}
        return Response(asset.compressed, media_type=asset.content_type, headers=headers)

    return Router(
        "/", route_handlers=[show_dashboard, show_asset], opt={"public": True}, include_in_schema=False
    )


def read_page(folder: Path) -> bytes:
    """The page itself, or one that tells why there is none."""
    index = folder / "index.html"
    return index.read_bytes() if index.is_file() else _NOT_BUILT.encode()


def read_assets(folder: Path) -> Mapping[str, AssetFile]:
    """Files of known types by name: what is not in this table does not exist for the outside."""
    if not folder.is_dir():
        return {}
    return {
        path.name: AssetFile.read(path)
        for path in sorted(folder.iterdir())
        if path.suffix in _CONTENT_TYPES and path.stat().st_size <= LARGEST_FILE_BYTES
    }
