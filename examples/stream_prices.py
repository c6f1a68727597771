"""Stream the trades of a symbol. Usage: python examples/stream_prices.py [SYMBOL] [HOW_MANY]

Reads AGIO_URL, AGIO_API_KEY and AGIO_CA_FILE, as `./agio up` prints them.
"""

import asyncio
import sys

from agio_sdk import Agio


async def main(symbol: str, how_many: int) -> None:
    async with Agio() as agio:
        instruments = {instrument.symbol: instrument for instrument in await agio.instruments()}
        print(f"{symbol}: {instruments[symbol].name}, tick {instruments[symbol].tick_size}")
        async for trade in agio.trades(symbol):
            at = f"{trade.venue_time:%H:%M:%S.%f}"
            print(f"{at}  #{trade.seq:<8} {trade.side or '':4} {trade.size:>10} @ {trade.price}")
            how_many -= 1
            if how_many == 0:
                break


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asyncio.run(
        main(arguments[0] if arguments else "BTC-USD", int(arguments[1]) if len(arguments) > 1 else 20)
    )
