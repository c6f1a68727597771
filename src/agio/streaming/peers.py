"""The other gateways of the platform, over the bus: who is connected there, and how to disconnect one."""

import asyncio
import secrets
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Literal

import msgspec
import structlog

from agio.identity.api import Principal
from agio.kernel.page import Page
from agio.kernel.problem import NotFound, Unavailable
from agio.platform.db import Scope
from agio.streaming.ports import BusSubscription, Feed
from agio.streaming.presence import Connection, describe, disconnect, merge, read_page
from agio.streaming.session import Session

log = structlog.get_logger(__name__)

ANSWER_SECONDS = 0.5
"""How long a gateway waits for the others: one that does not answer is left out."""
_BEAT_SECONDS = 2.0
_FORGET_SECONDS = 7.0
_ANSWER_BYTES = 128 * 1024
"""About what one message on the bus holds of an answer."""
_ITEM_BYTES = 512
_CHANNEL_BYTES = 200
_BEATS = "stream.peers.beat"
_QUESTIONS = "stream.peers.ask"
_ANSWERS = "stream.peers.answer"


class _Beat(msgspec.Struct, frozen=True):
    node: str
    event: Literal["begins", "runs", "ends"]


class _Question(msgspec.Struct, frozen=True):
    number: int
    node: str
    """Who asks."""
    scope: Scope
    after: str = ""
    limit: int = 0
    disconnect: str = ""
    """The connection to end; empty to list them."""


class _Answer(msgspec.Struct, frozen=True):
    number: int
    node: str
    connections: list[Connection]
    is_last: bool = True
    is_ended: bool = False
    """The connection was here and is ended."""


_encode = msgspec.msgpack.Encoder().encode
_decode_beat = msgspec.msgpack.Decoder(_Beat).decode
_decode_question = msgspec.msgpack.Decoder(_Question).decode
_decode_answer = msgspec.msgpack.Decoder(_Answer).decode


class _Inquiry:
    """A question and what has been answered so far."""

    def __init__(self, waiting_for: set[str]) -> None:
        self.connections: list[Connection] = []
        self.waiting_for = waiting_for
        self.is_ended = False
        self.is_over = asyncio.Event()


class Peers:
    """One per gateway. Asks with a short bound; the bus carries nothing that is not asked for."""

    def __init__(self, bus: Feed, sessions: Collection[Session]) -> None:
        self._node = secrets.token_hex(8)
        self._bus = bus
        self._sessions = sessions
        self._heard: dict[str, float] = {}
        self._inquiries: dict[int, _Inquiry] = {}
        self._number = 0
        self._subscriptions: list[BusSubscription] = []

    async def open(self) -> None:
        for subject, handler in (
            (_BEATS, self._take_beat),
            (_QUESTIONS, self._answer),
            (f"{_ANSWERS}.{self._node}", self._take_answer),
        ):
            self._subscriptions.append(await self._bus.subscribe(subject, handler))
        await self._beat("begins")

    async def run(self) -> None:
        """Keep telling the others that this one is here."""
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            await self._beat("runs")

    async def close(self) -> None:
        with suppress(Exception):
            await self._beat("ends")
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            with suppress(Exception):
                await subscription.unsubscribe()

    async def list_connections(
        self, principal: Principal, limit: int, cursor: str | None
    ) -> Page[Connection]:
        """The connections of the caller's organisation and environment on all gateways, oldest first."""
        after = read_page(limit, cursor)
        inquiry = await self._ask(principal.scope, after=after, limit=limit)
        here = describe(self._sessions, principal.scope, after, limit + 1)
        return merge([*here, *inquiry.connections], limit)

    async def disconnect(self, principal: Principal, connection_id: str) -> None:
        """End a connection of the caller's organisation and environment.

        Raises NotFound, or Unavailable while a gateway that may have it does not answer.
        """
        if disconnect(self._sessions, principal.scope, connection_id):
            return
        inquiry = await self._ask(principal.scope, disconnect=connection_id)
        if inquiry.is_ended:
            return
        if inquiry.waiting_for:
            raise Unavailable("a gateway that may have it does not answer; try again")
        raise NotFound("there is no such connection of yours")

    async def _beat(self, event: Literal["begins", "runs", "ends"]) -> None:
        await self._bus.publish(_BEATS, _encode(_Beat(self._node, event)))

    async def _take_beat(self, _subject: str, payload: bytes) -> None:
        beat = _decode_beat(payload)
        if beat.node == self._node:
            return
        if beat.event == "ends":
            self._heard.pop(beat.node, None)
            return
        self._heard[beat.node] = asyncio.get_running_loop().time()
        if beat.event == "begins":
            await self._beat("runs")

    def _alive(self) -> set[str]:
        since = asyncio.get_running_loop().time() - _FORGET_SECONDS
        self._heard = {node: heard for node, heard in self._heard.items() if heard >= since}
        return set(self._heard)

    async def _ask(self, scope: Scope, *, after: str = "", limit: int = 0, disconnect: str = "") -> _Inquiry:
        inquiry = _Inquiry(self._alive())
        if not inquiry.waiting_for:
            return inquiry
        self._number += 1
        number = self._number
        self._inquiries[number] = inquiry
        try:
            question = _Question(number, self._node, scope, after, limit, disconnect)
            await self._bus.publish(_QUESTIONS, _encode(question))
            async with asyncio.timeout(ANSWER_SECONDS):
                await inquiry.is_over.wait()
        except TimeoutError:
            log.warning("stream_peers_silent", nodes=sorted(inquiry.waiting_for))
        finally:
            del self._inquiries[number]
        return inquiry

    async def _answer(self, _subject: str, payload: bytes) -> None:
        question = _decode_question(payload)
        if question.node == self._node:
            return
        if question.disconnect:
            is_ended = disconnect(self._sessions, question.scope, question.disconnect)
            await self._reply(question, _Answer(question.number, self._node, [], is_ended=is_ended))
            return
        found = describe(self._sessions, question.scope, question.after, question.limit + 1)
        for part, is_last in _parts(found):
            await self._reply(question, _Answer(question.number, self._node, part, is_last=is_last))

    async def _reply(self, question: _Question, answer: _Answer) -> None:
        await self._bus.publish(f"{_ANSWERS}.{question.node}", _encode(answer))

    async def _take_answer(self, _subject: str, payload: bytes) -> None:
        answer = _decode_answer(payload)
        inquiry = self._inquiries.get(answer.number)
        if inquiry is None:
            return
        inquiry.connections += answer.connections
        inquiry.is_ended |= answer.is_ended
        if answer.is_last:
            inquiry.waiting_for.discard(answer.node)
        if not inquiry.waiting_for or inquiry.is_ended:
            inquiry.is_over.set()


def _parts(connections: list[Connection]) -> Iterator[tuple[list[Connection], bool]]:
    """Cut an answer so that each part fits the bus; the last one says so."""
    part: list[Connection] = []
    size = 0
    for connection in connections:
        part.append(connection)
        size += _ITEM_BYTES + _CHANNEL_BYTES * len(connection.channels)
        if size >= _ANSWER_BYTES:
            yield part, False
            part, size = [], 0
    yield part, True
