"""Strict reading of request bodies: JSON only, bounded depth, no repeated or unknown members, no coercion."""

import re
from functools import lru_cache
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.exceptions import ClientException, InternalServerException
from litestar.typing import FieldDefinition
from typing_extensions import override

from agio.kernel.problem import InvalidRequest
from agio.platform.http.problems import (
    BodyTooLarge,
    InvalidHeader,
    MalformedBody,
    RequestRefused,
    UnsupportedMediaType,
    invalid_body,
)

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_JSON_DEPTH: Final = 32

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


class StrictRequest(Request[Any, Any, Any]):
    """A request whose body must be JSON of exactly the declared type.

    The framework converts loosely ("5" becomes 5); this decodes the body by the handler's annotation
    without any coercion before the framework sees it.
    """

    @override
    async def body(self) -> bytes:
        """The whole body, at most 1 MiB, declared as JSON; empty only where the handler allows it."""
        try:
            content = await super().body()
        except InternalServerException as error:
            raise RequestRefused("the connection ended before the body did") from error
        except ClientException as error:
            if error.status_code == BodyTooLarge.status:
                raise
            raise InvalidHeader(
                "Content-Length is not a number", extra={"header": "Content-Length"}
            ) from error
        field = self._data_field
        if field is not None:
            if content:
                require_json(self.headers.get("Content-Type", ""))
            elif not (field.is_optional or field.has_default):
                raise MalformedBody("a JSON body is required")
        return content

    @override
    async def json(self) -> Any:
        """The body decoded by the handler's annotation."""
        field = self._data_field
        return decode_strictly(await self.body(), object if field is None else field.annotation)

    @property
    def _data_field(self) -> FieldDefinition | None:
        return self.route_handler.parsed_data_field


def require_json(content_type: str) -> None:
    """Raise UnsupportedMediaType unless the header says `application/json` (or `+json`), in UTF-8."""
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip().lower()
    charset = parameters.strip().lower().replace('"', "")
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    if not is_json or charset not in ("", "charset=utf-8"):
        raise UnsupportedMediaType("send the body as Content-Type: application/json")


def decode_strictly(content: bytes, kind: Any) -> Any:
    """Decode JSON text as `kind`.

    Raises MalformedBody (not JSON, too deep, a member twice) or InvalidRequest naming the field.
    """
    bare = _STRING.sub(b"0", content)
    _check_depth(bare)
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"the body is not JSON: {_reason(error)}") from error
    if isinstance(value, dict | list) and _count_members(value) != bare.count(b":"):
        raise MalformedBody("an object in the body names the same member twice")
    if rb"\u0000" in content and _NUL.search(content):
        raise InvalidRequest("text in the body must not contain the character NUL")
    if kind is object:
        return value
    try:
        return _decoder(kind).decode(content)
    except msgspec.ValidationError as error:
        raise invalid_body(error) from error


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, msgspec.DecodeError) else "invalid text"


def _check_depth(bare: bytes) -> None:
    """Peel one level of brackets at a time; what is left after 32 levels is too deep (or never closed)."""
    brackets = bare.translate(None, _NOT_BRACKETS)
    if brackets.count(b"[") + brackets.count(b"{") <= MAX_JSON_DEPTH:
        return
    for _ in range(MAX_JSON_DEPTH):
        brackets = brackets.replace(b"[]", b"\0").replace(b"{}", b"\0").replace(b"\0", b"")
        if not brackets:
            return
    raise MalformedBody(f"the body is nested deeper than {MAX_JSON_DEPTH} levels, or brackets do not match")


def _count_members(value: object) -> int:
    if isinstance(value, dict):
        return len(value) + sum(
            _count_members(child) for child in value.values() if isinstance(child, dict | list)
        )
    if isinstance(value, list):
        return sum(_count_members(child) for child in value if isinstance(child, dict | list))
    return 0


@lru_cache(maxsize=512)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)
