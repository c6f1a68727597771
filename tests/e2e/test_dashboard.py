"""The dashboard in Debian's Chromium, against a whole platform."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    WebSocketRoute,
    async_playwright,
    expect,
)

from agio.app.dashboard_files import FOLDER
from benchmarks.harness import Platform

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
PATIENCE_MS = 20_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
    pytest.mark.skipif(
        not (FOLDER / "index.html").exists(), reason="the dashboard is not built: python hatch_build.py"
    ),
]


class Visit:
    """A page of the dashboard, and everything that its console complained about."""

    def __init__(self, page: Page, platform: Platform) -> None:
        self.page = page
        self.platform = platform
        self.complaints: list[str] = []
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)

    async def sign_in(self, api_key: str | None = None) -> None:
        await self.page.goto(self.platform.url)
        await self.page.get_by_label("API key").fill(api_key or self.platform.api_key)
        await self.page.get_by_role("button", name="Sign in").click()

    async def choose(self, symbol: str) -> None:
        await self.page.locator(f'[data-symbol="{symbol}"]').click()
        await expect(self.page.locator(".symbol-name h2")).to_have_text(symbol)

    async def fill_ticket(self, *, kind: str, quantity: str, price: str | None = None) -> None:
        ticket = self.page.locator(".area-ticket")
        await ticket.get_by_role("radio", name=kind).check(force=True)
        await ticket.get_by_label("Quantity", exact=True).fill(quantity)
        if price is not None:
            await ticket.get_by_label("Price", exact=True).fill(price)

    async def submit(self) -> None:
        await self.page.locator(".area-ticket button[type=submit]").click()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        await chromium.close()


@pytest.fixture
async def context(browser: Browser) -> BrowserContext:
    """A clean browser profile; it accepts the platform's own certificate authority."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, ignore_https_errors=True)
    context.set_default_timeout(PATIENCE_MS)
    return context


@pytest.fixture
async def visit(context: BrowserContext, sim_platform: Platform) -> Visit:
    expect.set_options(timeout=PATIENCE_MS)
    return Visit(await context.new_page(), sim_platform)


class TestSignIn:
    async def test_a_key_that_the_server_does_not_know_is_refused_in_words(self, visit: Visit) -> None:
        await visit.sign_in("agio_sandbox_" + "A" * 50)
        await expect(visit.page.get_by_role("alert")).to_contain_text("does not know this key")

    async def test_text_that_is_no_key_is_not_sent(self, visit: Visit) -> None:
        asked: list[str] = []
        visit.page.on("request", lambda request: asked.append(request.url))
        await visit.sign_in("hello")
        await expect(visit.page.get_by_role("alert")).to_contain_text("A key begins with")
        assert not [url for url in asked if "/api/" in url]

    async def test_the_key_lives_in_this_tab_only_and_goes_with_the_sign_out(self, visit: Visit) -> None:
        await visit.sign_in()
        await expect(visit.page.locator(".chip.state-live").last).to_be_visible()
        assert await visit.page.evaluate("Object.keys(localStorage).length") == 0
        assert visit.platform.api_key in await visit.page.evaluate("JSON.stringify(sessionStorage)")
        await visit.page.reload()
        await expect(visit.page.locator(".desk")).to_be_visible()
        await visit.page.get_by_role("button", name="Sign out").click()
        await expect(visit.page.get_by_label("API key")).to_be_visible()
        assert await visit.page.evaluate("Object.keys(sessionStorage).length") == 0


