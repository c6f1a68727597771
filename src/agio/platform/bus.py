"""NATS: core subjects for what is perishable, JetStream for events.

The connection heals itself for ever; what was published meanwhile is lost on core subjects, which is why
nothing on them is the only copy.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import msgspec
import nats
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import RetentionPolicy, StorageType, StreamConfig

from agio.kernel.problem import Unavailable
from agio.platform.cancellation import cancellations, end_if_cancelled

log = structlog.get_logger(__name__)

RECONNECT_SECONDS = 1
STORE_SECONDS = 5
EVENT_STREAM = "EVENTS"
EVENT_SUBJECTS = "ev.>"
EVENT_MAX_AGE_SECONDS = 7 * 24 * 3600
EVENT_MAX_BYTES = 512 * 1024 * 1024

Handler = Callable[[str, bytes], Awaitable[None]]


class BusUnavailable(Unavailable):
    """NATS does not answer."""

    code = "bus_unavailable"
    title = "The bus does not answer"


class Bus:
    """One connection to NATS."""

    def __init__(self, url: str, *, name: str = "agio") -> None:
        self._url = url
        self._name = name
        self._client = Client()
        self._on_reconnect: list[Callable[[], Awaitable[None]]] = []

    @property
    def is_connected(self) -> bool:
        return self._client.is_connected

    async def open(self) -> None:
        """Connect; raises BusUnavailable when nothing answers within ten seconds."""
        parts = urlsplit(self._url)
        try:
            await self._client.connect(
                servers=[f"nats://{parts.hostname}:{parts.port or 4222}"],
                user=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
                name=self._name,
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_SECONDS,
                connect_timeout=5,
                ping_interval=10,
                max_outstanding_pings=2,
                allow_reconnect=True,
                error_cb=self._log_error,
                reconnected_cb=self._reconnected,
                disconnected_cb=self._disconnected,
            )
        except (TimeoutError, OSError, NatsError) as error:
            raise BusUnavailable(str(error)) from error

    async def close(self) -> None:
        if not self._client.is_closed:
            await self._client.close()

    def on_reconnect(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Have a callback run after each reconnection, when messages may have been missed."""
        self._on_reconnect.append(callback)

    async def publish(self, subject: str, payload: bytes = b"") -> None:
        """Send on a core subject; never raises for a bus that is away: the message is then simply lost."""
        earlier = cancellations()
        try:
            await self._client.publish(subject, payload)
        except NatsError as error:
            log.warning("bus_publish_failed", subject=subject, error=repr(error))
        end_if_cancelled(earlier)

    async def subscribe(
        self, subject: str, handler: Handler, *, pending_bytes: int = 64 * 1024 * 1024
    ) -> Subscription:
        """Call `handler(subject, payload)` for each message, one at a time and in order."""

        async def receive(message: Msg) -> None:
            try:
                await handler(message.subject, message.data)
            except Exception:
                log.exception("bus_handler_failed", subject=message.subject)

        return await self._client.subscribe(subject, cb=receive, pending_bytes_limit=pending_bytes)

    async def respond(
        self, subject: str, answer: Callable[[str, bytes], Awaitable[bytes | None]]
    ) -> Subscription:
        """Answer requests on a subject; None leaves the request to time out."""

        async def receive(message: Msg) -> None:
            try:
                reply = await answer(message.subject, message.data)
            except Exception:
                log.exception("bus_answer_failed", subject=message.subject)
                return
            if reply is not None:
                await message.respond(reply)

        return await self._client.subscribe(subject, cb=receive)

    async def request(self, subject: str, payload: bytes = b"", timeout_seconds: float = 1.0) -> bytes | None:
        """Ask on a subject; None when nobody answers in time."""
        earlier = cancellations()
        try:
            answer = (await self._client.request(subject, payload, timeout=timeout_seconds)).data
        except (NatsTimeout, NoRespondersError, NatsError):
            answer = None
        end_if_cancelled(earlier)
        return answer

    async def flush(self) -> None:
        """Wait until the server has taken everything sent so far."""
        await self._client.flush()

    async def ensure_event_stream(self) -> None:
        """Create the JetStream stream of events, or bring its limits up to date."""
        stream = StreamConfig(
            name=EVENT_STREAM,
            subjects=[EVENT_SUBJECTS],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            max_age=EVENT_MAX_AGE_SECONDS,
            max_bytes=EVENT_MAX_BYTES,
            duplicate_window=120,
        )
        jetstream = self._client.jetstream(timeout=5)
        try:
            await jetstream.add_stream(stream)
        except nats.js.errors.BadRequestError:
            await jetstream.update_stream(stream)

    async def publish_events(self, messages: Sequence[tuple[str, str, bytes]]) -> None:
        """Store (subject, event id, payload) messages in JetStream, in order.

        Raises NatsError if one of them is not stored.
        """
        if not messages:
            return
        earlier = cancellations()
        inbox = self._client.new_inbox()
        receipts = _Receipts(len(messages))
        subscription = await self._client.subscribe(inbox, cb=receipts.take)
        try:
            for subject, event_id, payload in messages:
                await self._client.publish(subject, payload, inbox, {"Nats-Msg-Id": event_id})
            async with asyncio.timeout(STORE_SECONDS):
                await receipts.complete
        except TimeoutError:
            raise NatsTimeout from None
        finally:
            with suppress(NatsError):
                await subscription.unsubscribe()
        end_if_cancelled(earlier)

    async def _reconnected(self) -> None:
        log.info("bus_reconnected")
        for callback in self._on_reconnect:
            await callback()

    async def _disconnected(self) -> None:
        log.warning("bus_disconnected")

    async def _log_error(self, error: Exception) -> None:
        log.warning("bus_error", error=repr(error))


class _Refusal(msgspec.Struct):
    code: int = 0
    description: str = ""


class _Receipt(msgspec.Struct):
    error: _Refusal | None = None


class _Receipts:
    """JetStream's answers to messages that were sent with one reply subject: complete when all are stored."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def take(self, message: Msg) -> None:
        if self.complete.done():
            return
        if not message.data:
            self.complete.set_exception(NoRespondersError())
            return
        refusal = msgspec.json.decode(message.data, type=_Receipt).error
        if refusal is not None:
            self.complete.set_exception(nats.js.errors.APIError(refusal.code, refusal.description))
            return
        self._wanted -= 1
        if self._wanted == 0:
            self.complete.set_result(None)
