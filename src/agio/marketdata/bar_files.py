"""Bars as CSV and Parquet, with the columns and values of their JSON."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec
import numpy as np

from agio.marketdata.bars import VWAP_EXTRA_DIGITS
from agio.marketdata.model import Instrument
from agio.marketdata.rendering import BarView
from agio.marketdata.ticks.duck import quoted
from agio.marketdata.ticks.reader import StoreCursor

_COLUMNS: Final = BarView.__struct_fields__


def bars_as_csv(bars: Sequence[BarView]) -> bytes:
    """A header line and a line for each bar; `is_final` is true or false."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for bar in bars:
        *values, is_final = msgspec.structs.astuple(bar)
        writer.writerow([*values, "true" if is_final else "false"])
    return text.getvalue().encode()


def bars_as_parquet(
    cursor: StoreCursor, bars: Sequence[BarView], instrument: Instrument, folder: Path
) -> bytes:
    """Exact decimals and UTC instants; blocking."""
    price, quantity = instrument.price_scale, instrument.quantity_scale
    types = {
        "interval": "varchar",
        "start": "timestamptz",
        **dict.fromkeys(("open", "high", "low", "close"), f"decimal(38, {price})"),
        "volume": f"decimal(38, {quantity})",
        "vwap": f"decimal(38, {price + VWAP_EXTRA_DIGITS})",
        "trades": "bigint",
        "revision": "bigint",
        "is_final": "boolean",
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"{uuid4().hex}.parquet"
    columns = {name: np.array([str(getattr(bar, name)) for bar in bars], dtype=object) for name in _COLUMNS}
    chosen = ", ".join(f'"{name}"::{types[name]} as "{name}"' for name in _COLUMNS)
    cursor.sql.register("bars", columns)
    try:
        cursor.sql.execute(f"copy (select {chosen} from bars) to '{quoted(str(file))}' (format parquet)")
        return file.read_bytes()
    finally:
        cursor.sql.unregister("bars")
        file.unlink(missing_ok=True)
