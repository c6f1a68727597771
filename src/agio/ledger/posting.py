"""Journals and holds as callers of the interface ask for them: decimal text in, commands out.

Everything made here has the source `api`; only that can be reversed, captured or released here. What trading
and custody made is theirs to undo.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

import msgspec

from agio.kernel.ids import HoldId, JournalId, LedgerAccountId, OrganisationId, new_id
from agio.kernel.money import InvalidAmount, parse_decimal
from agio.kernel.problem import InvalidRequest
from agio.ledger.accounts import AssetScales, LedgerAccounts
from agio.ledger.api import (
    Command,
    Environment,
    Journal,
    Ledger,
    Leg,
    PlaceHold,
    PostJournal,
    ReleaseHold,
    Result,
    ResultCode,
)
from agio.ledger.errors import BatchRefused, MadeElsewhere
from agio.ledger.requests import CaptureHold, NewHold, NewJournal, NewLeg, Outcome
from agio.platform.clock import Clock
from agio.platform.db import Database, Scope

SOURCE: Final = "api"
BATCH_LIMIT: Final = 8189
"""Journals in one request."""
_ANY_SCALE: Final = 18
"""For an account that is not known, so that it is refused as unknown rather than for its decimals."""
CHUNK: Final = 1000
"""Item by item, a request is applied in parts of this size, so that others get their turn."""


class Posting:
    """Use cases of the interface. Posts are durable when they return, and repeatable by id."""

    def __init__(self, database: Database, ledger: Ledger, accounts: LedgerAccounts, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._accounts = accounts
        self._clock = clock
        self._scales = AssetScales()

    async def post(self, scope: Scope, wanted: NewJournal) -> tuple[Journal, bool]:
        """Post one journal; says whether it is new. Raises the Problem of the refusal."""
        scales = await self._learn(scope, [wanted])
        command = self._journal(scope, wanted, scales)
        result = await self._ledger.submit(command)
        if result.code is ResultCode.CONFLICT and result.detail in ("booking_date", "value_date"):
            # A repeat on another day by a caller who leaves the dates to us is still a repeat.
            result = await self._submit_as_dated(scope, wanted, command)
        result.require()
        return await self._read(scope, command.journal_id), result.code is ResultCode.CREATED

    async def post_batch(
        self, scope: Scope, wanted: Sequence[NewJournal], *, is_whole: bool
    ) -> list[Outcome]:
        """Post many. Whole: all or none, else BatchRefused. Otherwise each for itself, in order."""
        if not 0 < len(wanted) <= BATCH_LIMIT:
            raise InvalidRequest(
                f"a batch has between 1 and {BATCH_LIMIT} journals", extra={"field": "journals"}
            )
        scales = await self._learn(scope, wanted)
        outcomes: list[Outcome] = []
        size = len(wanted) if is_whole else CHUNK
        for start in range(0, len(wanted), size):
            outcomes += await self._post_part(scope, wanted[start : start + size], scales, is_whole=is_whole)
        return outcomes

    async def reverse(self, scope: Scope, journal_id: JournalId, wanted: NewJournal) -> tuple[Journal, bool]:
        """Post the mirror image of a journal made here and link the two; legs of `wanted` are not read."""
        undone = await self._read(scope, journal_id)
        if undone.source != SOURCE:
            raise MadeElsewhere(f"{journal_id} was made by {undone.source}")
        command = self._journal(scope, wanted, {})
        command = msgspec.structs.replace(
            command,
            legs=tuple(Leg(leg.account, -leg.amount) for leg in undone.legs),
            reverses=journal_id,
        )
        result = await self._ledger.submit(command)
        if result.code is ResultCode.CONFLICT and result.detail in ("booking_date", "value_date"):
            result = await self._submit_as_dated(scope, wanted, command)
        result.require()
        return await self._read(scope, command.journal_id), result.code is ResultCode.CREATED

    async def place_hold(self, scope: Scope, wanted: NewHold) -> tuple[HoldId, bool]:
        """Set an amount aside; says whether the hold is new."""
        self._accounts.require_unmanaged([wanted.account])
        scale = (await self._learn_addresses(scope, [wanted.account])).get(wanted.account, _ANY_SCALE)
        command = PlaceHold(
            hold_id=HoldId(wanted.hold_id or new_id("hld")),
            organisation_id=OrganisationId(scope.organisation_id),
            environment=_environment(scope),
            account=LedgerAccountId(wanted.account),
            amount=parse_decimal(wanted.amount, scale),
            expires_at=wanted.expires_at,
            source=SOURCE,
            reference=wanted.reference,
        )
        result = (await self._ledger.submit(command)).require()
        return command.hold_id, result.code is ResultCode.CREATED

    async def capture_hold(self, scope: Scope, hold_id: HoldId, wanted: CaptureHold) -> tuple[Journal, bool]:
        """Move some or all of what is held to another account; `is_final` frees the rest."""
        async with self._database.transaction(scope) as tx:
            hold = await self._accounts.hold(tx, hold_id)
        amount = wanted.amount
        journal = NewJournal(
            legs=[
                NewLeg(account=hold.account, amount=f"-{amount}", hold_id=hold_id),
                NewLeg(account=wanted.to, amount=amount),
            ],
            journal_id=wanted.journal_id,
            reference=wanted.reference,
            metadata=wanted.metadata,
            releases=[hold_id] if wanted.is_final else [],
        )
        return await self.post(scope, journal)

    async def release_hold(self, scope: Scope, hold_id: HoldId) -> None:
        """Free what is left of a hold made here; releasing it again changes nothing."""
        async with self._database.transaction(scope) as tx:
            await self._accounts.hold(tx, hold_id)
        await self._require_own_holds(scope, [hold_id])
        command = ReleaseHold(hold_id, OrganisationId(scope.organisation_id), _environment(scope), SOURCE)
        (await self._ledger.submit(command)).require()

    async def _post_part(
        self, scope: Scope, wanted: Sequence[NewJournal], scales: dict[str, int], *, is_whole: bool
    ) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(wanted)
        commands: list[Command] = []
        places: list[int] = []
        for place, item in enumerate(wanted):
            try:
                commands.append(self._journal(scope, item, scales))
                places.append(place)
            except InvalidRequest as error:
                outcomes[place] = Outcome(item.journal_id or "", error.code, error.detail)
        if is_whole and len(commands) < len(wanted):
            raise _refuse([outcome for outcome in outcomes if outcome is not None])
        if is_whole:
            async with self._database.transaction(scope) as tx:
                results = await self._ledger.apply(tx, commands)
                refused = [
                    _outcome(command, result)
                    for command, result in zip(commands, results, strict=True)
                    if not result.is_applied
                ]
                if refused:
                    raise _refuse(refused)
        else:
            results = await self._ledger.submit_many(commands)
        for place, command, result in zip(places, commands, results, strict=True):
            outcomes[place] = _outcome(command, result)
        return [outcome for outcome in outcomes if outcome is not None]

    async def _submit_as_dated(self, scope: Scope, wanted: NewJournal, command: PostJournal) -> Result:
        """Submit again with the dates of the journal that stands, where the caller named none."""
        known = await self._read(scope, command.journal_id)
        return await self._ledger.submit(
            msgspec.structs.replace(
                command,
                booking_date=wanted.booking_date or known.booking_date,
                value_date=wanted.value_date or wanted.booking_date or known.value_date,
            )
        )

    def _journal(self, scope: Scope, wanted: NewJournal, scales: dict[str, int]) -> PostJournal:
        """The command; raises InvalidAmount. An account that nobody knows is refused by the ledger itself."""
        booking_date = wanted.booking_date or self._today()
        return PostJournal(
            journal_id=JournalId(wanted.journal_id or new_id("jnl")),
            organisation_id=OrganisationId(scope.organisation_id),
            environment=_environment(scope),
            legs=tuple([_leg(leg, scales) for leg in wanted.legs]),
            booking_date=booking_date,
            value_date=wanted.value_date or booking_date,
            source=SOURCE,
            reference=wanted.reference,
            releases=tuple([HoldId(hold_id) for hold_id in wanted.releases]),
            metadata=tuple(sorted(wanted.metadata.items())) if wanted.metadata else (),
        )

    def _today(self) -> date:
        return self._clock.now().date()

    async def _learn(self, scope: Scope, wanted: Sequence[NewJournal]) -> dict[str, int]:
        holds = {leg.hold_id for journal in wanted for leg in journal.legs if leg.hold_id is not None}
        holds.update(hold_id for journal in wanted for hold_id in journal.releases)
        if holds:
            await self._require_own_holds(scope, list(holds))
        addresses = {leg.account for journal in wanted for leg in journal.legs}
        self._accounts.require_unmanaged(addresses)
        return await self._learn_addresses(scope, list(addresses))

    async def _require_own_holds(self, scope: Scope, hold_ids: list[str]) -> None:
        async with self._database.transaction(scope) as tx:
            sources = await self._accounts.hold_sources(tx, hold_ids)
        for hold_id, source in sources:
            if source != SOURCE:
                raise MadeElsewhere(f"{hold_id} was placed by {source}")

    async def _learn_addresses(self, scope: Scope, addresses: list[str]) -> dict[str, int]:
        async with self._database.transaction(scope) as tx:
            return await self._scales.learn(tx, addresses)

    async def _read(self, scope: Scope, journal_id: JournalId) -> Journal:
        async with self._database.transaction(scope) as tx:
            return await self._ledger.journal(tx, journal_id)


def _leg(leg: NewLeg, scales: dict[str, int]) -> Leg:
    scale = scales.get(leg.account)
    if scale is None:
        # Refused as unknown whatever the amount is; it only has to be one.
        return Leg(LedgerAccountId(leg.account), 1, None)
    amount = parse_decimal(leg.amount, scale)
    if amount == 0:
        raise InvalidAmount("a leg's amount is not zero", extra={"field": "amount"})
    hold_id = HoldId(leg.hold_id) if leg.hold_id is not None else None
    return Leg(LedgerAccountId(leg.account), amount, hold_id, leg.expected_version)


def _outcome(command: Command, result: Result) -> Outcome:
    journal_id = command.journal_id if isinstance(command, PostJournal) else ""
    return Outcome(journal_id, result.code.value, result.detail)


def _refuse(refused: list[Outcome]) -> BatchRefused:
    return BatchRefused(
        f"{len(refused)} journals are refused, so none was posted",
        extra={"results": [msgspec.structs.asdict(outcome) for outcome in refused[:100]]},
    )


def _environment(scope: Scope) -> Environment:
    return "live" if scope.environment == "live" else "sandbox"
