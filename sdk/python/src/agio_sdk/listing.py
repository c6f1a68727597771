"""Lists of the interface, read page by page as they are walked through."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from agio_sdk.models import Page

T = TypeVar("T")


class Listing(Generic[T]):
    """A list that is read while you iterate: `async for entry in listing`.

    `await listing.all()` reads everything; `await listing.page(cursor)` one page with the cursor of the next.
    """

    def __init__(self, read: Callable[[str | None], Awaitable[Page[T]]]) -> None:
        self._read = read

    async def __aiter__(self) -> AsyncIterator[T]:
        cursor: str | None = None
        while True:
            page = await self._read(cursor)
            for item in page.items:
                yield item
            cursor = page.next_cursor
            if cursor is None:
                return

    async def all(self) -> list[T]:
        """All items; for lists that you know to be short."""
        return [item async for item in self]

    async def page(self, cursor: str | None = None) -> Page[T]:
        """The first page, or the one that a cursor leads to."""
        return await self._read(cursor)
