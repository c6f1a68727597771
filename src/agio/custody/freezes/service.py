"""Use cases of freezes: place, lift, and the question that everything that moves money asks."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from agio.custody import model as rules
from agio.custody.errors import TooMany, UnknownFreeze, WrongState
from agio.custody.freezes import store
from agio.custody.freezes.model import (
    HOUSE,
    MAX_FREEZES,
    MAX_REASON_LENGTH,
    PREFIXES,
    Freeze,
    FreezeKind,
    check_second_person,
    require_none_of,
)
from agio.custody.house import lock_house, tell
from agio.kernel.ids import FreezeId, KeyId, is_id, new_id
from agio.kernel.page import Page, check_limit, encode_cursor, read_id_cursor
from agio.kernel.problem import InvalidRequest
from agio.platform.clock import Clock
from agio.platform.db import Transaction

_SHOWN: Final = 40
TargetCheck = Callable[[Transaction, str], Awaitable[object]]
"""Raises NotFound for an id of nobody or of somebody else."""


class Freezes:
    """Freezes of the transaction's tenant."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.target_checks: dict[str, TargetCheck] = {}
        """By id prefix; filled by the wiring, as vaults and accounts ask freezes themselves."""

    async def place(
        self, tx: Transaction, kind: FreezeKind, target_id: str | None, reason: str, by: KeyId
    ) -> Freeze:
        """Stop a target from the moment this commits; one person is enough.

        Raises InvalidRequest, NotFound of the target, TooMany, Frozen (the caller's key).
        """
        rules.check_text("reason", reason, MAX_REASON_LENGTH)
        target = await self._target(tx, kind, target_id)
        await lock_house(tx)
        await self.require_key(tx, by)
        if await store.count_in_force(tx) >= MAX_FREEZES:
            raise TooMany(f"at most {MAX_FREEZES} freezes in force")
        freeze = Freeze(FreezeId(new_id("frz")), kind, target, reason, by, self._clock.now())
        await store.insert_freeze(tx, freeze)
        await tell(
            tx, "freeze_placed", freeze.placed_at,
            freeze_id=freeze.freeze_id, target_kind=kind, target_id=target, by=by,
        )  # fmt: skip
        return freeze

    async def lift(self, tx: Transaction, freeze_id: FreezeId, by: KeyId) -> Freeze:
        """End a freeze; raises UnknownFreeze, SecondPersonNeeded, WrongState, Frozen (the lifter's key)."""
        await lock_house(tx)
        freeze = await self.freeze(tx, freeze_id)
        if freeze.lifted_at is not None:
            raise WrongState(f"{freeze_id} was lifted already", extra={"status": "lifted"})
        check_second_person(freeze, by)
        await self.require_key(tx, by)
        now = self._clock.now()
        await store.update_lifted(tx, freeze_id, by, now)
        await tell(
            tx, "freeze_lifted", now,
            freeze_id=freeze_id, target_kind=freeze.target_kind, target_id=freeze.target_id, by=by,
        )  # fmt: skip
        return await self.freeze(tx, freeze_id)

    async def require_none(
        self, tx: Transaction, *, targets: Iterable[str] = (), keys: Iterable[KeyId] = ()
    ) -> None:
        """Raise Frozen if the house or one of these is frozen. Hold the house lock, or a share of it."""
        touched = [HOUSE, *targets, *keys]
        require_none_of(await store.select_in_force(tx, touched), touched)

    async def require_key(self, tx: Transaction, by: KeyId) -> None:
        """Raise Frozen if this very key is frozen: for what must stay possible while the house is."""
        require_none_of(await store.select_in_force(tx, [by]), [by])

    async def frozen_keys(self, tx: Transaction, keys: Iterable[KeyId]) -> set[str]:
        """Which of these keys are frozen: their approvals do not count."""
        return {freeze.target_id for freeze in await store.select_in_force(tx, list(keys))}

    async def freeze(self, tx: Transaction, freeze_id: FreezeId) -> Freeze:
        """One freeze; raises UnknownFreeze."""
        freeze = await store.select_freeze(tx, freeze_id) if is_id(freeze_id, "frz") else None
        if freeze is None:
            raise UnknownFreeze(f"no freeze {freeze_id[:_SHOWN]!r}")
        return freeze

    async def freezes(self, tx: Transaction, limit: int, cursor: str | None) -> Page[Freeze]:
        """Freezes, newest first, lifted ones included."""
        check_limit(limit)
        found = await store.select_freezes(tx, read_id_cursor(cursor, "before", "frz"), limit + 1)
        items = found[:limit]
        more = encode_cursor({"before": items[-1].freeze_id}) if len(found) > limit else None
        return Page(items, more)

    async def _target(self, tx: Transaction, kind: FreezeKind, target_id: str | None) -> str:
        if kind == "house":
            if target_id is not None:
                raise InvalidRequest("the house has no target_id", extra={"field": "target_id"})
            return HOUSE
        prefix = (target_id or "").partition("_")[0]
        if target_id is None or prefix not in PREFIXES[kind] or not is_id(target_id, prefix):
            wanted = " or ".join(f"{one}_..." for one in PREFIXES[kind])
            raise InvalidRequest(f"target_id: {wanted}", extra={"field": "target_id"})
        if prefix in self.target_checks:
            await self.target_checks[prefix](tx, target_id)
        return target_id
