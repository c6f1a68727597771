"""The market and connections pages in Debian's Chromium, against a whole platform."""

import csv
import json
import re
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, Page, Route, WebSocket, WebSocketRoute, expect
from tests.e2e.tenants import connect
from tests.e2e.test_dashboard import Visit, browser, context, fits, moves, pytestmark, visit

__all__ = ["browser", "context", "pytestmark", "visit"]

COUNTERS = {
    "source": "SIM",
    "state": "stale",
    "last_message_age_ms": 8200,
    "skew_ms": 38.4,
    "gaps": 11,
    "resyncs": 12,
    "bad_checksums": 13,
    "reconnects": 14,
    "symbols": [
        {"symbol": "BTC-USD", "book": "bad_checksum", "reason": "the venue's CRC32 is 1, ours 2", "gaps": 7}
    ],
}


async def open_page(visit: Visit, hash_path: str, api_key: str | None = None) -> Page:
    """Sign in and go to a page."""
    await visit.sign_in(api_key)
    await expect(visit.page.get_by_role("navigation", name="Pages")).to_be_visible()
    await visit.page.evaluate("path => { location.hash = path }", hash_path)
    return visit.page


class TestTheDirectory:
    async def test_a_few_letters_lead_to_a_market(self, visit: Visit) -> None:
        page = await open_page(visit, "#/market")
        table = page.get_by_role("table", name="Instruments")
        await expect(table.locator("tbody tr", has_text="BTC-USD")).to_contain_text("bps")
        search = page.get_by_label("Search instruments")
        await search.fill("no such thing")
        await expect(page.get_by_text("Nothing is called no such thing.")).to_be_visible()
        await search.fill("bitc")
        await expect(table.locator("tbody tr")).to_have_count(1)
        await search.press("Enter")
        await expect(page.get_by_label("Instrument", exact=True)).to_have_value("BTC-USD")
        await page.reload()
        await expect(page.get_by_label("Instrument", exact=True)).to_have_value("BTC-USD")
        await page.keyboard.press("]")
        await expect(page.get_by_label("Instrument", exact=True)).not_to_have_value("BTC-USD")
        await page.keyboard.press("Escape")
        await expect(search).to_be_visible()
        assert visit.complaints == []

    async def test_an_unknown_symbol_is_said(self, visit: Visit) -> None:
        page = await open_page(visit, "#/market/NOBODY")
        await expect(page.get_by_text("There is no instrument NOBODY.")).to_be_visible()


class TestTheMarketPage:
    async def test_depth_tape_and_candles_move_and_everything_is_proven(self, visit: Visit) -> None:
        page = await open_page(visit, "#/market/BTC-USD")
        await expect(page.locator(".depth-chart path.bid")).to_have_attribute("d", re.compile("^M"))
        await moves(page.get_by_role("list", name="Bids"))
        await moves(page.get_by_role("list", name="Asks"))
        await moves(page.locator(".sales-window"))
        await moves(page.locator(".legend-v dd"))
        await page.get_by_label("Interval").select_option("5m")
        # These are folded from the trades when they are asked for.
        await expect(page.locator(".legend-v dd")).to_be_visible(timeout=60_000)
        await moves(page.locator(".legend-v dd"))
        await expect(page.locator(".legend-vwap dd")).to_have_text(re.compile(r"^[\d,]+\.\d\d$"))
        sources = page.get_by_role("table", name="Sources")
        await expect(sources.locator("tbody tr").first).to_contain_text("SIM Live")
        await expect(sources.locator("tbody tr", has_text="BTC-USD")).to_have_text(re.compile(r"\d ?m?s"))
        await page.get_by_role("tab", name="This stream").click()
        facts = page.locator(".stream-facts")
        await expect(facts).to_have_text(re.compile(r"Verified ([\d,]*[1-9]) of \1B"))
        await expect(facts).to_have_text(re.compile(r"[1-9] in order, up to no\. [1-9]"))
        await expect(facts).to_contain_text("Gaps toldNone")
        assert visit.complaints == []

    async def test_prices_are_grouped_without_losing_size(self, visit: Visit) -> None:
        page = await open_page(visit, "#/market/BTC-USD")
        await page.get_by_label("Price grouping").select_option("10.00")
        prices = page.locator(".ladder-line .price")
        await expect(prices.first).to_have_text(re.compile(r"0\.00$"))
        assert all(text.endswith("0.00") for text in await prices.all_inner_texts())

    async def test_the_tape_stands_still_when_paused_and_shows_large_trades_only(self, visit: Visit) -> None:
        page = await open_page(visit, "#/market/BTC-USD")
        tape = page.get_by_role("region", name="Time & sales")
        rows = tape.locator(".sales-window")
        await moves(rows)
        await tape.get_by_role("button", name="Pause").click()
        before = await rows.inner_text()
        await expect(tape.locator(".panel-note")).to_have_text(re.compile("Paused, [1-9]"))
        assert await rows.inner_text() == before
        await page.keyboard.press("Tab")
        await tape.get_by_role("button", name="Resume").click()
        await expect(rows).not_to_have_text(before, use_inner_text=True)
        await tape.get_by_label("Size from").fill("100000")
        await expect(tape.get_by_text("No trade is that large.")).to_be_visible()
        await tape.get_by_label("Size from").fill("0.05")
        await expect(rows.locator(".sales-row").first).to_be_visible()
        sizes = await rows.locator(".sales-row > :nth-child(3)").all_inner_texts()
        assert min(float(size) for size in sizes) >= 0.05

    async def test_what_is_shown_is_exported(self, visit: Visit, tmp_path: Path) -> None:
        page = await open_page(visit, "#/market/BTC-USD")
        tape = page.get_by_role("region", name="Time & sales")
        await expect(tape.locator(".sales-window .sales-row").first).to_be_visible()
        await tape.get_by_role("button", name="Pause").click()
        newest = await tape.locator(".sales-window .sales-row").first.get_attribute("title")
        await tape.locator("summary").click()
        async with page.expect_download() as download:
            await tape.get_by_role("button", name="CSV").click()
        file = await download.value
        assert file.suggested_filename == "BTC-USD-trades.csv"
        await file.save_as(tmp_path / "trades.csv")
        rows = list(csv.DictReader((tmp_path / "trades.csv").read_text(encoding="utf-8").splitlines()))
        assert newest is not None
        assert newest.startswith(f"No. {rows[-1]['seq']},")

    async def test_a_stale_source_and_its_counters_are_shown(self, visit: Visit) -> None:
        async def answer(route: Route) -> None:
            told: dict[str, Any] = {"market": "live", "venues": [], "sources": [COUNTERS], "replay": None}
            await route.fulfill(body=json.dumps(told), content_type="application/json")

        await visit.page.route("**/api/market/status", answer)
        page = await open_page(visit, "#/market/BTC-USD")
        rows = page.get_by_role("table", name="Sources").locator("tbody tr")
        await expect(rows.first.locator("td")).to_have_text(
            ["SIM Stale", "8.2 s", "38 ms", "11", "12", "13", "14"]
        )
        await expect(rows.nth(1)).to_contain_text("book bad checksum")
        await expect(page.locator(".freshness")).to_contain_text("Stale")

    async def test_a_lost_connection_is_counted_and_the_book_is_proven_again(self, visit: Visit) -> None:
        sockets: list[WebSocketRoute] = []

        def connect_through(route: WebSocketRoute) -> None:
            sockets.append(route)
            route.connect_to_server()

        await visit.page.route_web_socket(re.compile("/stream$"), connect_through)
        page = await open_page(visit, "#/market/BTC-USD")
        await page.get_by_role("tab", name="This stream").click()
        facts = page.locator(".stream-facts")
        await expect(facts).to_have_text(re.compile("Reconnects0.*[1-9] in order"))
        await sockets[-1].close(code=4008, reason="too slow")
        await expect(facts).to_have_text(re.compile("Live for.*Reconnects1"))
        await moves(page.get_by_role("list", name="Bids"))


