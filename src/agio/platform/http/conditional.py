"""Entity tags: `304 Not Modified` is the normal answer to a poll (RFC 9110 8.8.3, 13.1.2)."""

import hashlib
from typing import Any, TypeVar

from litestar import Request, Response
from litestar.openapi import ResponseSpec

T = TypeVar("T")

REVALIDATE = "private, no-cache"
"""A private cache may keep the answer, and must ask each time whether it still holds."""


def conditional_responses(content: Any) -> dict[int, ResponseSpec]:
    """For `responses=` of a handler that may answer 304: what the OpenAPI document says about it."""
    return {
        200: ResponseSpec(content, generate_examples=False, description="The present state"),
        304: ResponseSpec(None, generate_examples=False, description="What you have is still true"),
    }


def entity_tag(*parts: object) -> str:
    """A tag made of the versions an answer depends on: ledger sequence, price time, the path's ids."""
    text = "\x1f".join(map(str, parts))
    return f'"{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}"'


def not_modified(request: Request[Any, Any, Any], tag: str) -> Response[None] | None:
    """The 304 to send when the caller already has this version, else None: ask before computing."""
    wanted = request.headers.get("If-None-Match")
    if wanted is None or not _matches(wanted, tag):
        return None
    return Response(content=None, status_code=304, headers=_headers(tag))


def tagged(content: T, tag: str) -> Response[T]:
    """An answer that carries its tag."""
    return Response(content=content, headers=_headers(tag))


def _headers(tag: str) -> dict[str, str]:
    return {"ETag": tag, "Cache-Control": REVALIDATE}


def _matches(wanted: str, tag: str) -> bool:
    candidates = [candidate.strip().removeprefix("W/") for candidate in wanted.split(",")]
    return "*" in candidates or tag in candidates
