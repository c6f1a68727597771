"""Channel `custody:{organisation}:{environment}`: everything that happens to the controls, in sequence."""

from typing import ClassVar

import msgspec

from agio.custody.house import CHANNEL, channel_of
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


class ControlEvent(msgspec.Struct, frozen=True):
    """What happened to the tenant's controls, with the ids of what it happened to."""

    event: str


class CustodyLog:
    """The log channel of a tenant's controls, one for each environment, which the key names."""

    name = CHANNEL
    channel_class = ChannelClass.LOG
    payload: ClassVar[PayloadType] = ControlEvent
    scope = "custody:read"

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:
        tenant = subscriber.scope
        channel = channel_of(tenant.organisation_id, tenant.environment)
        if f"{self.name}:{key}" != channel:
            raise UnknownChannel(f"no channel {self.name}:{key[:80]}")
        return EventLogHandle(self._database, tenant, channel, "/api/custody/requests")


def build_channels(database: Database) -> list[ChannelKind]:
    """The channels that custody offers to the streaming edge."""
    return [CustodyLog(database)]