class TestTheConnectionsPage:
    async def test_one_is_seen_and_disconnected_and_comes_back(
        self, visit: Visit, context: BrowserContext
    ) -> None:
        other = Visit(await context.new_page(), visit.platform)
        seen: list[str] = []
        other.page.on("websocket", lambda socket: _listen(socket, seen))
        await open_page(other, "#/market/BTC-USD")
        await expect(other.page.get_by_role("list", name="Bids")).to_be_visible()
        page = await open_page(visit, "#/connections")
        await page.get_by_label("Filter connections").fill("trades:BTC-USD")
        theirs = seen[-1]
        row = page.get_by_role("table", name="Connections").locator("tbody tr", has_text=theirs)
        await expect(row).to_contain_text("channels")
        await row.locator("summary").click()
        await expect(row).to_contain_text("book:BTC-USD")
        await row.get_by_role("button", name="Disconnect").click()
        await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await row.get_by_role("button", name="Disconnect").click()
        dialog = page.get_by_role("dialog", name="Disconnect this connection?")
        await expect(dialog).to_contain_text(theirs)
        async with other.page.expect_websocket():
            await dialog.get_by_role("button", name="Disconnect").click()
        await expect(row).to_have_count(0)
        await expect(other.page.locator(".chip", has_text="Live").last).to_be_visible()
        await moves(other.page.get_by_role("list", name="Bids"))

    async def test_opened_first_it_needs_no_stream_of_its_own(self, visit: Visit) -> None:
        page = visit.page
        await page.goto(f"{visit.platform.url}/#/connections")
        await page.get_by_label("API key").fill(visit.platform.api_key)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator(".connection-totals")).to_contain_text("Connections")
        await expect(page.locator('.top [role="status"]')).to_have_text("Idle")

    async def test_a_key_without_the_right_is_told_which_it_needs(self, visit: Visit) -> None:
        with connect(visit.platform, visit.platform.api_key) as http:
            made = http.post("/api/keys", json={"name": "reader", "scopes": ["market:read", "accounts:read"]})
        page = await open_page(visit, "#/connections", made.json()["api_key"])
        await expect(page.get_by_text("This key may not see connections")).to_contain_text("ops:read")


async def test_all_of_it_fits_a_desk_and_a_phone(visit: Visit) -> None:
    page = await open_page(visit, "#/market")
    for path, shown in (
        ("#/market", ".directory-rows"),
        ("#/market/BTC-USD", ".ladder-line >> nth=0"),
        ("#/connections", ".connection-totals"),
    ):
        await page.evaluate("path => { location.hash = path }", path)
        await expect(page.locator(shown)).to_be_visible()
        for width, height in ((1280, 800), (390, 844)):
            await fits(page, width, height)


def _listen(socket: WebSocket, seen: list[str]) -> None:
    def heard(payload: str | bytes) -> None:
        if isinstance(payload, str) and '"op":"welcome"' in payload:
            seen.append(str(json.loads(payload)["conn"]))

    socket.on("framereceived", heard)
