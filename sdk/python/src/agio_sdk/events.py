"""Streams without a WebSocket: server-sent events, resumed by `Last-Event-ID`."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Self

import aiohttp
import msgspec

from agio_sdk.backoff import AuthenticationBreaker, Backoff
from agio_sdk.errors import AgioError, ApiError, ChannelRefused, StreamClosed
from agio_sdk.gaps import Gap, OnGap
from agio_sdk.message import Message
from agio_sdk.sequencer import Granted, Sequencer, Taken
from agio_sdk.states import tell
from agio_sdk.verdicts import LOST, Verdict, judge, untrusted
from agio_sdk.wire import DEFAULT_HEARTBEAT_MS, Confirmed, Frame, decoder

if TYPE_CHECKING:
    from agio_sdk.transport import Transport

LARGEST_EVENT = 16 * 1024 * 1024
LARGEST_LINE = 4 * 1024 * 1024
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10)
COME_BACK = frozenset({408, 425, 429, 500, 502, 503, 504})


class Event(msgspec.Struct):
    """One server-sent event (WHATWG HTML 9.2)."""

    data: str = ""
    id: str | None = None
    retry_ms: int | None = None


class EventReader:
    """Messages of up to 50 channels, read as you iterate: `async for message in agio.events(...)`.

    For places through which no WebSocket gets. Reconnects and resumes as `Stream` does: log channels come
    exactly once and in order, or `on_gap` is called. There is no queue: who reads slowly is cut off by the
    server and goes on from where it was.
    """

    def __init__(
        self,
        rest: "Transport",
        channels: Sequence[str],
        *,
        on_gap: OnGap | None = None,
        last_event_id: str | None = None,
    ) -> None:
        self._rest = rest
        self._channels = list(dict.fromkeys(channels))
        self._on_gap = on_gap
        self.last_event_id = last_event_id
        """The position on all log channels after the last event; another reader can go on from it."""
        self._sequencers = {channel: Sequencer(channel) for channel in self._channels}
        self._numbers: dict[int, Sequencer] = {}
        self._decode = decoder("json")
        self._pace = rest.pace
        self._backoff = Backoff(self._pace)
        self._breaker = AuthenticationBreaker(self._pace)
        self._patience_seconds = DEFAULT_HEARTBEAT_MS / 1000 + self._pace.margin
        self._least_pause_seconds = 0.0
        self._messages: AsyncGenerator[Message, None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> AsyncGenerator[Message, None]:
        if self._messages is None:
            self._messages = self._read()
        return self._messages

    async def aclose(self) -> None:
        """Close the connection; iteration ends."""
        if self._messages is not None:
            await self._messages.aclose()

    async def _read(self) -> AsyncGenerator[Message, None]:
        while True:
            verdict = judge(LOST)
            began = heard = self._pace.clock()
            try:
                async with asyncio.timeout(self._pace.connect):
                    response = await self._open()
                async with response:
                    async for event in self._events(response):
                        heard = self._pace.clock()
                        for frame in self._decode(event.data) if event.data else ():
                            if frame.op == "close":
                                verdict = judge(int(frame.code), frame.reason)
                            elif (message := self._take(frame)) is not None:
                                yield message
                        if event.id is not None:
                            self.last_event_id = event.id
            except _Refused as refused:
                verdict = refused.verdict
            except aiohttp.ClientConnectorCertificateError as error:
                self._breaker.failed()
                reason = untrusted(error.certificate_error)
                verdict = Verdict(LOST, reason, self._breaker.is_open, 0.0)
            except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError, ValueError):
                verdict = judge(LOST)
            if verdict.is_final:
                raise StreamClosed(verdict.code, verdict.reason)
            self._backoff.was_healthy(heard - began)
            least = max(self._least_pause_seconds, verdict.retry_after_seconds)
            await self._pace.sleep(self._backoff.next_delay(least))

    async def _open(self) -> aiohttp.ClientResponse:
        headers: Mapping[str, str] = {
            **await self._rest.authorization(),
            "Accept": "text/event-stream",
            **({} if self.last_event_id is None else {"Last-Event-ID": self.last_event_id}),
        }
        response = await self._rest.session().get(
            f"{self._rest.url}/stream/sse",
            params=[("ch", channel) for channel in self._channels],
            headers=headers,
            timeout=TIMEOUT,
            read_bufsize=LARGEST_LINE,
        )
        if response.status != 200:
            async with response:
                await self._refuse(response)
        self._breaker.succeeded()
        self._numbers = {}
        return response

    async def _refuse(self, response: aiohttp.ClientResponse) -> None:
        after = response.headers.get("Retry-After", "")
        status = response.status
        if status in {401, 403}:
            self._breaker.failed()
        verdict = Verdict(
            status,
            f"refused with HTTP {status}",
            self._breaker.is_open,
            float(after) if after.isdigit() else 0.0,
        )
        if status in COME_BACK or status in {401, 403}:
            raise _Refused(verdict)
        try:
            problem = msgspec.json.decode(await response.read(), type=dict[str, object])
        except msgspec.MsgspecError:
            problem = {"code": "unreadable_answer"}
        raise ApiError(status, problem)

    async def _events(self, response: aiohttp.ClientResponse) -> AsyncGenerator[Event, None]:
        """The events of a body; raises TimeoutError when nothing comes for too long."""
        event, size = Event(), 0
        while True:
            async with asyncio.timeout(self._patience_seconds):
                line = await response.content.readuntil(b"\n")
            if not line:
                return
            text = line.decode().rstrip("\r\n")
            size += len(line)
            if size > LARGEST_EVENT:
                raise ValueError("an event is too long")
            if text:
                _add_field(event, text)
                continue
            if event.retry_ms is not None:
                self._least_pause_seconds = min(event.retry_ms / 1000, self._pace.longest_delay)
            yield event
            event, size = Event(), 0

    def _take(self, frame: Frame) -> Message | None:
        """The message of a frame, if it is a new one."""
        if frame.op == "welcome":
            self._patience_seconds = frame.hb_ms / 1000 + self._pace.margin
        for refused in frame.errs or []:
            raise ChannelRefused(refused.ch, refused.code, refused.detail)
        for confirmed in frame.subs or []:
            self._granted(confirmed)
        sequencer = self._numbers.get(frame.n)
        if sequencer is None:
            return None
        if frame.op == "skipped":
            self._tell(Gap(channel=sequencer.channel, first=frame.first, last=frame.to, reason="skipped"))
        if not frame.is_push:
            return None
        match sequencer.take(frame.q, bytes(frame.d)):
            case Taken.SEEN:
                return None
            case Taken.HOLE:
                # Come back with the last position: the server replays from there.
                raise _Refused(judge(LOST, "a message is missing"))
        is_whole = frame.op == "snap"
        return Message(
            sequencer.channel,
            frame.q,
            frame.t,
            bytes(frame.d),
            is_whole,
            frame.p,
            frame.crc,
            epoch=sequencer.epoch,
        )

    def _granted(self, confirmed: Confirmed) -> None:
        sequencer = self._sequencers.get(confirmed.ch)
        if sequencer is None:
            return
        self._numbers[confirmed.n] = sequencer
        gap = sequencer.grant(
            Granted(
                epoch=confirmed.epoch,
                seq=confirmed.seq,
                is_recovered=confirmed.recovered,
                first=confirmed.seq - confirmed.replay + 1 if confirmed.replay else None,
                reason=confirmed.reason,
                rest=confirmed.rest,
            )
        )
        if gap is not None:
            self._tell(gap)

    def _tell(self, gap: Gap) -> None:
        if self._on_gap is not None:
            tell(self._on_gap, gap.channel, gap.first, gap.last, gap.is_recovered)


class _Refused(AgioError):
    """The connection ends with a verdict."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.reason)
        self.verdict = verdict


def _add_field(event: Event, line: str) -> None:
    """Read one line of an event; a line that begins with a colon is a comment."""
    name, _, value = line.partition(":")
    value = value.removeprefix(" ")
    if name == "data":
        event.data = f"{event.data}\n{value}" if event.data else value
    elif name == "id":
        event.id = value
    elif name == "retry" and value.isdigit():
        event.retry_ms = int(value)
