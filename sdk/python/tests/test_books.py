"""Books that hold, that do not, and that never will."""

from typing import Any

import msgspec
from sdk.python.tests.script import Gap, Peer, Timer, sequences, streaming

from agio_sdk.book import Book, BookMessage


def levels(bid: str, ask: str) -> dict[str, Any]:
    return {"bids": [[bid, "1"]], "asks": [[ask, "2"]]}


def checksum(bid: str, ask: str) -> int:
    book = Book("X")
    book.load(BookMessage([(bid, "1")], [(ask, "2")]), 1, None)
    return book.checksum()


class TestBooks:
    async def test_a_gap_and_a_wrong_checksum_are_resynced_on_the_same_connection(self) -> None:
        async def snap(peer: Peer, q: int, bid: str) -> None:
            crc = checksum(bid, "11")
            await peer.send({"op": "snap", "n": 1, "q": q, "t": 0, "d": levels(bid, "11"), "crc": crc})

        async def unreliable(peer: Peer) -> None:
            await peer.welcome()
            entry = await peer.grant()
            assert entry == {"ch": "book:X", "depth": 5}
            await snap(peer, 1, "10.0")
            empty: dict[str, list[str]] = {"bids": [], "asks": []}
            await peer.send({"n": 1, "q": 4, "p": 3, "t": 0, "d": empty, "crc": 1})
            assert (await peer.hear("resync"))["ch"] == ["book:X"]
            # What was under way before the snapshot does not count.
            await peer.send({"n": 1, "q": 5, "p": 4, "t": 0, "d": empty, "crc": 1})
            await snap(peer, 6, "10.1")
            await peer.send({"n": 1, "q": 7, "p": 6, "t": 0, "d": empty, "crc": 1})
            assert (await peer.hear("resync"))["ch"] == ["book:X"]
            await snap(peer, 7, "10.2")
            await peer.silence()

        gaps: list[Gap] = []
        async with streaming(unreliable) as stream:
            subscription = await stream.subscribe("book:X", depth=5, on_gap=lambda *gap: gaps.append(gap))
            assert await sequences(subscription, 3) == [1, 6, 7]
            book = subscription.book
            assert book is not None
            assert book.is_valid
            assert book.best_bid is not None
            assert (str(book.best_bid.price), str(book.spread), str(book.mid)) == ("10.2", "0.8", "10.6")
        assert gaps == [("book:X", 2, 4, False), ("book:X", 7, 7, False)]

    async def test_one_that_never_holds_gives_the_connection_up(self) -> None:
        timer = Timer()

        async def wrong(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            while not peer.socket.closed:
                await peer.send({"op": "snap", "n": 1, "q": 1, "t": 0, "d": levels("1", "2"), "crc": 1})
                async for each in peer.socket:
                    assert msgspec.json.decode(each.data)["op"] == "resync"
                    break

        async def right(peer: Peer) -> None:
            await peer.welcome()
            await peer.grant()
            crc = checksum("1", "2")
            await peer.send({"op": "snap", "n": 1, "q": 2, "t": 0, "d": levels("1", "2"), "crc": crc})
            await peer.silence()

        async with streaming(wrong, right, pace=timer.pace(resyncs=3)) as stream:
            assert await sequences(await stream.subscribe("book:X"), 1) == [2]

    async def test_what_happened_between_two_connections_is_told(self) -> None:
        def once(q: int) -> Any:
            async def script(peer: Peer) -> None:
                await peer.welcome()
                await peer.grant()
                crc = checksum("1", "2")
                await peer.send({"op": "snap", "n": 1, "q": q, "t": 0, "d": levels("1", "2"), "crc": crc})
                await (peer.close() if q == 5 else peer.silence())

            return script

        gaps: list[Gap] = []
        async with streaming(once(5), once(9)) as stream:
            book = await stream.subscribe("book:X", on_gap=lambda *gap: gaps.append(gap))
            assert await sequences(book, 2) == [5, 9]
        assert gaps == [("book:X", 6, 9, False)]
