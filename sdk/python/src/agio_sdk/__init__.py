"""Python client of agio: `Agio` (asynchronous) and `SyncAgio` (blocking)."""

from agio_sdk.book import Book
from agio_sdk.client import Agio
from agio_sdk.errors import AgioError, ApiError, ChannelRefused, OutcomeUnknown, StreamClosed
from agio_sdk.stream import Stream, StreamState
from agio_sdk.subscription import Message, Subscription
from agio_sdk.sync import SyncAgio

__all__ = [
    "Agio",
    "AgioError",
    "ApiError",
    "Book",
    "ChannelRefused",
    "Message",
    "OutcomeUnknown",
    "Stream",
    "StreamClosed",
    "StreamState",
    "Subscription",
    "SyncAgio",
]
