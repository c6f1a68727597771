"""Statements and reconciliation with the SDK on a running platform, and its master key changed meanwhile."""

import asyncio
import csv
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from agio_sdk import Agio
from benchmarks.harness import Platform


async def test_a_statement_in_every_form_and_a_break_that_is_seen_to(agio: Agio, tmp_path: Path) -> None:
    account = await agio.open_account("Statement journey")
    await agio.deposit(account.account_id, "USD", Decimal("120.50"), reference="rent")
    withdrawal = await agio.withdraw(account.account_id, "USD", Decimal("20.00"))
    today = datetime.now(UTC).date()

    statement = await agio.statement(account.account_id, today - timedelta(days=1), today)
    lines, document = tmp_path / "statement.csv", tmp_path / "statement.pdf"
    await agio.download_statement(account.account_id, today - timedelta(days=1), today, lines)
    await agio.download_statement(
        account.account_id, today - timedelta(days=1), today, document, format="pdf"
    )

    (usd,) = statement.assets
    assert (usd.opening, usd.credits, usd.debits, usd.closing) == (
        Decimal("0.00"),
        Decimal("120.50"),
        Decimal("20.00"),
        Decimal("100.50"),
    )
    with lines.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[-2]["balance"] == "100.50"
    assert rows[-1]["reference"] == statement.chain_head.hash or not statement.is_final
    assert document.read_bytes().startswith(b"%PDF-")

    assert withdrawal.journal_id is not None
    booked_at = (await agio.ledger.journal(withdrawal.journal_id)).created_at
    as_of = booked_at + timedelta(microseconds=1)
    imported = await agio.import_statement(
        account.account_id, "custodian", as_of, "asset,quantity\nUSD,100.00\n"
    )
    (one,) = await agio.breaks(account.account_id, "open")
    assert (imported.break_count, one.kind) == (1, "external_differs")
    explained = await agio.explain_break(one.break_id, "fifty cents are on their way")
    resolved = await agio.resolve_break(one.break_id, "they arrived")
    assert (explained.state, resolved.state) == ("explained", "resolved")


async def test_the_master_key_changes_while_the_platform_serves(agio: Agio, sim_platform: Platform) -> None:
    before = {account.account_id: account.name for account in await agio.accounts()}

    finished = await asyncio.to_thread(
        subprocess.run,
        [
            *(sys.executable, "-m", "agio", "keys", "rotate-master", "--json"),
            *("--data-dir", str(sim_platform.data_dir)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 0, finished.stderr
    assert msgspec.json.decode(finished.stdout, type=dict[str, object])["rewrapped"] != 0
    assert {account.account_id: account.name for account in await agio.accounts()} == before
    account = await agio.open_account("After the change")
    assert account.name == "After the change"
