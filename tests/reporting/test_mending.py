"""What was filed stays as filed: rebuilt byte for byte, mended by name, finished after a kill."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from paylake.crypto import PrivateKey
from paylake.errors import NotVerified, PermanentFailure
from reporting import manifest, package, verify
from reporting.filing import Filings
from reporting.office import Office
from reporting.story import from_event
from tests.reporting.institution import FIRST, dates, institution


def content(root: Path) -> dict[str, bytes]:
    """Every file below a folder but the ZIPs, which are compared by what is in them."""
    found = {
        str(p.relative_to(root)): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.suffix != ".zip"
    }
    for path in root.glob("*/*.zip"):
        found |= {f"{path.name}!{n}": d for n, d in package.read(path).items()}
    return found


@pytest.fixture
def lake():
    return institution(days=2, merchants=3)


@pytest.fixture
def office(open_office, lake, statement):
    office = open_office(lake)
    office.file(statement, dates(2))
    return office


def flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])


DAMAGE: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "file missing": (
        lambda folder, zipped: (folder / "statement_M000001_20260912.csv").unlink(),
        "2026-09-12: statement_M000001_20260912.csv is missing",
    ),
    "byte flipped": (
        lambda folder, zipped: flip(folder / "statement_M000002_20260912.csv"),
        "2026-09-12: statement_M000002_20260912.csv was altered",
    ),
    "manifest altered": (
        lambda folder, zipped: flip(folder / "manifest.json"),
        "2026-09-12: manifest.json was altered",
    ),
    "signature missing": (
        lambda folder, zipped: (folder / "manifest.json.sig").unlink(),
        "2026-09-12: manifest.json.sig is missing",
    ),
    "file added": (
        lambda folder, zipped: (folder / "note.txt").write_text("x"),
        "2026-09-12: note.txt is extra",
    ),
    "folder missing": (lambda folder, zipped: shutil.rmtree(folder), "2026-09-12 is missing"),
    "zip missing": (lambda folder, zipped: zipped.unlink(), ".zip is missing"),
    "zip damaged": (lambda folder, zipped: zipped.write_bytes(b"PK"), ".zip: The ZIP is damaged"),
    "both damaged": (
        lambda folder, zipped: (flip(folder / "VERIFY.md"), zipped.unlink()),
        "VERIFY.md was altered; merchant_settlement_statement_2026-09-12.zip is missing",
    ),
    "both gone": (
        lambda folder, zipped: (shutil.rmtree(folder), zipped.unlink()),
        "2026-09-12 is missing; merchant_settlement_statement_2026-09-12.zip is missing",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
@pytest.mark.parametrize("how", ["report", "rebuild"])
def test_damage_is_named_and_mended_to_the_same_bytes(office, statement, what, how, public_key):
    before = content(office.root)
    damage, named = DAMAGE[what]
    folder = package.folder(office.root, statement.report, FIRST)
    damage(folder, package.archive(office.root, statement.report, FIRST))
    assert office.damage(office.filing(statement.report, FIRST))
    if how == "report":
        items = office.file(statement, dates(2))
        assert [i.state for i in items] == ["mended", "unchanged"]
        said = items[0].detail
    else:
        said = "; ".join(office.rebuild(statement, FIRST)[1])
    assert named in said
    assert content(office.root) == before  # the stored signature included
    assert verify(folder, public_key).ok


def test_rebuild_of_an_intact_package_changes_nothing(office, statement):
    before = {
        p: (p.read_bytes(), p.stat().st_mtime_ns) for p in office.root.rglob("*.*") if p.is_file()
    }
    assert office.rebuild(statement, FIRST)[1] == []
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in before}


def test_never_filed_cannot_be_rebuilt(open_office, lake, statement):
    with pytest.raises(PermanentFailure, match="was never filed"):
        open_office(lake).rebuild(statement, FIRST)


def test_another_renderer_says_that_it_cannot_rebuild(office, statement, monkeypatch):
    monkeypatch.setattr(manifest, "renderer_version", lambda: "f" * 64)
    with pytest.raises(PermanentFailure, match="this is ffffffffffffffff: it cannot rebuild"):
        office.rebuild(statement, FIRST)
    # what is whole in one of the two copies needs no renderer
    folder = package.folder(office.root, statement.report, FIRST)
    shutil.rmtree(folder)
    assert office.file(statement, [FIRST])[0].state == "mended"
    shutil.rmtree(folder)
    package.archive(office.root, statement.report, FIRST).unlink()
    item = office.file(statement, [FIRST])[0]
    assert item.state == "damaged" and "cannot rebuild" in item.detail


def test_changed_rows_under_a_pinned_release_are_found(office, lake, statement):
    row = lake.kept["R000002-20260913"]["mart_settlement__merchant_day"][0]
    row["merchant_name"] = "另一名称"
    with pytest.raises(NotVerified, match="inputs mart_settlement__merchant_day"):
        office.rebuild(statement, FIRST)


def test_altered_or_foreign_filing_record_is_refused(office, open_office, lake, statement):
    path = office.filings.path(statement.report, FIRST)
    text = path.read_text("utf-8")
    path.write_text(text.replace("R000001", "R000009"), "utf-8")
    assert office.file(statement, dates(2))[0].state == "damaged"
    path.write_text(text, "utf-8")
    assert office.file(statement, dates(2))[0].state == "unchanged"
    stranger = open_office(lake, key=PrivateKey.generate())
    assert [i.state for i in stranger.file(statement, dates(2))] == ["damaged"] * 2


def test_lost_filing_record_comes_back_from_the_event_log(office, open_office, lake, statement):
    before = content(office.root)
    signed = {(e["report"], e["business_date"]): e for e in office.events if e["state"] == "signed"}
    assert len(signed) == 2
    shutil.rmtree(office.root)
    told = {place: from_event(e) for place, e in signed.items()}
    again = open_office(lake, recover=lambda report, day: told.get((report, day)))
    assert [i.state for i in again.file(statement, dates(2))] == ["mended"] * 2
    assert content(office.root) == before


class Killed(BaseException):
    """Stands for kill -9: no handler of ours catches it."""


STEPS = [
    (Path, "write_bytes"),
    (Path, "rename"),
    (Path, "replace"),
    (Filings, "put"),
    (Office, "_finish"),
]


@pytest.mark.long
def test_killed_at_any_moment_then_run_again_gives_the_same(open_office, statement, monkeypatch):
    """Every write, rename and record of a filing is a moment to die at; the next run completes."""
    lake, days = institution(days=2, merchants=1), dates(2)
    clean = open_office(lake, "clean")
    clean.file(statement, days)
    wanted = {n: d for n, d in content(clean.root).items() if not _is_signature(n)}
    moments = 0
    while True:
        home = f"killed{moments}"
        left = moments
        with monkeypatch.context() as patch:

            def dying(original):
                def step(*args, **kwargs):
                    nonlocal left
                    if left == 0:
                        raise Killed
                    left -= 1
                    return original(*args, **kwargs)

                return step

            for owner, name in STEPS:
                patch.setattr(owner, name, dying(getattr(owner, name)))
            office = open_office(lake, home)
            try:
                office.file(statement, days)
                died = False
            except Killed:
                died = True
        kept = {p.name: p.read_bytes() for p in office.root.rglob(".signatures/*/*.json")}
        events = office.events
        again = open_office(lake, home)
        assert {i.state for i in again.file(statement, days)} <= {"filed", "mended", "unchanged"}
        assert {n: d for n, d in content(again.root).items() if not _is_signature(n)} == wanted
        for day in days:
            filing = again.filing(statement.report, day)
            assert filing.state == "packaged"
            if kept.get(f"{day}.json"):  # what was signed before the kill keeps its signature
                assert filing.signature.encode() in kept[f"{day}.json"]
        told = {e["business_date"] for e in events + again.events if e["state"] == "packaged"}
        assert told == set(days)
        assert not list(again.root.rglob("*.partial*")) and not list(again.root.rglob("*.old"))
        moments += 1
        if not died:
            break
    assert moments > 20


def _is_signature(name: str) -> bool:
    return name.endswith(".sig") or name.startswith(".signatures")


def test_mended_date_of_a_killed_run_is_told(open_office, lake, statement):
    office = open_office(lake)
    office.file(statement, [FIRST])
    record = office.filings.path(statement.report, FIRST)
    record.write_text(record.read_text("utf-8").replace('"packaged"', '"signed"'), "utf-8")
    again = open_office(lake)
    assert again.file(statement, [FIRST])[0].state == "unchanged"
    assert [e["state"] for e in again.events] == ["signed", "packaged"]
    assert again.filing(statement.report, FIRST).state == "packaged"
    assert FIRST + timedelta(days=1) not in {e["business_date"] for e in again.events}
