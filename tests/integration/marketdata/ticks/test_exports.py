"""Files of trades, quotes and bars: the same values as the JSON, whole or with a cursor."""

import csv
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from tests.integration.marketdata.ticks.tick_world import START, TickWorld, some_trades

from agio.marketdata.api import Trade
from agio.marketdata.past_routes import CSV, NEXT_CURSOR, PARQUET

LATER = "2013-09-01T17:03:30Z"
NUMBERS = {"seq": int, "trades": int, "revision": int}


@pytest.fixture
async def seamed(ticks: TickWorld) -> TickWorld:
    """Trades and quotes on both sides of the seam; one id that a careless CSV would break."""
    odd = Trade(START, 6_400_001, 3, 0, 'a "quoted",\nid')
    await ticks.record([odd, *some_trades(400)])
    async with ticks.engine.database.transaction() as tx:
        await tx.execute(
            "insert into marketdata.quote select 'BTC-USD', n, %s + n * 1000000000::bigint, n, n %% 3, n + 5,"
            " 7, now() from generate_series(1, 60) n",
            (START,),
        )
    await ticks.move_all()
    await ticks.record(some_trades(50, first=401))
    return ticks


async def fetch(ticks: TickWorld, path: str, accept: str, **query: object) -> httpx.Response:
    answer = await ticks.client.get(
        f"/api/market{path}",
        params={name: str(value) for name, value in query.items()},
        headers={"Accept": accept},
    )
    assert answer.status_code == 200, answer.text
    return answer


def read_csv(answer: httpx.Response) -> list[dict[str, Any]]:
    rows = csv.DictReader(io.StringIO(answer.text, newline=""))
    return [
        {
            name: NUMBERS[name](value)
            if name in NUMBERS
            else value == "true"
            if name == "is_final"
            else value or None
            for name, value in row.items()
        }
        for row in rows
    ]


def read_parquet(answer: httpx.Response, folder: Path) -> list[dict[str, Any]]:
    file = folder / "answer.parquet"
    file.write_bytes(answer.content)
    found = duckdb.execute(
        f"select * replace (strftime({_time_of(file)}, '%Y-%m-%dT%H:%M:%S.%fZ') as {_time_of(file)})"
        f" from (select * replace ({_time_of(file)}::timestamp as {_time_of(file)}) from '{file}')"
    )
    names = [column[0] for column in found.description]
    return [
        {
            name: format(value, "f") if isinstance(value, Decimal) else value
            for name, value in zip(names, row, strict=True)
        }
        for row in found.fetchall()
    ]


def _time_of(file: Path) -> str:
    names = [row[0] for row in duckdb.execute(f"describe from '{file}'").fetchall()]
    return "venue_time" if "venue_time" in names else "start"


def without_absent(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


class TestFiles:
    @pytest.mark.parametrize(
        ("path", "query"),
        [
            ("/BTC-USD/trades", {}),
            (
                "/BTC-USD/trades",
                {"start": "2013-09-01T17:00:20Z", "end": LATER, "after_seq": 50},
            ),
            ("/BTC-USD/quotes", {}),
            ("/BTC-USD/bars", {"interval": "15s", "start": "2013-09-01T17:00:00Z"}),
            ("/BTC-USD/bars", {"interval": "1m", "start": "2013-09-01T17:00:00Z"}),
        ],
    )
    async def test_equal_to_the_json(
        self, seamed: TickWorld, tmp_path: Path, path: str, query: dict[str, object]
    ) -> None:
        items = without_absent(await seamed.pages(path, limit=1000, **query))

        from_csv = read_csv(await fetch(seamed, path, CSV, **query))
        from_parquet = read_parquet(await fetch(seamed, path, PARQUET, **query), tmp_path)

        assert items
        assert without_absent(from_csv) == items
        assert without_absent(from_parquet) == items

    async def test_what_does_not_fit_has_a_cursor_and_a_file_that_fits_has_none(
        self, seamed: TickWorld
    ) -> None:
        whole = read_csv(await fetch(seamed, "/BTC-USD/trades", CSV))
        parts, cursor = [], {}
        while True:
            answer = await fetch(seamed, "/BTC-USD/trades", CSV, limit=200, **cursor)
            parts += read_csv(answer)
            if NEXT_CURSOR not in answer.headers:
                break
            cursor = {"cursor": answer.headers[NEXT_CURSOR]}

        assert parts == whole
        assert [row["seq"] for row in whole] == list(range(1, 452))

    async def test_an_empty_span_is_a_header_and_an_empty_table(
        self, seamed: TickWorld, tmp_path: Path
    ) -> None:
        for path in ("trades", "quotes", "bars"):
            query = {"start": "2030-01-01T00:00:00Z"}
            text = (await fetch(seamed, f"/BTC-USD/{path}", CSV, **query)).text
            assert text.count("\n") == 1
            assert read_parquet(await fetch(seamed, f"/BTC-USD/{path}", PARQUET, **query), tmp_path) == []

    async def test_no_file_is_left_behind(self, seamed: TickWorld) -> None:
        for path in ("trades", "quotes", "bars"):
            await fetch(seamed, f"/BTC-USD/{path}", PARQUET)

        assert list(seamed.reader.export_folder.iterdir()) == []


class TestAccept:
    @pytest.mark.parametrize(
        ("accept", "form"),
        [
            ("*/*", "application/json"),
            ("text/html, */*;q=0.1", "application/json"),
            ("text/csv;q=0.5, application/json;q=0.4", "text/csv"),
            ("TEXT/CSV", "text/csv"),
            ("application/vnd.apache.parquet, text/csv;q=0.9", PARQUET),
        ],
    )
    async def test_the_best_liked_form_is_given(self, ticks: TickWorld, accept: str, form: str) -> None:
        answer = await fetch(ticks, "/BTC-USD/trades", accept)

        assert answer.headers["Content-Type"].startswith(form)
        assert answer.headers["Content-Type"].count("charset") == (form == "text/csv")
        assert answer.headers["Vary"] == "Accept"

    @pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "text/csv;q=nan", "," * 5000, "\xff"])
    async def test_nothing_that_we_have_is_406(self, ticks: TickWorld, accept: str) -> None:
        answer = await ticks.client.get(
            "/api/market/BTC-USD/bars", headers={"Accept": accept.encode("latin-1")}
        )

        assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")

    @pytest.mark.parametrize(
        "query", [{"limit": 0}, {"limit": 5_000_001}, {"after_seq": -1}, {"cursor": "x"}]
    )
    async def test_hostile_parameters_are_422(self, ticks: TickWorld, query: dict[str, object]) -> None:
        answer = await ticks.client.get("/api/market/BTC-USD/trades", params=query, headers={"Accept": CSV})

        assert answer.status_code == 422, answer.text
