"""What reconciliation needs filled."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from agio.kernel.ids import AccountId, JournalId
from agio.platform.db import Transaction


class HoldingsSource(Protocol):
    """Records of business (transfers, executions) that say what an account should hold."""

    async def holdings(
        self, tx: Transaction, account_id: AccountId, without: Sequence[JournalId]
    ) -> Mapping[str, int]:
        """By asset, in its smallest unit; records booked by the journals `without` are left out."""
        ...
