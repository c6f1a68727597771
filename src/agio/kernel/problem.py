"""Problems: expected refusals that reach the caller as RFC 9457 `application/problem+json`."""

from typing import ClassVar


class Problem(Exception):
    """A refusal with a status, a stable code and a sentence that says what to do next.

    Subclasses set the three class attributes; instances say what happened in this case (`detail`) and
    may add members (`extra`) such as `line` or `available`. `headers` go onto the HTTP answer.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    def __init__(
        self,
        detail: str = "",
        *,
        extra: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.extra = extra or {}
        self.headers = headers or {}


class NotFound(Problem):
    """The object does not exist, or belongs to somebody else: the two are not told apart."""

    status = 404
    code = "not_found"
    title = "Not found"


class InvalidRequest(Problem):
    """The request is well-formed but a value in it is not acceptable; `extra["field"]` names it."""

    status = 422
    code = "invalid_request"
    title = "Invalid request"


class Conflict(Problem):
    """The request contradicts the present state of the object."""

    status = 409
    code = "conflict"
    title = "Conflict"


class Unavailable(Problem):
    """A part that is needed does not answer; the request may be repeated with the same idempotency key."""

    status = 503
    code = "unavailable"
    title = "Temporarily unavailable"
