import json
from pathlib import Path

import duckdb
from hypothesis import given
from hypothesis import strategies as st

from agio.marketdata.book import apply_levels, changed_levels, checksum
from agio.marketdata.events import Level

sides = st.dictionaries(st.integers(1, 10**9), st.integers(1, 10**12), max_size=30)


def ladder(side: dict[int, int], *, best_is_highest: bool) -> list[Level]:
    return sorted(side.items(), reverse=best_is_highest)


class TestChangedLevels:
    @given(before=sides, after=sides, best_is_highest=st.booleans())
    def test_applying_the_changes_gives_the_new_side(
        self, before: dict[int, int], after: dict[int, int], best_is_highest: bool
    ) -> None:
        old = ladder(before, best_is_highest=best_is_highest)
        new = ladder(after, best_is_highest=best_is_highest)

        assert apply_levels(old, changed_levels(old, new), best_is_highest=best_is_highest) == new

    def test_an_unchanged_side_changes_nothing(self) -> None:
        side = [(100, 5), (99, 7)]

        assert changed_levels(side, list(side)) == []


class TestChecksum:
    def test_published_example(self) -> None:
        """Kraken, "Book checksum": the worked example of the WebSocket v2 guide."""
        asks = [
            ("45285.2", "0.00100000"),
            ("45286.4", "1.54571953"),
            ("45286.6", "1.54571109"),
            ("45289.6", "1.54560911"),
            ("45290.2", "0.15890660"),
            ("45291.8", "1.54553491"),
            ("45294.7", "0.04454749"),
            ("45296.1", "0.35380000"),
            ("45297.5", "0.09945542"),
            ("45299.5", "0.18772827"),
        ]
        bids = [
            ("45283.5", "0.10000000"),
            ("45283.4", "1.54582015"),
            ("45282.1", "0.10000000"),
            ("45281.0", "0.10000000"),
            ("45280.3", "1.54592586"),
            ("45279.0", "0.07990000"),
            ("45277.6", "0.03310103"),
            ("45277.5", "0.30000000"),
            ("45277.3", "1.54602737"),
            ("45276.6", "0.15445238"),
        ]

        assert checksum(scaled(bids), scaled(asks)) == 3310070434

    def test_an_empty_book_has_the_checksum_of_nothing(self) -> None:
        assert checksum([], []) == 0

    def test_only_ten_levels_count(self) -> None:
        side = [(price, 1) for price in range(1, 20)]

        assert checksum([], side) == checksum([], side[:10])

    def test_every_recorded_kraken_checksum(self, real_data: Path) -> None:
        books: dict[str, tuple[list[Level], list[Level]]] = {}
        compared = 0
        for pair, parts in kraken_books(real_data / "market" / "ws" / "KRAKEN.jsonl.zst"):
            if "as" in parts[0]:
                books[pair] = (levels(parts[0]["bs"]), levels(parts[0]["as"]))
                continue
            bids, asks = books[pair]
            for part in parts:
                bids = apply_levels(bids, levels(part.get("b", [])), best_is_highest=True)[:1000]
                asks = apply_levels(asks, levels(part.get("a", [])), best_is_highest=False)[:1000]
            books[pair] = (bids, asks)
            assert checksum(bids, asks) == int(next(part["c"] for part in parts if "c" in part))
            compared += 1

        assert compared == 4269


def scaled(texts: list[tuple[str, str]]) -> list[Level]:
    return [(int(price.replace(".", "")), int(size.replace(".", ""))) for price, size in texts]


def levels(rows: list[list[str]]) -> list[Level]:
    return [(int(row[0].replace(".", "")), int(row[1].replace(".", ""))) for row in rows]


def kraken_books(path: Path) -> list[tuple[str, list[dict[str, list[list[str]]]]]]:
    rows = duckdb.execute(
        "select column0 from read_csv(?, delim = chr(1), quote = '', escape = '', header = false,"
        " columns = {'column0': 'VARCHAR'}, max_line_size = 20000000)",
        [str(path)],
    ).fetchall()
    found = []
    for (row,) in rows:
        record = json.loads(row)
        message = json.loads(record["data"]) if record["t"] == "recv" else None
        if isinstance(message, list) and str(message[-2]).startswith("book"):
            found.append((f"{record['conn']} {message[-1]}", message[1:-2]))
    return found
