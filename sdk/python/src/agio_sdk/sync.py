"""The same client for code without an event loop: every call runs on a private loop in a thread."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, Unpack

import msgspec

from agio_sdk.book import Book
from agio_sdk.buffer import Item
from agio_sdk.client import Agio
from agio_sdk.listing import Listing
from agio_sdk.models import Page, Trade
from agio_sdk.pace import Pace
from agio_sdk.socket import Encoding
from agio_sdk.stream import Token
from agio_sdk.subscription import Message, Subscription
from agio_sdk.transport import SubscribeOptions, Verbs

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, Any]], Any]
LOOP_ONLY = frozenset({"session", "stream"})
"""What makes sense inside an event loop only."""


class SyncSubscription:
    """A blocking iterator over one channel's messages."""

    def __init__(self, run: Run, subscription: Subscription) -> None:
        self._run = run
        self._subscription = subscription

    def __iter__(self) -> Iterator[Message]:
        while True:
            try:
                batch = self._run(self._subscription.next_batch())
            except StopAsyncIteration:
                return
            yield from batch

    def with_gaps(self) -> Iterator[Item]:
        """Messages and gaps in the order in which they belong."""
        return _each(self._run, self._subscription.with_gaps())

    @property
    def book(self) -> Book | None:
        """The book of a book channel. It changes in another thread: read it right after a message came."""
        return self._subscription.book

    @property
    def position(self) -> tuple[str, int | None]:
        """(epoch, sequence) to go on from at another time."""
        return self._subscription.epoch, self._subscription.last

    def close(self) -> None:
        self._run(self._subscription.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SyncListing(Generic[T]):
    """A list that is read while you iterate."""

    def __init__(self, run: Run, listing: Listing[T]) -> None:
        self._run = run
        self._listing = listing

    def __iter__(self) -> Iterator[T]:
        cursor: str | None = None
        while True:
            page = self.page(cursor)
            yield from page.items
            cursor = page.next_cursor
            if cursor is None:
                return

    def all(self) -> list[T]:
        """All items; for lists that you know to be short."""
        return list(self)

    def page(self, cursor: str | None = None) -> Page[T]:
        """The first page, or the one that a cursor leads to."""
        page: Page[T] = self._run(self._listing.page(cursor))
        return page

    def __getattr__(self, name: str) -> Any:
        # What else the list can do, such as a table's `to_pandas`.
        return _blocking(self._run, getattr(self._listing, name))


class SyncVerbs:
    """Blocking twin of a group of verbs, such as `agio.ledger.holds`."""

    def __init__(self, run: Run, verbs: Verbs) -> None:
        self._run = run
        self._verbs = verbs

    def __getattr__(self, name: str) -> Any:
        return _blocking(self._run, getattr(self._verbs, name))


class SyncAgio:
    """Blocking twin of `Agio`: every method and every group under its own name.

    Methods block until they have their answer; lists and streams are plain iterators.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        token: Token | None = None,
        ca_file: str | Path | None = None,
        encoding: Encoding = "json",
        compress: bool = False,
        pace: Pace | None = None,
    ) -> None:
        self.client = Agio(
            url, api_key, token=token, ca_file=ca_file, encoding=encoding, compress=compress, pace=pace
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="agio-sdk", daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the client and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in LOOP_ONLY:
            raise AttributeError(name)
        return _blocking(self.call, getattr(self.client, name))

    def subscribe(self, channel: str, **options: Unpack[SubscribeOptions]) -> SyncSubscription:
        """Subscribe to any channel; see `Stream.subscribe`. Callbacks are called in the client's thread."""
        return SyncSubscription(self.call, self.call(self.client.subscribe(channel, **options)))

    def trades(self, symbol: str, **options: Unpack[SubscribeOptions]) -> Iterator[Trade]:
        """Trades of a symbol as they happen."""
        with self.subscribe(f"trades:{symbol}", **options) as subscription:
            for message in subscription:
                yield msgspec.structs.replace(message.decode(Trade), seq=message.q)

    def close(self) -> None:
        """Close the connections and end the thread; safe to call twice."""
        if self._thread.is_alive():
            self.call(self.client.aclose())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _blocking(run: Run, member: object) -> object:
    """A member of the client as code without an event loop can use it."""
    if isinstance(member, Verbs):
        return SyncVerbs(run, member)
    if not callable(member):
        return member

    def call(*arguments: Any, **options: Any) -> Any:
        result = member(*arguments, **options)
        if inspect.iscoroutine(result):
            return run(result)
        if isinstance(result, Listing):
            return SyncListing(run, result)
        if isinstance(result, AsyncIterable):
            return _each(run, aiter(result))
        return result

    return call


def _each(run: Run, items: AsyncIterator[T]) -> Iterator[T]:
    async def following() -> T:
        return await anext(items)

    try:
        while True:
            try:
                item = run(following())
            except StopAsyncIteration:
                return
            yield item
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            run(close())
