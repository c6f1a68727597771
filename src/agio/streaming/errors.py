"""Close codes and refusals of the streaming edge; the close code says whether the client may return."""

from enum import IntEnum
from http import HTTPStatus

from agio.kernel.problem import Problem


class CloseCode(IntEnum):
    """Why a connection ends. 4000-4499: reconnect; 4500-4999: do not, until something has been changed."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    OVERLOAD = 1013
    SLOW_CONSUMER = 4008
    UNANSWERED = 4010
    DISCONNECTED = 4011
    CREDENTIAL_EXPIRED = 4401
    AUTHENTICATION_TIMEOUT = 4408
    TOO_MANY_MESSAGES = 4429
    CHANNEL_RESET = 4440
    MALFORMED = 4500
    REFUSED_CREDENTIAL = 4501
    REVOKED = 4502
    FORBIDDEN = 4503
    UNKNOWN_CHANNEL = 4504


class InvalidOperation(Problem):
    """The message is not one of the operations, or a field of it does not fit."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid_operation"
    title = "Invalid operation"


class AlreadySubscribed(Problem):
    """This connection has the channel already; unsubscribe first to change tier or position."""

    status = HTTPStatus.CONFLICT
    code = "already_subscribed"
    title = "Already subscribed"


class NotSubscribed(Problem):
    """This connection does not have the channel."""

    status = HTTPStatus.NOT_FOUND
    code = "not_subscribed"
    title = "Not subscribed"


class TierNotAvailable(Problem):
    """The tier does not exist, or the channel is a log, of which nothing is ever left out."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "tier_not_available"
    title = "Tier not available"


class StartNotAvailable(Problem):
    """`start` needs a log channel, and a sequence or a time that its history knows."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "start_not_available"
    title = "Start not available"


class TooManySubscriptions(Problem):
    """The connection has as many subscriptions as it may; open another connection or unsubscribe."""

    status = HTTPStatus.FORBIDDEN
    code = "too_many_subscriptions"
    title = "Too many subscriptions"


class RateLimited(Problem):
    """Too many messages or subscriptions in a short time; wait for `retry_after_ms`."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"
    title = "Too fast"


class InvalidHandshake(Problem):
    """This is no WebSocket handshake of RFC 6455, or none of the offered subprotocols exists here."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_handshake"
    title = "Invalid handshake"


class UpgradeRequired(Problem):
    """This address speaks WebSocket: open it with `wss://`, or read `/stream/sse` over plain HTTP."""

    status = HTTPStatus.UPGRADE_REQUIRED
    code = "upgrade_required"
    title = "WebSocket only"


class Unauthenticated(Problem):
    """Nothing but `auth` and `ping` is answered before the connection is authenticated."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"
    title = "Not authenticated"


class OtherSubject(Problem):
    """A connection can only be renewed with a key of the organisation and environment it began with."""

    status = HTTPStatus.FORBIDDEN
    code = "other_subject"
    title = "Another subject"


class Overloaded(Problem):
    """The server, or this key, has as many connections as it may."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "overloaded"
    title = "Too many connections"


class Draining(Problem):
    """This node is about to stop; connect again and another one answers."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "draining"
    title = "Restarting"


class OriginNotAllowed(Problem):
    """A browser page of another origin may not open a stream here."""

    status = HTTPStatus.FORBIDDEN
    code = "origin_not_allowed"
    title = "Origin not allowed"


class ChannelUnavailable(Problem):
    """The channel cannot be served at the moment; subscribe again shortly."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "channel_unavailable"
    title = "Channel unavailable"


def may_retry(problem: Problem) -> bool:
    """Whether the same message can succeed later without being changed."""
    return (
        problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR or problem.status == HTTPStatus.TOO_MANY_REQUESTS
    )
