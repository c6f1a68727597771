"""What custody's own records say that an account should hold."""

from collections.abc import Mapping, Sequence

from agio.kernel.ids import AccountId, JournalId
from agio.platform.db import Transaction


class TransferHoldings:
    """Settled transfers and settled requests to the account; implements `ports.HoldingsSource`."""

    async def holdings(
        self, tx: Transaction, account_id: AccountId, without: Sequence[JournalId]
    ) -> Mapping[str, int]:
        rows = await tx.fetch_tuples(
            "select asset, sum(amount)::text from ("
            " select asset, case direction when 'deposit' then amount else -amount end as amount"
            " from custody.transfer where account_id = %(account)s and status = 'settled'"
            " and journal_id <> all(%(without)s)"
            " union all"
            " select asset, amount from custody.request where target_kind = 'account'"
            " and target_id = %(account)s and status = 'settled' and journal_id <> all(%(without)s)"
            ") moved group by asset",
            {"account": account_id, "without": list(without)},
        )
        return {asset: int(amount) for asset, amount in rows}
