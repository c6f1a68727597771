"""What people write is searched for in everything that is kept: tables, files of both servers, logs."""

import asyncio
import base64
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.conftest import Databases
from tests.nodes import bearer
from tests.security.surface import Surface

from agio.identity.api import SCOPES
from agio.platform.bus import Bus
from agio.platform.db import Database
from agio.platform.embedded.postgres import EmbeddedPostgres
from agio.platform.relay import OutboxRelay

IBAN = "GB82WEST12345698765432"
QUANTITY = "0000731950731950.00"
"""As a file writes it, and as nothing of ours would."""
PATIENCE_SECONDS = 60


class Written:
    """Texts that must not be found, each of them unique."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {"quantity": QUANTITY, "iban": IBAN}

    def __call__(self, what: str) -> str:
        self.texts[what] = f"Marker {what} 7f3d9b"
        return self.texts[what]


def shapes(text: str) -> Iterator[bytes]:
    """How the text could lie around: as it is, in hexadecimal, in base64 at any offset, as JSON escapes."""
    raw = text.encode()
    yield raw
    yield raw.hex().encode()
    for offset in range(3):
        padded = base64.b64encode(b"\0" * offset + raw)
        yield padded[4 if offset else 0 : len(padded) - 4]
    yield raw.decode().replace(" ", "\\u0020").encode()


async def write_everywhere(surface: Surface, mark: Written) -> str:
    """Send every kind of text through the API, as its users would; returns the account's id."""
    organisation_id = await surface.identity.create_organisation(mark("organisation"))
    issued = await surface.identity.issue_key(
        organisation_id, "sandbox", list(SCOPES), name=mark("first key")
    )
    headers = bearer(issued.secret)

    async def send(path: str, body: dict[str, Any], key: str | None = None) -> Any:
        extra = {"Idempotency-Key": key} if key else {}
        answer = await surface.client.post(path, json=body, headers=headers | extra)
        assert answer.status_code in {200, 201}, f"{path}: {answer.text}"
        return answer.json()

    await send("/api/keys", {"name": mark("second key"), "scopes": ["market:read"]})
    account = await send("/api/accounts", {"name": mark("account")}, "key-1")
    account_id = str(account["account_id"])
    move = {"account_id": account_id, "direction": "deposit", "asset": "USD", "amount": "10.00"}
    await send("/api/transfers", move | {"reference": mark("transfer")}, "key-2")
    await send("/api/transfers", move | {"reference": mark("second transfer")})
    await send("/api/portfolios", {"name": mark("portfolio"), "account_ids": [account_id]})
    file = {"source": "bank", "as_of": "2026-01-01T00:00:00Z", "content": f"asset,quantity\nUSD,{QUANTITY}\n"}
    await send(f"/api/accounts/{account_id}/external-statements", file)
    found = await surface.client.get("/api/breaks", headers=headers)
    break_id = found.json()["items"][0]["break_id"]
    await send(f"/api/breaks/{break_id}/explain", {"reason": mark("explanation")})
    if surface.offers("POST", "/api/vaults"):
        vault = await send("/api/vaults", {"name": mark("vault")}, "key-3")
        await send(f"/api/vaults/{vault['vault_id']}/sub-accounts", {"asset": "USD", "location": "cold"})
        await send(
            "/api/custody/destinations",
            {"kind": "iban", "name": mark("destination"), "address": IBAN},
            "key-4",
        )
    for path in (f"/api/accounts/{account_id}", "/api/transfers", f"/api/breaks/{break_id}"):
        answer = await surface.client.get(path, headers=headers)
        assert any(text in answer.text for text in mark.texts.values()), path
    return account_id


def dump(owner_url: str) -> dict[str, bytes]:
    """Every table of every schema, as a backup would hold it."""
    tables: dict[str, bytes] = {}
    with psycopg.connect(owner_url, autocommit=True) as connection:
        names = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        for schema, table in names:
            statement = sql.SQL("copy {} to stdout").format(sql.Identifier(schema, table))
            with connection.cursor().copy(statement) as copy:
                tables[f"{schema}.{table}"] = b"".join(bytes(part) for part in copy)
    return tables


def files_of(*folders: Path) -> dict[str, bytes]:
    kept: dict[str, bytes] = {}
    for folder in folders:
        for path in folder.rglob("*"):
            with suppress(OSError):
                if path.is_file():
                    kept[str(path)] = path.read_bytes()
    return kept


async def relay_all(database: Database, bus: Bus, server_folder: Path) -> None:
    """Move every event to the log and to the bus, until it is in a file of the bus' server."""
    await bus.ensure_event_stream()
    relaying = asyncio.create_task(OutboxRelay(database, bus).run())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await is_stored(database, server_folder):
            await asyncio.sleep(0.05)
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)


async def is_stored(database: Database, server_folder: Path) -> bool:
    async with database.transaction() as tx:
        if await tx.value("select exists (select from platform.outbox)"):
            return False
        told = await tx.fetch_tuples("select event_id from platform.event_log")
    files = await asyncio.to_thread(files_of, server_folder / "nats-home")
    stored = b"".join(files.values())
    return all(event_id.encode() in stored for (event_id,) in told)


async def test_nothing_that_people_write_is_kept_in_plain_text(
    surface: Surface,
    engine_database: Database,
    bus: Bus,
    databases: Databases,
    embedded_postgres: EmbeddedPostgres,
    server_folder: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    mark = Written()
    account_id = await write_everywhere(surface, mark)
    await relay_all(engine_database, bus, server_folder)

    tables = await asyncio.to_thread(dump, databases.owner_url)
    files = await asyncio.to_thread(files_of, server_folder, embedded_postgres.folder)
    printed = capfd.readouterr()
    logs = {"output": printed.out.encode(), "errors": printed.err.encode(), "log": caplog.text.encode()}

    # The search finds what is there: the account's id is in tables, in the servers' files, and on the bus.
    assert account_id.encode() in tables["custody.account"]
    assert account_id.encode() in tables["platform.event_log"]
    assert any(account_id.encode() in content for path, content in files.items() if "nats" in path)
    assert any(account_id.encode() in content for path, content in files.items() if "postgres" in path)
    found = [
        f"{what} in {place}"
        for place, content in {**tables, **files, **logs}.items()
        for what, text in mark.texts.items()
        if any(shape in content for shape in shapes(text))
    ]
    assert found == []
