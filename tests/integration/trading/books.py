"""What must be true of orders, fills and ledger after anything that can happen."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec

from agio.marketdata.api import Trade
from agio.platform.db import Database, Transaction
from agio.trading.model import Execution, Order, OrderStatus, fee_on, hold_of

_order = msgspec.json.Decoder(Order).decode
_execution = msgspec.json.Decoder(Execution).decode


class Books(msgspec.Struct):
    """Orders, executions and balances of a database."""

    orders: dict[str, Order]
    executions: list[Execution]
    balances: dict[str, tuple[int, int]]


async def read_books(database: Database) -> Books:
    async with database.transaction() as tx:
        orders = [_order(row) for row in await _rows(tx, "select row_to_json(o)::text from trading.orders o")]
        executions = [
            _execution(row)
            for row in await _rows(
                tx, "select row_to_json(x)::text from trading.executions x order by execution_no"
            )
        ]
        balances = {
            address: (int(balance), int(held))
            for address, balance, held in await tx.fetch_tuples(
                "select address, credits_posted - debits_posted, debits_pending from ledger.account"
            )
        }
    return Books({order.order_id: order for order in orders}, executions, balances)


async def _rows(tx: Transaction, sql: str) -> list[str]:
    return [row[0] for row in await tx.fetch_tuples(sql)]  # type: ignore[arg-type]


def check_books(books: Books, funded: dict[str, int]) -> None:
    """Debits = credits; orders, positions, fees and holds are the fold of the fills. `funded`: by address."""
    expected: Counter[str] = Counter(funded)
    filled: defaultdict[str, list[Execution]] = defaultdict(list)
    for execution in books.executions:
        filled[execution.order_id].append(execution)
        order = books.orders[execution.order_id]
        sign = 1 if order.side == "buy" else -1
        expected[order.base_account] += sign * execution.quantity
        expected[order.quote_account] -= sign * execution.notional + execution.fee
    for address, amount in expected.items():
        assert books.balances[address][0] == amount, address
    totals: Counter[str] = Counter()
    for address, (balance, _) in books.balances.items():
        totals[address.rpartition(":")[2]] += balance
    assert set(totals.values()) == {0}
    held: Counter[str] = Counter()
    for order in books.orders.values():
        fills = filled[order.order_id]
        assert [item.fill_no for item in fills] == list(range(1, len(fills) + 1))
        assert order.filled_quantity == sum(item.quantity for item in fills)
        assert order.filled_notional == sum(item.notional for item in fills)
        assert order.fees == sum(item.fee for item in fills) == fee_on(order.filled_notional, 5)
        assert (order.status is OrderStatus.FILLED) == (order.filled_quantity == order.quantity)
        if order.is_open:
            address, amount = hold_of(order)
            held[address] += amount - (
                order.filled_notional + order.fees if order.side == "buy" else order.filled_quantity
            )
    for address, (_, pending) in books.balances.items():
        assert pending == held[address], address


def check_tape(books: Books, trades: Sequence[Trade]) -> None:
    """Every fill is a trade of the tape at its price, and no trade is used beyond its size."""
    used: Counter[int] = Counter()
    for execution in books.executions:
        assert execution.trade_seq is not None
        trade = trades[execution.trade_seq - 1]
        assert execution.price == trade.price
        used[execution.trade_seq] += execution.quantity
    for seq, quantity in used.items():
        assert quantity <= trades[seq - 1].size
