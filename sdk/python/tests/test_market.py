"""History: pages, tables, files that are whole or not there."""

import asyncio
import sys
import types
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sdk.python.tests.script import Timer, serving

from agio_sdk import Agio, ApiError, MissingPackage, Progress, SyncAgio

ROWS: list[dict[str, Any]] = [
    {"seq": seq, "price": f"{seq}.50", "size": "2", "venue_time": "2026-01-31T12:00:00Z"}
    for seq in range(1, 8)
]
START = datetime(2026, 1, 31, tzinfo=UTC)


async def trades(request: web.Request) -> web.Response:
    """Three rows a page or file."""
    after = int(request.query.get("cursor", "0"))
    found = [row for row in ROWS if row["seq"] > after][:3]
    more = str(found[-1]["seq"]) if found[-1] is not ROWS[-1] else None
    headers = {} if more is None else {"Agio-Next-Cursor": more}
    match request.headers["Accept"]:
        case "text/csv":
            text = "seq,price\r\n" + "".join(f"{row['seq']},{row['price']}\r\n" for row in found)
            return web.Response(text=text, headers=headers)
        case "application/vnd.apache.parquet":
            return web.Response(body=f"PAR1 after {after}".encode(), headers=headers)
        case _:
            assert request.query["start"] == "2026-01-31T00:00:00Z"
            return web.json_response({"items": found, "next_cursor": more})


def names(folder: Path) -> list[str]:
    """What is in a folder, the file without a number first."""
    return sorted((path.name for path in folder.iterdir()), key=lambda name: (len(name), name))


@pytest.fixture
async def agio() -> Any:
    routes = [web.get("/api/market/X/trades", trades)]
    async with serving(routes) as url, Agio(url, "key", pace=Timer().pace()) as client:
        yield client


class TestPages:
    async def test_are_read_while_iterating(self, agio: Agio) -> None:
        listing = agio.market.trades("X", start=START)
        assert [(trade.seq, trade.price) async for trade in listing][-1] == (7, Decimal("7.50"))
        assert len(await listing.all()) == 7
        page = await listing.page()
        assert (len(page.items), page.next_cursor) == (3, "3")


class TestTables:
    async def test_columns_are_floats_or_exact(self, agio: Agio) -> None:
        listing = agio.market.trades("X", start=START)
        assert (await listing.columns())["price"] == [seq + 0.5 for seq in range(1, 8)]
        exact = await listing.columns(exact=True)
        assert exact["price"][0] == Decimal("1.50")
        assert list(exact)[:4] == ["price", "size", "venue_time", "seq"]

    @pytest.mark.parametrize(
        ("package", "verb", "maker"),
        [
            ("pandas", "to_pandas", "DataFrame"),
            ("polars", "to_polars", "DataFrame"),
            ("pyarrow", "to_arrow", "table"),
        ],
    )
    async def test_are_made_by_whatever_is_installed(
        self, agio: Agio, monkeypatch: pytest.MonkeyPatch, package: str, verb: str, maker: str
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        listing = agio.market.trades("X", start=START)
        with pytest.raises(MissingPackage, match=f"pip install {package}"):
            await getattr(listing, verb)()
        stand_in: Any = types.SimpleNamespace(**{maker: dict})
        monkeypatch.setitem(sys.modules, package, stand_in)
        assert (await getattr(listing, verb)())["seq"] == list(range(1, 8))


class TestExport:
    async def test_csv_goes_on_in_one_file(self, agio: Agio, tmp_path: Path) -> None:
        told: list[Progress] = []
        target = tmp_path / "trades.csv"
        done = await agio.market.export("trades", "X", target, on_progress=told.append)
        lines = target.read_text().splitlines()
        assert lines == ["seq,price", *(f"{seq},{seq}.50" for seq in range(1, 8))]
        assert (done.paths, done.size_bytes) == ([target], target.stat().st_size)
        assert [(one.files, one.file_bytes == one.total_bytes) for one in told] == [
            (1, True),
            (2, True),
            (3, True),
        ]

    async def test_parquet_goes_on_in_further_files(self, agio: Agio, tmp_path: Path) -> None:
        done = await agio.market.export("trades", "X", tmp_path / "trades.parquet")
        assert [path.name for path in done.paths] == [f"trades{end}.parquet" for end in ("", "-2", "-3")]
        assert [path.name for path in done.paths] == names(tmp_path)

    async def test_what_breaks_off_is_repeated_and_never_half_there(self, tmp_path: Path) -> None:
        answers = iter([503, 200, 200, 404])
        asked: list[web.Request] = []

        async def breaks_off(request: web.Request) -> web.StreamResponse:
            status = next(answers)
            if status != 200:
                return web.json_response({"code": "unknown_instrument"}, status=status)
            asked.append(request)
            response = web.StreamResponse(headers={"Content-Length": "10"})
            await response.prepare(request)
            await response.write(b"seq\r\n")
            if len(asked) == 1:
                assert request.transport is not None
                request.transport.close()
                return response
            await response.write(b"1\r\n2\n")
            return response

        target = tmp_path / "t.csv"
        timer = Timer()
        routes = [web.get("/api/market/X/trades", breaks_off)]
        async with serving(routes) as url, Agio(url, "key", pace=timer.pace()) as agio:
            await agio.market.export("trades", "X", target)
            assert target.read_bytes() == b"seq\r\n1\r\n2\n"
            with pytest.raises(ApiError):
                await agio.market.export("trades", "X", tmp_path / "other.csv")
        assert names(tmp_path) == [target.name]
        assert len(timer.slept) == 2

    async def test_a_name_that_says_no_form_is_refused(self, agio: Agio, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="name the file"):
            await agio.market.export("trades", "X", tmp_path / "trades.xlsx")


class TestBlocking:
    async def test_the_same_verbs_without_an_event_loop(self, agio: Agio, tmp_path: Path) -> None:
        def work() -> None:
            with SyncAgio(agio.url, "key") as client:
                assert [trade.seq for trade in client.market.trades("X", start=START)] == list(range(1, 8))
                assert client.market.trades("X", start=START).columns()["size"] == [2.0] * 7
                assert client.market.export("trades", "X", tmp_path / "trades.csv").size_bytes > 0

        await asyncio.to_thread(work)
