"""The documented one-liners: DuckDB, pandas and Polars on the recorded market."""

import contextlib
import importlib
import io
import re
from pathlib import Path

import pytest
from tests.conftest import CHECKOUT
from tests.integration.marketdata.ticks.tick_world import START, TickWorld, some_trades
from typer.testing import CliRunner

from agio.app.cli.program import build
from agio.app.ticks import open_ticks

GUIDE = (CHECKOUT / "docs" / "guides" / "market-data.md").read_text(encoding="utf-8")


def one_liners() -> dict[str, str]:
    """The lines of the guide by what they are for."""
    (block,) = re.findall(r"^```py\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    return {
        name: line for line, name in re.findall(r"^(.*open_ticks\(\).*?)\s+# (\w+)$", block, re.MULTILINE)
    }


@pytest.fixture
async def recorded(ticks: TickWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TickWorld:
    """Trades on both sides of the seam, and the environment of a user on this machine."""
    await ticks.record(some_trades(300))
    async with ticks.engine.database.transaction() as tx:
        await tx.execute(
            "insert into marketdata.quote select 'BTC-USD', n, %s + n, n, n, n + 5, 7, now()"
            " from generate_series(1, 30) n",
            (START,),
        )
    monkeypatch.setenv("AGIO_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("AGIO_TICKS_READER_DATABASE_URL", ticks.reader_address.url)
    return ticks


@pytest.fixture
def lines() -> dict[str, str]:
    found = one_liners()
    assert set(found) == {"DuckDB", "pandas", "Polars"}
    return found


class TestOneLiners:
    async def test_duckdb_sees_every_trade_once_before_and_after_it_is_moved(
        self, recorded: TickWorld, lines: dict[str, str]
    ) -> None:
        shown = []
        for _ in range(2):
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(lines["DuckDB"], {"open_ticks": open_ticks})  # noqa: S102 - the guide's own line
            shown.append(output.getvalue())
            await recorded.move_all()
            await recorded.record([])

        assert "300" in shown[0]
        assert shown[0] == shown[1]

    @pytest.mark.parametrize(("name", "module"), [("pandas", "pandas"), ("Polars", "polars")])
    async def test_frames(self, recorded: TickWorld, lines: dict[str, str], name: str, module: str) -> None:
        library = pytest.importorskip(
            module, reason=f"{name} is for people's own tables: pip install {module}"
        )
        await recorded.move_all()
        await recorded.record(some_trades(5, first=300))
        names: dict[str, object] = {"open_ticks": open_ticks, "pl": library}

        exec(lines[name], names)  # noqa: S102 - the guide's own line

        frame = names["frame"]
        assert len(frame) == {"pandas": 305, "Polars": 30}[name]  # type: ignore[arg-type]

    async def test_exact_prices_agree_with_rest(self, recorded: TickWorld) -> None:
        await recorded.move_all()
        items = await recorded.pages("/BTC-USD/trades", limit=1000)

        connection = open_ticks()
        rows = connection.sql("select seq, price, size, side, trade_id from trades order by seq").fetchall()
        connection.close()

        assert [
            (item["seq"], float(item["price"]), float(item["size"]), item["side"], item["id"])
            for item in items
        ] == rows


class TestCommandLine:
    async def test_answers_as_csv_file_or_statement(self, recorded: TickWorld, tmp_path: Path) -> None:
        await recorded.move_all()
        program = build(["ticks", "down"])
        file = tmp_path / "answer.parquet"

        written = CliRunner().invoke(program, ["ticks", "from trades", "--out", str(file)])
        attach = CliRunner().invoke(program, ["ticks", "--attach"])
        wrong = CliRunner().invoke(program, ["ticks", "delete from lake.trade_ticks"])

        assert written.exit_code == 0, written.output
        assert importlib.import_module("duckdb").sql(f"select count(*) from '{file}'").fetchone() == (300,)
        assert "user=agio_ticks_reader" in attach.output
        assert wrong.exit_code == 1
        assert len(await recorded.pages("/BTC-USD/trades", limit=1000)) == 300
