"""What to do with each message of the server: to subscriptions, to the connection, or back to the server."""

import asyncio
from collections.abc import Awaitable, Callable

from agio_sdk.backoff import Backoff
from agio_sdk.connection import Connection
from agio_sdk.errors import ChannelRefused
from agio_sdk.message import Message
from agio_sdk.pace import Pace
from agio_sdk.sequencer import Granted
from agio_sdk.states import StateChange, StateFeed, StreamState, log
from agio_sdk.subscription import Subscription
from agio_sdk.wire import Confirmed, Frame, Refused

YIELD_EVERY = 64
"""Messages of the server after which others on the event loop get a turn for sure."""

Token = Callable[[], Awaitable[str]]


class Dispatcher:
    """Reads the frames of one connection after the other on behalf of a stream's subscriptions."""

    def __init__(
        self,
        subscriptions: dict[str, Subscription],
        states: StateFeed,
        token: Token,
        encoding: str,
        pace: Pace,
    ) -> None:
        self._subscriptions = subscriptions
        self._states = states
        self._token = token
        self._encoding = encoding
        self._pace = pace
        self._resyncs: dict[Subscription, Resyncs] = {}
        self._read = 0
        self.sources: dict[str, str] = {}

    async def read(self, connection: Connection, frames: list[Frame]) -> None:
        """Handle the frames of one WebSocket message."""
        for frame in frames:
            if frame.is_push:
                self._push(connection, frame)
            else:
                await self._control(connection, frame)
        self._read += 1
        if self._read % YIELD_EVERY == 0:
            await asyncio.sleep(0)

    def forget(self, subscription: Subscription) -> None:
        """A subscription has ended."""
        self._resyncs.pop(subscription, None)

    def is_current(self, subscription: Subscription) -> bool:
        return self._subscriptions.get(subscription.channel) is subscription

    def _push(self, connection: Connection, frame: Frame) -> None:
        subscription = connection.numbers.get(frame.n)
        if subscription is None or not self.is_current(subscription):
            return
        is_whole = frame.op == "snap"
        message = Message(
            subscription.channel,
            frame.q,
            frame.t,
            bytes(frame.d),
            is_whole,
            frame.p,
            frame.crc,
            self._encoding,
            epoch=subscription.epoch,
        )
        if not subscription.accept(message):
            self._resume(connection, subscription)

    async def _control(self, connection: Connection, frame: Frame) -> None:
        if frame.id is not None and (frame.subs is not None or frame.errs is not None):
            await self._answered(connection, frame)
        elif frame.op == "welcome":
            connection.heartbeat_seconds = frame.hb_ms / 1000
            if not self._subscriptions:
                self._states.set(StateChange(state=StreamState.LIVE))
        elif frame.op == "hb":
            self.sources = frame.sources
            self._check_tops(connection, frame.top)
        elif frame.op == "skipped" and frame.n in connection.numbers:
            connection.numbers[frame.n].skipped(frame.first, frame.to)
        elif frame.op == "reauth":
            connection.start(self._renew(connection))
        elif frame.op == "unsub" and frame.n in connection.numbers:
            await self._unsubscribed(connection, frame)
        elif frame.op == "error":
            self._told_of_error(connection, frame)
        elif frame.op == "drain":
            connection.drains_after_seconds = frame.slot / 1000

    async def _renew(self, connection: Connection) -> None:
        """Send a fresh credential; should there be none, the connection ends with 4401 and we come back."""
        try:
            token = await self._token()
        except Exception:
            log.exception("no token to renew the stream with")
            return
        await connection.send({"op": "auth", "token": token})

    async def _answered(self, connection: Connection, frame: Frame) -> None:
        group = connection.asked.pop(frame.id or 0, None)
        if group is None:
            return
        asked = {subscription.channel: subscription for subscription in group}
        for confirmed in frame.subs or []:
            await self._confirmed(connection, asked.get(confirmed.ch), confirmed)
        for refused in frame.errs or []:
            subscription = asked.get(refused.ch)
            if subscription is None:
                continue
            if refused.code == "already_subscribed":
                await self._settle(connection, subscription)
            else:
                self._refused(connection, subscription, refused)
        if not connection.asked:
            self._states.set(StateChange(state=StreamState.LIVE))

    async def _confirmed(
        self, connection: Connection, subscription: Subscription | None, confirmed: Confirmed
    ) -> None:
        if subscription is not None and self.is_current(subscription):
            connection.numbers[confirmed.n] = subscription
            subscription.confirm(
                Granted(
                    epoch=confirmed.epoch,
                    seq=confirmed.seq,
                    is_recovered=confirmed.recovered,
                    first=confirmed.first,
                    reason=confirmed.reason,
                    rest=confirmed.rest,
                )
            )
        elif confirmed.ch in connection.known and confirmed.ch not in self._subscriptions:
            await connection.unsubscribe(confirmed.ch)

    async def _unsubscribed(self, connection: Connection, frame: Frame) -> None:
        """A channel ended on the server's side."""
        subscription = connection.numbers.pop(frame.n)
        if frame.retry:
            subscription.is_resuming = True
            await connection.subscribe([subscription])
        else:
            refused = Refused(subscription.channel, str(frame.code), frame.detail)
            self._refused(connection, subscription, refused)

    async def _settle(self, connection: Connection, subscription: Subscription) -> None:
        """We asked twice and the other answer counts, or the end of an earlier subscription was not heard."""
        is_in_use = subscription in connection.numbers.values() and not subscription.is_resuming
        if not is_in_use and self.is_current(subscription):
            await connection.unsubscribe(subscription.channel)
            await connection.subscribe([subscription])

    def _told_of_error(self, connection: Connection, frame: Frame) -> None:
        """A whole message was refused: for now, or as it is."""
        if frame.retry:
            connection.repeat_later(max(self._pace.repeat, frame.retry_after_ms / 1000))
            return
        for subscription in connection.asked.pop(frame.id, []) if frame.id is not None else []:
            refused = Refused(subscription.channel, str(frame.code), frame.detail)
            self._refused(connection, subscription, refused)

    def _refused(self, connection: Connection, subscription: Subscription, refused: Refused) -> None:
        """What worked before and is away for a moment is asked for again; everything else fails."""
        if refused.retry and subscription.is_established:
            least = max(self._pace.repeat, refused.retry_after_ms / 1000)
            delay = self._resyncs_of(subscription).backoff.next_delay(least)
            connection.subscribe_later(subscription, delay)
            return
        if self.is_current(subscription):
            del self._subscriptions[subscription.channel]
        self.forget(subscription)
        connection.known.pop(subscription.channel, None)
        subscription.fail(ChannelRefused(subscription.channel, refused.code, refused.detail))

    def _check_tops(self, connection: Connection, tops: dict[str, int]) -> None:
        """A heartbeat names the newest sequence of each log channel: being behind it means silent loss."""
        for number, top in tops.items():
            subscription = connection.numbers.get(int(number))
            if subscription is not None and subscription.sequencer.is_behind(top):
                self._resume(connection, subscription)

    # Resync

    def _resyncs_of(self, subscription: Subscription) -> "Resyncs":
        return self._resyncs.setdefault(subscription, Resyncs(self._pace))

    def _resume(self, connection: Connection, subscription: Subscription) -> None:
        """Something is missing: a log is asked for again from its position, a book for a snapshot."""
        if subscription.is_resuming:
            return
        resyncs = self._resyncs_of(subscription)
        if subscription.book is not None:
            if not resyncs.is_running:
                connection.start(self._resync_book(connection, subscription, resyncs))
            return
        subscription.is_resuming = True
        delay = resyncs.next_delay()
        if delay is None:
            connection.start(connection.socket.close())
            return

        async def ask() -> None:
            if connection.holds(subscription):
                await connection.unsubscribe(subscription.channel)
                await connection.subscribe([subscription])

        connection.do_later(ask, delay)

    async def _resync_book(
        self, connection: Connection, subscription: Subscription, resyncs: "Resyncs"
    ) -> None:
        """Ask until a snapshot makes the book good again; too often in vain gives the connection up."""
        resyncs.is_running = True
        try:
            while connection.holds(subscription) and subscription.book is not None:
                delay = resyncs.next_delay()
                if delay is None:
                    await connection.socket.close()
                    return
                await self._pace.sleep(delay)
                if subscription.book.is_valid:
                    return
                await connection.resync(subscription.channel)
                await self._pace.sleep(self._pace.repeat)
                if subscription.book.is_valid:
                    return
        finally:
            resyncs.is_running = False


class Resyncs:
    """The resyncs of one channel: the first at once, further ones later and later, and then no more."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._count = 0
        self._last_at = pace.clock()
        self.backoff = Backoff(pace)
        self.is_running = False

    def next_delay(self) -> float | None:
        """Seconds to wait before the next one; None when the connection should be given up."""
        now = self._pace.clock()
        if now - self._last_at >= self._pace.healthy:
            self._count = 0
            self.backoff = Backoff(self._pace)
        self._last_at = now
        self._count += 1
        if self._count > self._pace.resyncs:
            self._count = 0
            return None
        return 0.0 if self._count == 1 else self.backoff.next_delay()
