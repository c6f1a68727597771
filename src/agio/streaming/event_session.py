"""The session of `GET /stream/sse`: the messages of `/stream` as server-sent events, each with a position."""

from collections.abc import Sequence

import msgspec
from typing_extensions import override

from agio.identity.api import Principal
from agio.kernel.problem import Problem
from agio.streaming.channel_session import ChannelSession
from agio.streaming.chunks import Chunk
from agio.streaming.encoding import Encoding
from agio.streaming.errors import ChannelUnavailable, CloseCode, may_retry
from agio.streaming.hub import Subscription
from agio.streaming.log_subscription import LogSubscription, Position
from agio.streaming.messages import ChannelRequest
from agio.streaming.outbound import OutboundQueue
from agio.streaming.ports import Wire
from agio.streaming.positions import encode_positions
from agio.streaming.session import SessionServices


class EventQueue(OutboundQueue):
    """Gives each event with pushes the position that a reader has once it has seen the event."""

    shares_frames = False
    positions: dict[str, Position]
    """By channel, LOG only: what has been written, once the channel is activated."""
    channels: dict[int, str]
    """The names of LOG channels by number."""

    @override
    def frame_pushes(self, chunks: Sequence[Chunk]) -> bytes:
        is_moved = False
        for chunk in chunks:
            channel = self.channels.get(chunk.number)
            if channel is not None:
                self.positions[channel] = Position(chunk.last, self.positions[channel].epoch)
                is_moved = True
        event = super().frame_pushes(chunks)
        return self.stamp() + event if is_moved else event

    def stamp(self) -> bytes:
        return b"id: %b\n" % encode_positions(self.positions).encode()


class EventSession(ChannelSession):
    """Subscribes once, when it begins. When a channel ends by itself, so does it: the reader resumes."""

    door = "sse"
    queue_type = EventQueue
    queue: EventQueue

    def __init__(
        self,
        services: SessionServices,
        wire: Wire,
        address: str,
        principal: Principal,
        requests: Sequence[ChannelRequest],
    ) -> None:
        super().__init__(services, wire, Encoding.SSE, address, principal)
        self._reader = principal
        self._requests = requests
        self.queue.channels = {}
        self.queue.positions = {}

    async def begin(self) -> None:
        """Open the channels; raises the first refusal's Problem when there is nothing to tell."""
        prepared, refused = await self.open_channels(self._requests, self._reader)
        if self.is_closed:
            raise ChannelUnavailable("this node ended the stream before it began")
        for refusal in refused:
            if not prepared or may_retry(refusal.problem):
                # A reader cannot ask for one channel again: it comes back for all of them.
                raise refusal.problem
        # From here to the last `activate` nothing waits: the answer tells exactly what follows it.
        self.queue.put_frame(b"retry: %d\n\n" % self.services.settings.event_retry_ms)
        self.send(self.welcome(self._reader, None))
        answer = {
            "id": None,
            "subs": [subscription.describe() for subscription in prepared],
            "errs": [refusal.describe() for refusal in refused],
        }
        event = b"data: %b\n\n" % msgspec.json.encode(answer)
        self.queue.put_late(lambda: self.queue.stamp() + event)
        for subscription in prepared:
            subscription.activate()
            if isinstance(subscription, LogSubscription):
                self._follow(subscription)

    def _follow(self, subscription: LogSubscription) -> None:
        self.queue.channels[subscription.hub.number] = subscription.channel
        self.queue.positions[subscription.channel] = Position(subscription.cursor, subscription.hub.epoch)

    @override
    def end_subscription(self, subscription: Subscription, reason: Problem) -> None:
        super().end_subscription(subscription, reason)
        self.finish(CloseCode.CHANNEL_RESET, reason.title)
