"""Wire types of freezes."""

from datetime import datetime

import msgspec

from agio.custody.freezes.model import Freeze, FreezeKind


class CreateFreeze(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to stop: a vault, an account (`sub_...`, `acc_...`), a key, or the house (without `target_id`)."""

    target_kind: FreezeKind
    reason: str
    target_id: str | None = None


class FreezeView(msgspec.Struct, frozen=True):
    """A freeze; in force until `lifted_at`."""

    freeze_id: str
    target_kind: FreezeKind
    target_id: str
    reason: str
    placed_by: str
    placed_at: datetime
    lifted_by: str | None
    lifted_at: datetime | None

    @classmethod
    def of(cls, one: Freeze) -> "FreezeView":
        return cls(
            freeze_id=one.freeze_id,
            target_kind=one.target_kind,
            target_id=one.target_id,
            reason=one.reason,
            placed_by=one.placed_by,
            placed_at=one.placed_at,
            lifted_by=one.lifted_by,
            lifted_at=one.lifted_at,
        )


class FreezePage(msgspec.Struct, frozen=True):
    items: list[FreezeView]
    next_cursor: str | None
