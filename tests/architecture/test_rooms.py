"""The house rules that import-linter's layers do not say: a room is entered by its front door."""

from pathlib import Path

import grimp
import pytest

LIBRARIES = {"kernel", "platform"}
FRONT_DOORS = {"api", "events"}
SOURCE = Path(__file__).parents[2] / "src" / "agio"


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("agio", exclude_type_checking_imports=False)


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def test_rooms_are_entered_by_api_and_events_only(graph: grimp.ImportGraph) -> None:
    trespasses = []
    for importer in sorted(graph.modules):
        if room_of(importer) in {"", "app", "__main__"}:
            continue
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            room = room_of(imported)
            if room in LIBRARIES | {"", room_of(importer)}:
                continue
            if imported.split(".")[2:3] and imported.split(".")[2] in FRONT_DOORS:
                continue
            trespasses.append(f"{importer} -> {imported}")
    assert trespasses == []


def test_sql_names_no_foreign_schema() -> None:
    rooms = {path.name for path in SOURCE.iterdir() if (path / "sql").is_dir()} - LIBRARIES
    trespasses = []
    for room in sorted(rooms):
        for path in sorted((SOURCE / room).rglob("*")):
            if path.suffix not in {".py", ".sql"}:
                continue
            text = path.read_text(encoding="utf-8")
            for other in rooms - {room}:
                trespasses += [
                    f"{path.relative_to(SOURCE)}: {verb} {other}."
                    for verb in ("from", "join", "into", "update", "references")
                    if f" {verb} {other}." in text
                ]
    assert trespasses == []


def test_every_room_has_one_page() -> None:
    missing = [
        path.name
        for path in sorted(SOURCE.iterdir())
        if path.is_dir() and (path / "__init__.py").exists() and path.name not in LIBRARIES | {"app"}
        if not (path / "README.md").exists()
    ]
    assert missing == []
