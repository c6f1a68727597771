"""What a key may see of the proof over HTTP: the head, an account checked, open holds, journals."""

import psycopg
from tests.conftest import Databases
from tests.integration.ledger.test_routes import Books, books

__all__ = ["books"]


class TestVerifyAccount:
    async def test_a_sound_account_says_how_much_was_checked(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("5.00", reference="a"))
        await books.post("/api/journals", books.journal("7.00", reference="b"))

        check = (await books.post(books.account(books.cash) + "/verify")).json()

        assert (check["is_sound"], check["findings"]) == (True, [])
        assert (check["first_version"], check["last_version"], check["journals"]) == (1, 2, 2)
        assert check["links"] == 2
        assert check["head"] == (await books.get("/api/ledger/head")).json()

    async def test_a_stranger_finds_nothing(self, books: Books) -> None:
        answer = await books.post(books.account(books.cash) + "/verify", who=books.stranger)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    async def test_changed_history_is_named(self, books: Books, databases: Databases) -> None:
        journal = (await books.post("/api/journals", books.journal("5.00"))).json()
        await books.post("/api/journals", books.journal("7.00"))
        untouched = "reference is null and journal_id = %s"
        with psycopg.connect(databases.owner_url, autocommit=True) as owner:
            owner.execute("alter table ledger.journal disable trigger immutable")
            owner.execute(
                f"update ledger.journal set reference = 'x' where {untouched}", (journal["journal_id"],)
            )

        check = (await books.post(books.account(books.cash) + "/verify")).json()

        assert check["is_sound"] is False
        assert [one["what"] for one in check["findings"]] == [
            f"journal {journal['journal_id']} does not have the content that was hashed"
        ]
        with psycopg.connect(databases.owner_url, autocommit=True) as owner:
            owner.execute("update ledger.journal set reference = null where reference = 'x'")


class TestLists:
    async def test_open_holds_are_listed_until_they_end(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("9.00"))
        for hold_id, amount in (("h1", "1.00"), ("h2", "2.00"), ("h3", "3.00")):
            await books.post("/api/holds", {"hold_id": hold_id, "account": books.cash, "amount": amount})
        await books.post("/api/holds/h2/release")
        path = books.account(books.cash) + "/holds"

        first = (await books.get(path + "?limit=1")).json()
        rest = (await books.get(f"{path}?limit=1&cursor={first['next_cursor']}")).json()

        assert [one["hold_id"] for one in first["items"] + rest["items"]] == ["h3", "h1"]
        assert rest["next_cursor"] is None

    async def test_a_journal_names_the_holds_it_used(self, books: Books) -> None:
        await books.post("/api/journals", books.journal("9.00"))
        await books.post("/api/holds", {"hold_id": "h", "account": books.cash, "amount": "4.00"})
        journal = (await books.post("/api/holds/h/capture", {"to": books.bank, "amount": "1.00"})).json()
        assert [leg["hold_id"] for leg in journal["legs"]] == ["h", None]

    async def test_journals_of_a_reference_come_newest_first(self, books: Books) -> None:
        for journal_id in ("j1", "j2"):
            await books.post("/api/journals", books.journal("1.00", journal_id, reference="inv-7"))
        page = (await books.get("/api/journals?reference=inv-7&limit=1")).json()
        rest = (await books.get(f"/api/journals?reference=inv-7&cursor={page['next_cursor']}")).json()
        assert [one["journal_id"] for one in page["items"] + rest["items"]] == ["j2", "j1"]
        assert (await books.get("/api/journals?reference=inv-7", books.stranger)).json()["items"] == []
        assert (await books.get("/api/journals?reference=x&limit=51")).json()["code"] == "invalid_request"