class TestTheDesk:
    async def test_everything_is_live_and_nothing_complains(self, visit: Visit) -> None:
        await visit.sign_in()
        page = visit.page
        await visit.choose("BTC-USD")
        # Other tests may have added instruments of their own.
        for symbol in ("ACME-USD", "BTC-USD", "ETH-USD", "EUR-USD"):
            await expect(page.get_by_role("option", name=symbol)).to_be_visible()
        await expect(page.locator(".chip", has_text="Live")).to_be_visible()
        await expect(page.locator(".badge")).to_have_text("SANDBOX")
        await expect(page.locator(".ladder-side.bids .ladder-line").first).to_be_visible()
        await expect(page.locator(".ladder-side.asks .ladder-line").first).to_be_visible()
        await expect(page.locator(".area-trades .tape-row").first).to_be_visible()
        await expect(page.locator(".chart-canvas canvas").first).to_be_visible()
        await expect(page.locator(".legend")).to_be_visible()
        await expect(page.locator(".totals dd").first).to_have_text(re.compile(r"[\d,]+\.\d\d"))
        best_bid, best_ask = await _top_of_book(page)
        assert best_bid < best_ask
        await page.get_by_role("tab", name="Analytics").click()
        await expect(page.locator(".metrics")).to_be_visible()
        assert visit.complaints == []

    async def test_it_fits_the_window(self, visit: Visit) -> None:
        await visit.sign_in()
        await expect(visit.page.locator(".area-portfolio")).to_be_visible()
        for width, height in ((1440, 900), (1920, 1080), (1024, 768)):
            await fits(visit.page, width, height)

    async def test_instruments_are_chosen_with_the_arrow_keys(self, visit: Visit) -> None:
        await visit.sign_in()
        await visit.choose("ACME-USD")
        await visit.page.keyboard.press("ArrowDown")
        await expect(visit.page.locator(".symbol-name h2")).not_to_have_text("ACME-USD")
        await visit.page.keyboard.press("ArrowUp")
        await expect(visit.page.locator(".symbol-name h2")).to_have_text("ACME-USD")


class TestOrders:
    async def test_a_market_order_becomes_a_fill_and_a_position(self, visit: Visit) -> None:
        await visit.sign_in()
        page = visit.page
        await visit.choose("ACME-USD")
        await visit.fill_ticket(kind="Market", quantity="7")
        await expect(page.locator(".summary .strong dd")).to_have_text(re.compile(r"\d+\.\d\d"))
        await visit.submit()
        await expect(page.locator(".result.placed")).to_contain_text("buy 7 ACME-USD at market")
        await page.get_by_role("tab", name="Fills").click()
        await expect(page.locator(".area-blotter tbody tr").first).to_contain_text("ACME-USD")
        await page.get_by_role("tab", name="Order history").click()
        await expect(page.locator(".area-blotter tbody tr").first).to_contain_text("Filled")
        await expect(page.locator(".area-portfolio tbody")).to_contain_text("ACME-USD")

    async def test_a_price_that_was_cleared_is_not_proposed_again(self, visit: Visit) -> None:
        await visit.sign_in()
        await visit.choose("ETH-USD")
        price = visit.page.locator(".area-ticket").get_by_label("Price", exact=True)
        await expect(price).not_to_have_value("")
        await price.press("Control+a")
        await price.press("Backspace")
        last = visit.page.locator('[data-symbol="ETH-USD"]')
        await expect(last).not_to_have_text(await last.inner_text(), use_inner_text=True)
        await expect(price).to_have_value("")
        await price.press_sequentially("1000.00")
        await expect(price).to_have_value("1000.00")

    async def test_a_limit_order_rests_until_it_is_canceled(self, visit: Visit) -> None:
        await visit.sign_in()
        page = visit.page
        await visit.choose("ETH-USD")
        await visit.fill_ticket(kind="Limit", quantity="0.3", price="1000.00")
        await visit.submit()
        row = page.locator(".area-blotter tbody tr", has_text="1,000.00").first
        await expect(row).to_contain_text("New")
        await row.get_by_role("button", name=re.compile("Cancel")).click()
        await expect(page.locator(".area-blotter tbody tr", has_text="1,000.00")).to_have_count(0)
        await page.get_by_role("tab", name="Order history").click()
        await expect(page.locator(".area-blotter tbody tr").first).to_contain_text("Canceled")

    async def test_a_refusal_is_shown_in_the_words_of_the_problem(self, visit: Visit) -> None:
        await visit.sign_in()
        await visit.choose("BTC-USD")
        await visit.fill_ticket(kind="Limit", quantity="90.00", price="60000.00")
        await expect(visit.page.locator(".summary .bad")).to_contain_text("Available")
        await visit.submit()
        await expect(visit.page.locator(".result.refused")).to_have_text(re.compile(r"\w+ \w+"))

    async def test_a_price_of_the_book_goes_into_the_ticket(self, visit: Visit) -> None:
        await visit.sign_in()
        await visit.choose("EUR-USD")
        line = visit.page.locator(".ladder-side.asks .ladder-line").first
        await expect(line).to_be_visible()
        await line.dispatch_event("click")
        price = visit.page.locator(".area-ticket").get_by_label("Price", exact=True)
        await expect(price).to_have_value(re.compile(r"^1\.\d{4}$"))

    async def test_an_odd_quantity_is_named_before_it_is_sent(self, visit: Visit) -> None:
        await visit.sign_in()
        await visit.choose("EUR-USD")
        await visit.fill_ticket(kind="Market", quantity="150")
        await expect(visit.page.locator(".result.refused")).to_contain_text("multiple of the lot")
        await expect(visit.page.locator(".area-ticket button[type=submit]")).to_be_disabled()


