"""Turns everything that can go wrong into RFC 9457 `application/problem+json`."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import psycopg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from agio.kernel.problem import InvalidRequest, NotFound, Problem, Unavailable

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"

log = structlog.get_logger(__name__)


class MalformedBody(Problem):
    """The body is missing, is not JSON, repeats a member of an object, or is nested too deeply."""

    status = 400
    code = "malformed_body"
    title = "Malformed body"


class InvalidHeader(Problem):
    """A request header is missing or has a value that cannot be used; `header` names it."""

    status = 400
    code = "invalid_header"
    title = "Invalid header"


class MethodNotAllowed(Problem):
    """The path exists, the method does not; the `Allow` header lists those that do."""

    status = 405
    code = "method_not_allowed"
    title = "Method not allowed"


class BodyTooLarge(Problem):
    """The body is longer than 1 MiB."""

    status = 413
    code = "body_too_large"
    title = "Body too large"


class UnsupportedMediaType(Problem):
    """The body is not declared as JSON. Send `Content-Type: application/json`."""

    status = 415
    code = "unsupported_media_type"
    title = "Unsupported media type"


class TooManyRequests(Problem):
    """Too many requests; wait as long as `Retry-After` says."""

    status = 429
    code = "too_many_requests"
    title = "Too many requests"


class InternalError(Problem):
    """A fault on our side; the request id leads to it in the log. A write may have happened: retry by id."""

    status = 500
    code = "internal_error"
    title = "Internal error"


class RequestRefused(Problem):
    """The request was refused before it reached an endpoint."""

    status = 400
    code = "request_refused"
    title = "Request refused"


_RESERVED: Final = frozenset({"type", "title", "status", "detail", "instance", "code", "request_id"})
_BY_STATUS: Final[Mapping[int, type[Problem]]] = {
    404: NotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
    415: UnsupportedMediaType,
    429: TooManyRequests,
    503: Unavailable,
}
_DETAILS: Final[Mapping[type[Problem], str]] = {
    NotFound: "there is nothing at this path; /openapi.json lists what there is",
    MethodNotAllowed: "use one of the methods that the Allow header lists",
    BodyTooLarge: "a body may have at most 1 MiB",
}
_FIELD = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`")
_MEMBER = re.compile(r"(?:unknown field|required field) `([^`]*)`")


def problem_members(problem: Problem, instance: str, request_id: str) -> dict[str, object]:
    """The members of a problem document; what a problem adds never replaces a standard member."""
    members: dict[str, object] = {
        "type": f"/problems/{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
        "code": problem.code,
        "request_id": request_id,
    }
    members.update((name, value) for name, value in problem.extra.items() if name not in _RESERVED)
    return members


def invalid_body(error: msgspec.ValidationError) -> InvalidRequest:
    """A decoder's complaint as a problem that names the field (`legs[2].amount`)."""
    text = str(error)
    found = _FIELD.search(text)
    message = _FIELD.sub("", text)
    member = _MEMBER.search(message)
    field = ".".join(part for part in (found[1] if found else "", member[1] if member else "") if part)
    detail = f"{field}: {message}" if field else message
    return InvalidRequest(detail, extra={"field": field, "errors": [{"field": field, "message": message}]})


def as_problem(error: Exception) -> Problem:
    """The problem that an exception stands for; InternalError for what nobody foresaw."""
    match error:
        case Problem():
            return error
        case ValidationException():
            return _invalid_parameters(error)
        case HTTPException():
            return _from_framework(error)
        case psycopg.DataError():
            log.warning("value_refused_by_database", error=str(error))
            return InvalidRequest("a value in the request is outside of what can be stored")
        case psycopg.OperationalError():
            return Unavailable(
                "the database connection was lost; the outcome of a write is unknown, retry by id",
                headers={"Retry-After": "2"},
            )
    return InternalError("something failed on our side; report the request_id if it persists")


def _invalid_parameters(error: ValidationException) -> Problem:
    faults = [fault for fault in (error.extra or []) if isinstance(fault, dict)]
    errors = [
        {"field": str(fault.get("key", "")), "message": str(fault.get("message", ""))} for fault in faults
    ]
    if not errors:
        return InvalidRequest(error.detail)
    first = errors[0]
    detail = f"{first['field']}: {first['message']}"
    return InvalidRequest(detail, extra={"field": first["field"], "errors": errors})


def _from_framework(error: HTTPException) -> Problem:
    headers = {_canonical(name): value for name, value in (error.headers or {}).items()}
    kind = _BY_STATUS.get(error.status_code)
    if kind is not None:
        return kind(_DETAILS.get(kind, ""), headers=headers)
    if 400 <= error.status_code < 500:
        return RequestRefused(HTTPStatus(error.status_code).phrase, headers=headers)
    return InternalError("something failed on our side; report the request_id if it persists")


def _canonical(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def render_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer a failed request; our own faults are logged by request id, not described."""
    problem = as_problem(error)
    request_id = str(request.scope.get("state", {}).get("request_id", ""))
    if problem.status >= 500:
        log.error(
            "request_failed",
            request_id=request_id,
            method=request.scope["method"],
            path=request.scope["path"],
            code=problem.code,
            exc_info=error if isinstance(problem, InternalError) else None,
        )
    headers = dict(problem.headers)
    if problem.status == 401:
        headers.setdefault("WWW-Authenticate", _challenge(problem))
    return Response(
        content=msgspec.json.encode(problem_members(problem, request.scope["path"], request_id)),
        status_code=problem.status,
        media_type=PROBLEM_MEDIA_TYPE,
        headers=headers,
    )


def _challenge(problem: Problem) -> str:
    """RFC 6750 3: no error code when the request carried no credential at all."""
    if problem.extra.get("is_anonymous"):
        return 'Bearer realm="agio"'
    return f'Bearer realm="agio", error="invalid_token", error_description="{problem.title}"'


EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {Exception: render_problem}


def find_problems() -> dict[str, type[Problem]]:
    """Every problem that the loaded rooms can answer with, by code."""
    return {kind.code: kind for kind in sorted(_walk(Problem), key=lambda kind: kind.code)}


def _walk(parent: type[Problem]) -> Iterator[type[Problem]]:
    for kind in parent.__subclasses__():
        if kind.__module__.startswith("agio."):
            if "code" in vars(kind):
                yield kind
            yield from _walk(kind)
