"""Every relative link and every file that a page names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from paylake.settings import ROOT

SKIPPED = {"var", ".git", "node_modules", ".pytest_cache", ".hypothesis"}
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not SKIPPED & set(path.relative_to(ROOT).parts)
)
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
NAMED = re.compile(r"`([\w.-]+(?:/[\w.-]+)+/?)`")
# Folders of a home that have the name of a room: `ledger/heads/` is below `<home>`.
IN_A_HOME = {"ledger/ledger.db", "ledger/heads", "simulator/answers.json"}


def anchors(text: str) -> set[str]:
    """Heading anchors as code hosts make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.M):
        words = re.sub(r"[^\w\s-]", "", heading.lower())
        found.add(words.strip().replace(" ", "-"))
    return found


def test_there_are_pages():
    assert len(PAGES) > 25
    assert ROOT / "README.md" in PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page):
    wrong = []
    for target in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (
            anchor and path.suffix == ".md" and anchor not in anchors(path.read_text("utf-8"))
        ):
            wrong.append(target)
    assert not wrong, f"{page.relative_to(ROOT)} links to {', '.join(wrong)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_named_files_exist(page):
    rooms = {p.name for p in ROOT.iterdir() if p.is_dir()} - SKIPPED
    wrong = []
    for name in NAMED.findall(FENCE.sub("", page.read_text("utf-8"))):
        plain = name.rstrip("/")
        if plain.split("/")[0] not in rooms or plain in IN_A_HOME:
            continue
        if not (ROOT / plain).exists() and not (page.parent / plain).exists():
            wrong.append(name)
    assert not wrong, f"{page.relative_to(ROOT)} names {', '.join(wrong)}"


def test_every_page_of_docs_is_in_the_index():
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / target.partition("#")[0]).resolve()
        for target in LINK.findall(index.read_text("utf-8"))
    }
    docs = {p for p in PAGES if index.parent in p.parents and p != index}
    missing = {str(Path(p).relative_to(ROOT)) for p in docs - linked}
    assert docs and not missing


def test_the_checks_can_fail():
    assert LINK.findall("see [x](nowhere.md)") == ["nowhere.md"]
    assert NAMED.findall("`paylake/nothing.py`") == ["paylake/nothing.py"]
    assert anchors("## 3. Feeds → bronze\n") == {"3-feeds--bronze"}