class TestTheStream:
    async def test_a_broken_connection_comes_back_by_itself(self, visit: Visit) -> None:
        sockets: list[WebSocketRoute] = []

        def connect(route: WebSocketRoute) -> None:
            sockets.append(route)
            route.connect_to_server()

        await visit.page.route_web_socket(re.compile("/stream$"), connect)
        await visit.sign_in()
        await visit.choose("BTC-USD")
        live = visit.page.locator(".chip", has_text="Live")
        await expect(live).to_be_visible()
        before = len(sockets)
        await sockets[-1].close(code=4008, reason="too slow")
        # How long it is away is chance, and may be too short to be seen.
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while len(sockets) == before:
                await asyncio.sleep(0.05)
        await expect(live).to_be_visible()
        await moves(visit.page.locator(".ladder-side.bids"))

    async def test_a_closed_door_leads_back_to_the_sign_in(self, visit: Visit) -> None:
        sockets: list[WebSocketRoute] = []

        def connect(route: WebSocketRoute) -> None:
            sockets.append(route)
            route.connect_to_server()

        await visit.page.route_web_socket(re.compile("/stream$"), connect)
        await visit.sign_in()
        await expect(visit.page.locator(".chip", has_text="Live")).to_be_visible()
        await sockets[-1].close(code=4502, reason="the key was revoked")
        await expect(visit.page.get_by_role("alert").first).to_contain_text("the key was revoked")


class TestTheFiles:
    async def test_they_carry_a_strict_policy_and_are_kept_as_long_as_they_hold(self, visit: Visit) -> None:
        page = await visit.page.request.get(visit.platform.url + "/")
        policy = page.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-cache"
        script = re.search(r'src="(/assets/[^"]+\.js)"', await page.text())
        assert script is not None
        asset = await visit.page.request.get(visit.platform.url + script[1])
        assert asset.headers["content-type"].startswith("text/javascript")
        assert "immutable" in asset.headers["cache-control"]
        assert asset.headers["x-content-type-options"] == "nosniff"
        missing = await visit.page.request.get(visit.platform.url + "/assets/../pyproject.toml")
        assert missing.status == 404


async def moves(element: Locator) -> None:
    """Wait until an element shows something else than now."""
    await expect(element).to_be_visible()
    before = await element.inner_text()
    await expect(element).not_to_have_text(before, use_inner_text=True)


async def fits(page: Page, width: int, height: int) -> None:
    """Wait until nothing is wider than a window of this size: charts are drawn anew a frame later."""
    await page.set_viewport_size({"width": width, "height": height})
    await page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")


async def _top_of_book(page: Page) -> tuple[float, float]:
    """Best bid and ask of one moment."""
    bid, ask = await page.locator(".area-book .ladder-body").evaluate(
        """(book) => [
            book.querySelector(".bids .ladder-line:first-child .price").textContent,
            book.querySelector(".asks .ladder-line:last-child .price").textContent,
        ]"""
    )
    return float(bid.replace(",", "")), float(ask.replace(",", ""))


def test_the_built_page_refers_to_nothing_outside() -> None:
    """Everything comes from this server: the page works without any other network."""
    for path in FOLDER.rglob("*.html"):
        assert not re.search(r"""(src|href)=["']https?:""", Path(path).read_text(encoding="utf-8"))
