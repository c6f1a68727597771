"""What can go wrong, as exceptions that carry what the server said."""

from collections.abc import Mapping


class AgioError(Exception):
    """Anything this package raises on purpose."""


class ApiError(AgioError):
    """The server refused a request: an RFC 9457 problem.

    `code` is stable and meant for programs, `detail` is meant for people, `problem` is the whole answer.
    """

    def __init__(self, status: int, problem: Mapping[str, object]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", "unknown"))
        self.detail = str(problem.get("detail") or problem.get("title") or "")
        self.request_id = problem.get("request_id")
        super().__init__(f"{status} {self.code}: {self.detail}")


class OutcomeUnknown(AgioError):
    """The connection broke while a request was under way and repeating it did not settle the matter.

    Ask for the object by the idempotency key that you sent before you send anything else.
    """


class StreamClosed(AgioError):
    """The server closed the stream for good, or the circuit breaker gave up; `code` is the close code."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"{code}: {reason}")


class ChannelRefused(AgioError):
    """The server refused a subscription; other subscriptions go on."""

    def __init__(self, channel: str, code: str, detail: str = "") -> None:
        self.channel = channel
        self.code = code
        super().__init__(f"{channel}: {code} {detail}".rstrip())


class QueueFull(AgioError):
    """A reader was slower than its channel: its subscription with `when_full="fail"` has ended.

    What was waiting has been handed over. `position` is (epoch, sequence) of the last message of it: a new
    subscription from there misses nothing (`Agio.follow` does so by itself).
    """

    def __init__(self, channel: str, limit: int, position: tuple[str, int]) -> None:
        self.channel = channel
        self.position = position
        super().__init__(f"{channel}: {limit} messages are waiting and more came")


class MissingPackage(AgioError):
    """Something optional is asked for whose package is not installed."""

    def __init__(self, package: str) -> None:
        self.package = package
        super().__init__(f"this needs {package}: pip install {package}")
