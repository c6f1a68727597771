"""What the end of a connection asks of its client."""

import msgspec

LOST = 1006
"""No close frame at all."""
FOR_GOOD = range(4500, 5000)
MEANINGS = {
    1000: "the server closed the connection",
    1001: "the server is going away",
    1002: "a broken frame",
    1003: "a message of the wrong kind",
    LOST: "the connection was lost",
    1007: "text that is not UTF-8",
    1009: "a message that is too long",
    1011: "a fault of the server",
    1012: "the server restarts",
    1013: "the server is overloaded",
    4008: "this client was too slow",
    4010: "this client answered no pings",
    4011: "disconnected by an operator",
    4401: "the credential expired",
    4408: "not authenticated in time",
    4429: "too many messages",
    4440: "the channel began anew",
    4500: "malformed messages",
    4501: "the credential is refused",
    4502: "the key was revoked",
    4503: "the key lacks the scope",
    4504: "unknown channel",
}


class Verdict(msgspec.Struct, frozen=True):
    """How a connection ended: whether to come back, and not before when."""

    code: int
    reason: str
    is_final: bool = False
    retry_after_seconds: float = 0.0


def judge(code: int, reason: str = "") -> Verdict:
    """Read a close frame. 4500-4999 are for good; a reason may name the least pause, as 1013 does."""
    return Verdict(
        code,
        MEANINGS.get(code, "") if not reason or reason.startswith("{") else reason,
        code in FOR_GOOD,
        _retry_after_seconds(reason),
    )


def untrusted(fault: object) -> str:
    """The reason where a certificate could not be verified."""
    return f"the server's certificate is not trusted ({fault})"


class _Pause(msgspec.Struct):
    retry_after_ms: float = 0.0


def _retry_after_seconds(reason: str) -> float:
    try:
        return max(0.0, msgspec.json.decode(reason, type=_Pause).retry_after_ms / 1000)
    except msgspec.MsgspecError:
        return 0.0
