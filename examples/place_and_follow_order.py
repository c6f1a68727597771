"""Place a market order and follow it to its fill, its money and its journal.

Usage: python examples/place_and_follow_order.py [SYMBOL] [LOTS]
Reads AGIO_URL, AGIO_API_KEY and AGIO_CA_FILE, as `./agio up` prints them.
"""

import asyncio
import sys

from agio_sdk import Agio
from agio_sdk.models import Execution, Order


async def main(symbol: str, lots: int) -> None:
    async with Agio() as agio:
        account = (await agio.accounts())[0]
        instrument = next(each for each in await agio.instruments() if each.symbol == symbol)
        orders = await agio.subscribe(f"orders:{account.account_id}")
        fills = await agio.subscribe(f"fills:{account.account_id}")

        order = await agio.place_order(account.account_id, symbol, "buy", lots * instrument.lot_size)
        print(f"accepted  {order.order_id}  {order.side} {order.quantity} {order.symbol}  ({order.status})")

        async for message in orders:
            update = message.decode(Order)
            if update.order_id == order.order_id:
                print(f"order     {update.status:16} filled {update.filled_quantity} of {update.quantity}")
                order = update
                if order.is_closed:
                    break

        filled = 0
        async for message in fills:
            fill = message.decode(Execution)
            if fill.order_id == order.order_id:
                print(f"fill      {fill.quantity} @ {fill.price}  fee {fill.fee}  {fill.journal_id}")
                filled += fill.quantity
                if filled == order.filled_quantity:
                    break

        for balance in await agio.balances(account.account_id):
            print(f"balance   {balance.asset:8} total {balance.total}  available {balance.available}")


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asyncio.run(
        main(arguments[0] if arguments else "BTC-USD", int(arguments[1]) if len(arguments) > 1 else 5)
    )
