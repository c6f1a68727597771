"""Channels `ledger:{account}` (every change, in sequence) and `balances:{account}` (the newest per asset)."""

from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from agio.kernel.ids import LedgerAccountId
from agio.kernel.money import format_decimal, parse_decimal
from agio.ledger.api import Balance, Ledger
from agio.platform.channels import (
    ChannelClass,
    ChannelHandle,
    ChannelKind,
    PayloadType,
    Push,
    Subscriber,
    UnknownChannel,
)
from agio.platform.clock import Clock
from agio.platform.db import Database, Scope
from agio.platform.event_channels import EventLogHandle
from agio.platform.relay import decode_event


class BalanceView(msgspec.Struct, frozen=True):
    """A balance as subscribers see it; amounts are decimal text."""

    asset: str
    total: str
    held: str
    available: str
    version: int

    @classmethod
    def of(cls, balance: Balance) -> "BalanceView":
        return cls(
            asset=balance.asset,
            total=format_decimal(balance.total, balance.scale),
            held=format_decimal(balance.held, balance.scale),
            available=format_decimal(balance.available, balance.scale),
            version=balance.version,
        )


class LegView(msgspec.Struct, frozen=True):
    """What one leg did to an account of the subscriber's, and what the account was after it."""

    account: LedgerAccountId
    asset: str
    amount: str
    balance: str
    held: str
    version: int


class JournalPosted(msgspec.Struct, frozen=True, tag_field="kind", tag="journal_posted"):
    """A journal, by its legs on the account's own ledger accounts."""

    journal_id: str
    source: str
    reference: str | None
    legs: list[LegView]


class HoldPlaced(msgspec.Struct, frozen=True, tag_field="kind", tag="hold_placed"):
    """Money was set aside."""

    hold_id: str
    amount: str
    source: str
    reference: str | None
    legs: list[LegView]
    journal_id: None = None


class HoldReleased(HoldPlaced, frozen=True, tag_field="kind", tag="hold_released"):
    """What was left of a hold is free again."""


LedgerEvent = JournalPosted | HoldPlaced | HoldReleased


class _AnyEvent(msgspec.Struct):
    legs: list[LegView]


_decode_body: Final = msgspec.json.Decoder(_AnyEvent).decode


class LedgerChannels:
    """`ledger:{account}`: journals and holds of a customer account."""

    name = "ledger"
    payload: ClassVar[PayloadType] = LedgerEvent
    channel_class = ChannelClass.LOG
    scope = "accounts:read"

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:
        await read_balances(self._database, self._ledger, subscriber.scope, self.name, key)
        return EventLogHandle(
            self._database, subscriber.scope, f"ledger:{key}", f"/api/accounts/{key}/entries"
        )


class BalanceChannels:
    """`balances:{account}`: the newest balance of each asset, derived from the ledger's events."""

    name = "balances"
    payload: ClassVar[PayloadType] = BalanceView
    channel_class = ChannelClass.STATE
    scope = "accounts:read"

    def __init__(self, database: Database, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

    async def open(self, subscriber: Subscriber, key: str) -> ChannelHandle:
        balances = await read_balances(self._database, self._ledger, subscriber.scope, self.name, key)
        return BalanceHandle(self._database, self._ledger, self._clock, subscriber.scope, key, balances)


class BalanceHandle:
    """The balances of one account."""

    history_url = None

    def __init__(
        self,
        database: Database,
        ledger: Ledger,
        clock: Clock,
        scope: Scope,
        owner: str,
        balances: Sequence[Balance],
    ) -> None:
        self._log = EventLogHandle(database, scope, f"ledger:{owner}")
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._scope = scope
        self._owner = owner
        self._minimums: dict[str, int] = {}
        self.subject = self._log.subject
        self._learn_minimums(balances)

    def decode(self, payload: bytes) -> list[Push]:
        event = decode_event(payload)
        newest: dict[str, LegView] = {}
        for leg in _decode_body(event.body).legs:
            if leg.account == f"{self._owner}:{leg.asset}":
                newest[leg.asset] = leg
        return [self._push(leg, event.seq, event.occurred_at_us) for leg in newest.values()]

    async def position(self) -> tuple[str, int]:
        return "", 0

    async def replay(self, after: int, limit: int) -> list[Push]:  # noqa: ARG002 - states have no history
        return []

    async def snapshot(self) -> list[Push]:
        _, top = await self._log.position()
        balances = await read_balances(self._database, self._ledger, self._scope, "balances", self._owner)
        self._learn_minimums(balances)
        now = self._clock.now_micros()
        return [
            Push(
                q=top,
                t=now,
                d=msgspec.json.encode(BalanceView.of(balance)),
                snapshot=True,
                key=balance.asset,
            )
            for balance in balances
        ]

    def _learn_minimums(self, balances: Sequence[Balance]) -> None:
        """Events say balance and held; what must stay on the account is the third part of `available`."""
        for balance in balances:
            self._minimums[balance.asset] = balance.total - balance.held - balance.available

    def _push(self, leg: LegView, seq: int, at_us: int) -> Push:
        scale = len(leg.balance.partition(".")[2])
        total, held = parse_decimal(leg.balance, scale), parse_decimal(leg.held, scale)
        available = format_decimal(total - held - self._minimums.get(leg.asset, 0), scale)
        view = BalanceView(leg.asset, leg.balance, leg.held, available, leg.version)
        return Push(q=seq, t=at_us, d=msgspec.json.encode(view), key=leg.asset)


async def read_balances(
    database: Database, ledger: Ledger, scope: Scope, name: str, owner: str
) -> list[Balance]:
    """Balances of a customer account of this tenant; raises UnknownChannel for any other owner."""
    async with database.transaction(scope) as tx:
        balances = await ledger.balances(tx, owner)
    if not balances or not owner.startswith("acc_"):
        raise UnknownChannel(f"no channel {name}:{owner}")
    return balances


def build_channels(database: Database, ledger: Ledger, clock: Clock) -> list[ChannelKind]:
    """The channels that the ledger offers to the streaming edge."""
    return [LedgerChannels(database, ledger), BalanceChannels(database, ledger, clock)]
