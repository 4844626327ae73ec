"""The generated pages say what their sources say, and the generator notices when they do not."""

from __future__ import annotations

import importlib.util
import re
import sys

import pytest

from paylake import contracts, dbt_project, settings
from paylake.settings import ROOT

SPEC = importlib.util.spec_from_file_location("reference", ROOT / "bin" / "reference.py")
assert SPEC is not None and SPEC.loader is not None
reference = importlib.util.module_from_spec(SPEC)
sys.path.insert(0, str(ROOT / "bin"))  # it imports the modules beside it
try:
    SPEC.loader.exec_module(reference)
finally:
    sys.path.remove(str(ROOT / "bin"))


@pytest.fixture(scope="module")
def pages():
    return reference.generated()


def test_committed_pages_are_what_the_generator_makes(pages):
    assert len(pages) == 11
    stale = [
        path.name
        for path, text in pages.items()
        if not path.is_file() or path.read_text("utf-8") != text
    ]
    assert not stale, f"run bin/generate-reference and commit {', '.join(stale)}"


def test_every_column_of_every_stored_table_is_on_the_page(pages):
    text = pages[reference.FOLDER / "tables.md"]
    sections = dict(re.findall(r"^### `([^`]+)`\n(.*?)(?=^##|\Z)", text, re.M | re.S))
    expected = {
        f"{c.layer}.{c.table}": [x.name for x in c.columns]
        for c in contracts.all_contracts("table")
    }
    expected |= {
        m.name: [c.name for c in m.columns] for m in dbt_project.models().values() if m.stored
    }
    assert len(expected) > 30
    for name, columns in expected.items():
        found = re.findall(r"^\| `([^`]+)` \|", sections[name], re.M)
        assert found == columns, name


def test_every_table_row_has_as_many_cells_as_its_head(pages):
    rows = 0
    for path, text in pages.items():
        head = None
        for line in text.splitlines():
            cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
            if cells is not None:
                head = head or cells
                assert cells == head, f"{path.name}: {line}"
                rows += 1
            else:
                head = None
    assert rows > 500


def test_every_setting_is_listed_and_no_machine_path(pages):
    text = pages[reference.FOLDER / "settings.md"]
    for name, _, _ in settings.describe():
        assert f"`PAYLAKE_{name.upper()}`" in text
    for path, page in pages.items():
        assert str(ROOT) not in page, path.name


def test_every_command_has_its_help(pages):
    text = pages[reference.FOLDER / "commands.md"]
    headings = re.findall(r"^## `bin/paylake ?(.*)`$", text, re.M)
    assert {"run", "status", "release diff", "quarantine replay", "report verify"} <= set(headings)
    assert len(headings) == len(set(headings)) == text.count("Usage: bin/paylake")


def test_check_names_the_page_that_differs(tmp_path, monkeypatch, capsys):
    folder = ROOT / "var" / f"test-reference-{tmp_path.name}"
    monkeypatch.setattr(reference, "FOLDER", folder)
    monkeypatch.setattr(
        reference, "PAGES", {"settings.md": reference.settings_page}
    )
    folder.mkdir(parents=True)
    try:
        assert reference.main([]) == 0
        assert reference.main(["--check"]) == 0
        page = folder / "settings.md"
        page.write_text(page.read_text("utf-8").replace("15002", "15003"), "utf-8")
        assert reference.main(["--check"]) == reference.NOT_UP_TO_DATE
        assert "settings.md is not up to date" in capsys.readouterr().err
        assert reference.main(["--wrong"]) == 2
    finally:
        for page in folder.iterdir():
            page.unlink()
        folder.rmdir()
