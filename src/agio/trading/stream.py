"""Channels `orders:{account}` and `fills:{account}`: every change of an order, every fill, in sequence."""

from agio.custody.api import Custody
from agio.kernel.ids import AccountId
from agio.kernel.problem import NotFound
from agio.platform.channels import (
    ChannelClass,
    ChannelHandle,
    ChannelKind,
    PayloadType,
    Subscriber,
    UnknownChannel,
)
from agio.platform.db import Database
from agio.platform.event_channels import EventLogHandle
from agio.trading.schemas import ExecutionView, OrderView


class AccountLog:
    """A log channel of one account, whose bodies are objects as REST shows them."""

    channel_class = ChannelClass.LOG
    scope = "orders:read"

    def __init__(
        self, name: str, payload: PayloadType, history_path: str, database: Database, custody: Custody
    ) -> None:
        self.name = name
        self.payload = payload
        self._history_path = history_path
        self._database = database
        self._custody = custody

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:
        account_id = AccountId(key)
        try:
            await self._custody.account(subscriber, account_id)
        except NotFound as error:
            raise UnknownChannel(f"no channel {self.name}:{key}") from error
        return EventLogHandle(
            self._database,
            subscriber.scope,
            f"{self.name}:{account_id}",
            f"{self._history_path}?account_id={account_id}",
        )


def build_channels(database: Database, custody: Custody) -> list[ChannelKind]:
    """The channels that trading offers to the streaming edge."""
    return [
        AccountLog("orders", OrderView, "/api/orders", database, custody),
        AccountLog("fills", ExecutionView, "/api/executions", database, custody),
    ]
