"""What analytics needs filled: the accounts that portfolios are made of."""

from typing import Protocol

from agio.kernel.ids import AccountId
from agio.platform.db import Transaction


class Accounts(Protocol):
    """The accounts of the transaction's tenant."""

    async def base_currency(self, tx: Transaction, account_id: AccountId) -> str:
        """Raises NotFound for an account that is unknown or somebody else's."""
        ...
