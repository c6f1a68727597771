"""What trading's own records say that an account should hold: its executions, summed up."""

from collections.abc import Mapping, Sequence

from agio.kernel.ids import AccountId, JournalId
from agio.platform.db import Transaction


class ExecutionHoldings:
    """Bought and sold assets, what was paid for them, and the fees."""

    async def holdings(
        self, tx: Transaction, account_id: AccountId, without: Sequence[JournalId]
    ) -> Mapping[str, int]:
        """By asset, in its smallest unit; executions booked by the journals `without` are left out."""
        rows = await tx.fetch_tuples(
            "select m.asset, sum(m.amount)::text from trading.executions e"
            " join trading.orders o on o.order_id = e.order_id"
            " cross join lateral (values"
            "  (o.base_asset, case e.side when 'buy' then e.quantity else -e.quantity end),"
            "  (o.quote_asset, case e.side when 'buy' then -e.notional else e.notional end),"
            "  (e.fee_asset, -e.fee)) m (asset, amount)"
            " where e.account_id = %s and e.journal_id <> all(%s) group by m.asset",
            (account_id, list(without)),
        )
        return {asset: int(amount) for asset, amount in rows}
