"""Python client of agio: `Agio` (asynchronous) and `SyncAgio` (blocking)."""

from agio_sdk.approval import CodeApprover, DigestMismatch, KeyApprover, TypedCode, totp_code
from agio_sdk.book import Book, Level, Levels
from agio_sdk.buffer import WhenFull
from agio_sdk.client import Agio
from agio_sdk.errors import (
    AgioError,
    ApiError,
    ChannelRefused,
    MissingPackage,
    OutcomeUnknown,
    QueueFull,
    StreamClosed,
)
from agio_sdk.events import EventReader
from agio_sdk.exports import Exported, Progress
from agio_sdk.frames import Table
from agio_sdk.gaps import Gap
from agio_sdk.ledger_models import NewJournal, NewLeg
from agio_sdk.listing import Listing
from agio_sdk.message import Message
from agio_sdk.pace import Pace
from agio_sdk.states import StateChange, StreamState
from agio_sdk.stream import Stream
from agio_sdk.subscription import Subscription
from agio_sdk.sync import SyncAgio
from agio_sdk.transfer_requests import To, Wanted

__all__ = [
    "Agio",
    "AgioError",
    "ApiError",
    "Book",
    "ChannelRefused",
    "CodeApprover",
    "DigestMismatch",
    "EventReader",
    "Exported",
    "Gap",
    "KeyApprover",
    "Level",
    "Levels",
    "Listing",
    "Message",
    "MissingPackage",
    "NewJournal",
    "NewLeg",
    "OutcomeUnknown",
    "Pace",
    "Progress",
    "QueueFull",
    "StateChange",
    "Stream",
    "StreamClosed",
    "StreamState",
    "Subscription",
    "SyncAgio",
    "Table",
    "To",
    "TypedCode",
    "Wanted",
    "WhenFull",
    "totp_code",
]
