"""Lists as tables of pandas, Polars or Arrow, where one of them is installed."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from importlib import import_module
from typing import Any, TypeVar

import msgspec

from agio_sdk.errors import MissingPackage
from agio_sdk.listing import Listing
from agio_sdk.models import Page

T = TypeVar("T", bound=msgspec.Struct)


class Table(Listing[T]):
    """A list that can be had as a table, one column for each field.

    Decimals become float64, which is what analyses want; `exact=True` keeps them as they are.
    """

    def __init__(self, kind: type[T], read: Callable[[str | None], Awaitable[Page[T]]]) -> None:
        super().__init__(read)
        self._kind = kind

    async def columns(self, *, exact: bool = False) -> dict[str, list[Any]]:
        """All items, as a list of values for each field."""
        names = [field.name for field in msgspec.structs.fields(self._kind)]
        columns: dict[str, list[Any]] = {name: [] for name in names}
        async for item in self:
            for name in names:
                columns[name].append(getattr(item, name))
        return columns if exact else {name: _floats(column) for name, column in columns.items()}

    async def to_pandas(self, *, exact: bool = False) -> Any:
        """A `pandas.DataFrame`; raises MissingPackage."""
        return _package("pandas").DataFrame(await self.columns(exact=exact))

    async def to_polars(self, *, exact: bool = False) -> Any:
        """A `polars.DataFrame`; raises MissingPackage."""
        return _package("polars").DataFrame(await self.columns(exact=exact))

    async def to_arrow(self, *, exact: bool = False) -> Any:
        """A `pyarrow.Table`; raises MissingPackage."""
        return _package("pyarrow").table(await self.columns(exact=exact))


def _floats(column: list[Any]) -> list[Any]:
    return [float(value) if isinstance(value, Decimal) else value for value in column]


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingPackage(name) from error
