"""Watch the best levels of a book. Usage: python examples/watch_book.py [SYMBOL] [HOW_MANY]

Every update is checked by its CRC32; what the stream cannot prove is told. Reads AGIO_URL, AGIO_API_KEY and
AGIO_CA_FILE, as `./agio up` prints them.
"""

import asyncio
import sys

from agio_sdk import Agio, Gap

DEPTH = 3


async def main(symbol: str, how_many: int) -> None:
    async with Agio() as agio:
        subscription = await agio.subscribe(f"book:{symbol}", depth=DEPTH, tier="250ms")
        book = subscription.book
        assert book is not None
        async for item in subscription.with_gaps():
            if isinstance(item, Gap):
                print(f"{item.first} to {item.last} were not seen: {item.reason}")
                continue
            bids, asks = book.levels()
            for bid, ask in zip(bids, asks, strict=False):
                print(f"{bid.size:>12} {bid.price:>12} | {ask.price:<12} {ask.size:<12}")
            print(f"#{item.q}  spread {book.spread}  checksum {'holds' if book.is_valid else 'is wrong'}\n")
            how_many -= 1
            if how_many == 0:
                break


if __name__ == "__main__":
    arguments = sys.argv[1:]
    asyncio.run(
        main(arguments[0] if arguments else "BTC-USD", int(arguments[1]) if len(arguments) > 1 else 5)
    )
