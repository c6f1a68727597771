"""Python client of agio: `Agio` (asynchronous) and `SyncAgio` (blocking)."""

from agio_sdk.approval import CodeApprover, DigestMismatch, KeyApprover, TypedCode, totp_code
from agio_sdk.book import Book
from agio_sdk.client import Agio
from agio_sdk.errors import AgioError, ApiError, ChannelRefused, OutcomeUnknown, StreamClosed
from agio_sdk.ledger_models import NewJournal, NewLeg
from agio_sdk.listing import Listing
from agio_sdk.stream import Stream, StreamState
from agio_sdk.subscription import Message, Subscription
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
    "KeyApprover",
    "Listing",
    "Message",
    "NewJournal",
    "NewLeg",
    "OutcomeUnknown",
    "Stream",
    "StreamClosed",
    "StreamState",
    "Subscription",
    "SyncAgio",
    "To",
    "TypedCode",
    "Wanted",
    "totp_code",
]
