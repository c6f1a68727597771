"""Random ledger commands that collide: hot accounts, repeated ids, contested holds, amounts that run out."""

import random
from collections import deque
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import msgspec

from agio.kernel.ids import HoldId, JournalId, LedgerAccountId, OrganisationId
from agio.ledger.api import (
    CUSTOMER,
    NO_FLAGS,
    AccountFlags,
    Command,
    Leg,
    OpenAccount,
    PlaceHold,
    PostJournal,
    ReleaseHold,
)
from agio.platform.clock import Clock

ORGANISATION: Final = OrganisationId("org_chaos")
SOURCE: Final = "chaos"
HOT: Final = 4
COLD: Final = 200
MEMORY: Final = 200
BANKS: Final = ("org_chaos:bank:USD", "org_chaos:loan:USD")
OPENING: Final = 20_000
_DAY: Final = date(2026, 3, 2)


def make_accounts() -> list[OpenAccount]:
    """A bank without limits, a loan that cannot be overpaid, customers (one with a minimum balance)."""
    accounts = [
        _account(BANKS[0], NO_FLAGS),
        _account(BANKS[1], AccountFlags.CREDITS_MUST_NOT_EXCEED_DEBITS),
    ]
    for number in range(HOT + COLD):
        minimum = 500 if number == 1 else 0
        accounts.append(_account(customer(number), CUSTOMER, minimum))
    return accounts


def _account(address: str, flags: AccountFlags, minimum_balance: int = 0) -> OpenAccount:
    owner, _, _ = address.partition(":")
    return OpenAccount(
        LedgerAccountId(address), owner, "USD", ORGANISATION, "sandbox", flags, minimum_balance
    )


def make_funding() -> list[PostJournal]:
    """What every customer begins with."""
    return [
        journal(f"jnl_fund_{number}", [(BANKS[0], -OPENING), (customer(number), OPENING)])
        for number in range(HOT + COLD)
    ]


def customer(number: int) -> str:
    return f"acc_chaos{number}:USD"


def journal(
    journal_id: str,
    legs: Sequence[tuple[str, int] | tuple[str, int, HoldId]],
    releases: Sequence[HoldId] = (),
) -> PostJournal:
    return PostJournal(
        journal_id=JournalId(journal_id),
        organisation_id=ORGANISATION,
        environment="sandbox",
        legs=tuple(Leg(LedgerAccountId(leg[0]), leg[1], leg[2] if len(leg) == 3 else None) for leg in legs),
        booking_date=_DAY,
        value_date=_DAY,
        source=SOURCE,
        releases=tuple(releases),
    )


class CommandSource:
    """Draws commands. `prefix` makes its ids its own; what it remembers makes the next ones collide."""

    def __init__(self, seed: int, prefix: str, clock: Clock, *, repeats: float = 0.1) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._prefix = prefix
        self._clock = clock
        self._repeats = repeats
        self._count = 0
        self._recent: deque[Command] = deque(maxlen=MEMORY)
        self._holds: deque[PlaceHold] = deque(maxlen=MEMORY // 4)

    def draw(self) -> Command:
        chance = self._random.random()
        if chance < self._repeats and self._recent:
            return self._random.choice(self._recent)
        if chance < self._repeats + 0.04 and self._recent:
            return self._spoil(self._random.choice(self._recent))
        command = self._draw_new()
        self._recent.append(command)
        return command

    def _draw_new(self) -> Command:
        self._count += 1
        chance = self._random.random()
        if chance < 0.2:
            return self._draw_hold()
        if self._holds and chance < 0.3:
            return self._draw_capture(self._random.choice(self._holds))
        if 0.38 <= chance < 0.43 and self._recent:
            return self._draw_reversal(self._random.choice(self._recent))
        if self._holds and chance < 0.38:
            hold = self._random.choice(self._holds)
            return ReleaseHold(hold.hold_id, ORGANISATION, "sandbox", SOURCE)
        return self._draw_transfer()

    def _draw_transfer(self) -> PostJournal:
        legs: list[tuple[str, int]] = []
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            amount = self._amount()
            legs += [(self._payer(), -amount), (self._account(), amount)]
        if self._random.random() < 0.01:
            legs[-1] = (legs[-1][0], legs[-1][1] + 1)
        if self._random.random() < 0.01:
            legs[-1] = ("acc_nobody:USD", legs[-1][1])
        first = Leg(LedgerAccountId(legs[0][0]), legs[0][1])
        if self._random.random() < 0.03:
            first = msgspec.structs.replace(first, expected_version=self._random.choice((0, 1, 2, 5, 9)))
        ends = (
            [self._random.choice(self._holds).hold_id] if self._holds and self._random.random() < 0.05 else []
        )
        drawn = journal(self._id("jnl"), legs, ends)
        metadata = (("purpose", "chaos"),) if self._random.random() < 0.05 else ()
        return msgspec.structs.replace(drawn, legs=(first, *drawn.legs[1:]), metadata=metadata)

    def _draw_reversal(self, command: Command) -> PostJournal:
        """Of something that may be refused, a hold or reversed already; now and then with other legs."""
        if not isinstance(command, PostJournal):
            return self._draw_transfer()
        legs = [(str(leg.account), -leg.amount) for leg in command.legs]
        if self._random.random() < 0.1:
            legs.reverse()
        return msgspec.structs.replace(journal(self._id("jnl"), legs), reverses=command.journal_id)

    def _draw_hold(self) -> PlaceHold:
        expires_at = None
        if self._random.random() < 0.4:
            expires_at = self._clock.now() + timedelta(milliseconds=self._random.randint(-50, 3000))
        hold = PlaceHold(
            HoldId(self._id("hld")),
            ORGANISATION,
            "sandbox",
            LedgerAccountId(self._account()),
            self._amount(),
            expires_at,
            SOURCE,
        )
        self._holds.append(hold)
        return hold

    def _draw_capture(self, hold: PlaceHold) -> PostJournal:
        share = self._random.choice((1, 2, 3))
        amount = max(1, hold.amount // share + self._random.choice((0, 0, 0, 1)))
        payer = hold.account if self._random.random() < 0.95 else self._account()
        is_last = self._random.random() < 0.3
        return journal(
            self._id("jnl"),
            [(payer, -amount, hold.hold_id), (self._account(), amount)],
            [hold.hold_id] if is_last else [],
        )

    def _spoil(self, command: Command) -> Command:
        """The same id with another body."""
        if isinstance(command, ReleaseHold):
            return command
        return msgspec.structs.replace(command, reference=f"other {self._random.randint(1, 3)}")

    def _id(self, kind: str) -> str:
        return f"{kind}_{self._prefix}_{self._count}"

    def _amount(self) -> int:
        return self._random.choice((1, 2, 5, 20, 100, 700, 3_000, 9_000))

    def _account(self) -> str:
        chance = self._random.random()
        if chance < 0.5:
            return customer(self._random.randrange(HOT))
        if chance < 0.6:
            return self._random.choice(BANKS)
        return customer(HOT + self._random.randrange(COLD))

    def _payer(self) -> str:
        return self._account() if self._random.random() < 0.8 else BANKS[0]
