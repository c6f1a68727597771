"""Freezes: nothing leaves what is frozen; money may still arrive. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

import msgspec

from agio.custody.errors import Frozen, SecondPersonNeeded
from agio.kernel.ids import FreezeId, KeyId

MAX_FREEZES: Final = 1000
MAX_REASON_LENGTH: Final = 300
FreezeKind = Literal["house", "vault", "account", "key"]
HOUSE: Final = "house"
"""The target id of a freeze of everything."""

PREFIXES: Final[dict[FreezeKind, tuple[str, ...]]] = {
    "vault": ("vlt",),
    "account": ("sub", "acc"),
    "key": ("key",),
}


class Freeze(msgspec.Struct, frozen=True):
    """A stop, in force until somebody else lifts it."""

    freeze_id: FreezeId
    target_kind: FreezeKind
    target_id: str
    reason: str
    placed_by: KeyId
    placed_at: datetime
    lifted_by: KeyId | None = None
    lifted_at: datetime | None = None


def require_none_of(in_force: Iterable[Freeze], touched: Iterable[str]) -> None:
    """Raise Frozen if one of the freezes covers one of the ids, or the whole house."""
    ids = {HOUSE, *touched}
    hits = [freeze for freeze in in_force if freeze.lifted_at is None and freeze.target_id in ids]
    if hits:
        names = ", ".join(sorted({hit.target_id for hit in hits}))
        raise Frozen(f"frozen: {names}", extra={"freezes": [hit.freeze_id for hit in hits]})


def check_second_person(freeze: Freeze, by: KeyId) -> None:
    """Raise SecondPersonNeeded for the one who placed it."""
    if by == freeze.placed_by:
        raise SecondPersonNeeded("you placed this freeze; another key lifts it")
