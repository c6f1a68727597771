"""The ledger and custody pages in Debian's Chromium, against a whole platform."""

import re

import pytest
from playwright.async_api import expect
from tests.e2e.tenants import connect
from tests.e2e.test_dashboard import Visit, browser, context, fits, pytestmark, visit
from tests.e2e.vault_house import VaultHouse, make_vault_house

from benchmarks.harness import Platform

__all__ = ["browser", "context", "pytestmark", "visit"]


@pytest.fixture(scope="session")
def house(sim_platform: Platform) -> VaultHouse:
    return make_vault_house(sim_platform)


async def open_page(visit: Visit, api_key: str, hash_path: str) -> None:
    """Sign in and go to a page."""
    await visit.sign_in(api_key)
    await expect(visit.page.get_by_role("navigation", name="Pages")).to_be_visible()
    await visit.page.evaluate("path => { location.hash = path }", hash_path)


class TestTheLedgerPage:
    async def test_an_entry_leads_to_its_journal_and_survives_a_reload(
        self, visit: Visit, house: VaultHouse
    ) -> None:
        ids = house.tenant.ids
        await open_page(visit, house.tenant.secret, "#/ledger")
        page = visit.page
        await page.get_by_label("Filter accounts").fill("main usd")
        await page.get_by_role("treeitem", name=re.compile("USD")).last.click()
        await expect(page.get_by_role("table", name="Entries")).to_contain_text("+100,000.00")
        await page.locator(f'button[title="{ids["journal_id"]}"]').first.click()
        legs = page.get_by_role("table", name="Legs")
        await expect(legs.locator("tbody tr")).to_have_count(2)
        await expect(page.locator(".sum")).to_have_text(re.compile(r"Σ USD 0(\.00)?"))
        await page.reload()
        await expect(legs.locator("tbody tr")).to_have_count(2)
        await page.get_by_role("tab", name=re.compile("Open holds")).click()
        await expect(page.get_by_role("table", name="Open holds").locator("tbody tr")).to_have_count(1)
        assert visit.complaints == []

    async def test_a_history_is_verified_and_news_arrive_by_themselves(
        self, visit: Visit, house: VaultHouse
    ) -> None:
        account_id = house.tenant.ids["account_id"]
        await open_page(visit, house.tenant.secret, f"#/ledger/{account_id}:USD")
        page = visit.page
        await page.get_by_role("button", name="Verify").click()
        await expect(page.locator(".verdict.sound")).to_contain_text("chain links recomputed")
        rows = page.get_by_role("table", name="Entries").locator("tbody tr")
        await expect(rows.first).to_be_visible()
        with connect(house.platform, house.tenant.secret) as http:
            body = {"account_id": account_id, "direction": "deposit", "asset": "USD", "amount": "12.34"}
            assert http.post("/api/transfers", json=body).status_code == 201
        await expect(rows.first).to_contain_text("+12.34")

    async def test_an_id_is_followed_from_the_payment_to_the_order(
        self, visit: Visit, house: VaultHouse
    ) -> None:
        ids = house.tenant.ids
        await open_page(visit, house.tenant.secret, "#/ledger")
        page = visit.page
        await page.get_by_label("Follow an id").fill(ids["order_id"])
        await page.get_by_role("button", name="Follow", exact=True).click()
        trail = page.locator(".trail-step")
        await expect(trail).to_have_count(5)
        await expect(page.locator(".trail")).to_have_text(
            re.compile("Deposit.*Journal.*Balance.*Order.*Hold", re.DOTALL)
        )
        await expect(page.locator(".trail-step.sought")).to_contain_text("Buy 1 ACME-USD")
        await page.get_by_label("Follow an id").fill("nobody-knows-this")
        await page.get_by_role("button", name="Follow", exact=True).click()
        await expect(page.get_by_text("Nothing is found under")).to_be_visible()


class TestTheCustodyPage:
    async def test_a_dry_run_explains_which_rule_decides(self, visit: Visit, house: VaultHouse) -> None:
        await open_page(visit, house.tenant.secret, "#/custody/policy")
        page = visit.page
        await expect(page.get_by_role("list", name="Rules", exact=True)).to_contain_text("payments")
        side = page.get_by_role("region", name="Dry run")
        await side.get_by_label("Amount").fill("100.00")
        await side.get_by_role("button", name="Try it").click()
        await expect(side.locator(".verdict")).to_contain_text("rule 2, payments, is the first that matches")
        await expect(side.locator(".trace")).to_contain_text("Min amount: wants 5000.01, is 100.00")
        await expect(side.locator(".limit")).to_contain_text("100.00 of 8,000.00")
        await side.get_by_label("Amount").fill("6000.00")
        await side.get_by_role("button", name="Try it").click()
        await expect(side.locator(".verdict")).to_contain_text("Denied")
        await side.get_by_label("Amount").fill("1.005")
        await side.get_by_role("button", name="Try it").click()
        await expect(side.get_by_role("alert")).to_contain_text("decimal")

    async def test_a_request_is_approved_by_a_code_and_released(
        self, visit: Visit, house: VaultHouse
    ) -> None:
        request = house.ask("250.00")
        await open_page(visit, house.approver_secret, f"#/custody/requests/{request['request_id']}")
        page = visit.page
        row = page.get_by_role("table", name="Transfer requests").locator("tbody tr").first
        await expect(row).to_contain_text("0 / 1")
        side = page.get_by_role("region", name="Request", exact=True)
        await expect(side).to_contain_text(request["digest"])
        await side.get_by_label("One-time code").fill("12")
        await side.get_by_role("button", name="Approve").click()
        await expect(side.get_by_role("alert").first).to_have_text(re.compile(r"\w+ \w+"))
        await side.get_by_label("One-time code").fill(house.next_code())
        await side.get_by_role("button", name="Approve").click()
        await expect(row).to_contain_text("Held")
        await side.get_by_role("button", name="Release").click()
        await expect(row).to_contain_text("Released")
        await expect(side.locator(".history")).to_contain_text("Released")

    async def test_both_pages_fit_a_desk_and_a_phone(self, visit: Visit, house: VaultHouse) -> None:
        await open_page(visit, house.tenant.secret, "#/ledger")
        page = visit.page
        for name, shown in (("ledger", ".book-account"), ("custody", ".house-main")):
            await page.evaluate("path => { location.hash = path }", f"#/{name}")
            await expect(page.locator(shown)).to_be_visible()
            for width, height in ((1280, 800), (390, 844)):
                await fits(page, width, height)
