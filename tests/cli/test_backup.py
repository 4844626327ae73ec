"""A backup that is cut, altered or something else is refused by name and never half trusted."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from cli import backup
from paylake import settings
from paylake.errors import NotVerified, UsageFault


@pytest.fixture
def written(tmp_path: Path) -> bytes:
    here = settings.load({}, home=tmp_path / "home")
    (here.home / "keys").mkdir(parents=True)
    (here.home / "keys" / "one.key").write_bytes(os.urandom(200_000))
    (here.home / "home.json").write_text("{}")
    assert backup.write(here, tmp_path / "kept.tar.gz") == 2
    return (tmp_path / "kept.tar.gz").read_bytes()


def read(tmp_path: Path, data: bytes) -> int:
    source = tmp_path / "given.tar.gz"
    source.write_bytes(data)
    return backup.read(settings.load({}, home=tmp_path / "new"), source)


def test_what_was_written_comes_back_for_its_owner_alone(tmp_path: Path, written: bytes) -> None:
    assert read(tmp_path, written) == 2
    key = tmp_path / "new" / "keys" / "one.key"
    assert key.read_bytes() == (tmp_path / "home" / "keys" / "one.key").read_bytes()
    assert key.stat().st_mode & 0o077 == 0
    with pytest.raises(UsageFault, match="not empty"):
        read(tmp_path, written)


@pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
def test_a_backup_that_was_cut_is_refused(tmp_path: Path, written: bytes, part: float) -> None:
    with pytest.raises(NotVerified, match="Not a backup that can be read"):
        read(tmp_path, written[: int(len(written) * part)])


def test_an_altered_member_is_named(tmp_path: Path, written: bytes) -> None:
    middle = len(written) // 2
    altered = written[:middle] + bytes([written[middle] ^ 1]) + written[middle + 1 :]
    with pytest.raises(NotVerified):
        read(tmp_path, altered)


@pytest.mark.parametrize("document", ["{}", "[]", '{"format": "other/1", "files": {}}', "7"])
def test_another_archive_is_no_backup(tmp_path: Path, document: str) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        info = tarfile.TarInfo(backup.MANIFEST)
        info.size = len(document)
        archive.addfile(info, io.BytesIO(document.encode()))
    assert json.loads(document) is not None
    with pytest.raises(NotVerified, match="Not a backup of the format"):
        read(tmp_path, data.getvalue())


def test_what_a_running_ledger_writes_meanwhile_spoils_no_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It appends nonces, which serve for minutes, and puts files in their place when they are
    whole; a member that changed between its digest and its copy would not be believed."""
    here = settings.load({}, home=tmp_path / "home")
    heads = here.path("ledger", "heads")
    for folder in (heads, here.path("keys")):
        folder.mkdir(parents=True)
    here.path("keys", "one.key").write_bytes(b"k")
    changing = [here.path("ledger", name) for name in ("nonces", "nonces.before")]
    partial = heads / ".hour.json.7"
    for path in (*changing, partial, heads / "hour.json"):
        path.write_bytes(b"1")
    digest = backup.sm3_file

    def meanwhile(path: Path) -> str:
        found = digest(path)
        partial.unlink(missing_ok=True)
        for each in changing:
            with each.open("ab") as file:
                file.write(b"2")
        return found

    monkeypatch.setattr(backup, "sm3_file", meanwhile)
    backup.write(here, tmp_path / "kept.tar.gz")
    monkeypatch.setattr(backup, "sm3_file", digest)
    assert read(tmp_path, (tmp_path / "kept.tar.gz").read_bytes()) == 2


@pytest.mark.parametrize(("name", "kind"), [
    ("../outside", tarfile.REGTYPE), ("keys/../../outside", tarfile.REGTYPE),
    ("/tmp/outside", tarfile.REGTYPE), ("keys/one.key", tarfile.SYMTYPE),
    ("keys/one.key", tarfile.FIFOTYPE), ("keys/one.key", tarfile.CHRTYPE),
])
def test_a_member_that_is_no_file_below_the_home_is_refused(
    tmp_path: Path, name: str, kind: bytes
) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        info.size = 3 if kind == tarfile.REGTYPE else 0
        archive.addfile(info, io.BytesIO(b"abc"))
    with pytest.raises(NotVerified, match=r"is not below the home|is no file"):
        read(tmp_path, data.getvalue())
    assert not (tmp_path / "outside").exists() and not Path("/tmp/outside").exists()
    assert not any(path.is_file() for path in (tmp_path / "new").rglob("*"))


def test_a_file_of_two_names_comes_back_under_both(tmp_path: Path) -> None:
    here = settings.load({}, home=tmp_path / "home")
    (here.home / "keys").mkdir(parents=True)
    (here.home / "keys" / "one.key").write_bytes(b"key")
    (here.home / "keys" / "two.key").hardlink_to(here.home / "keys" / "one.key")
    assert backup.write(here, tmp_path / "kept.tar.gz") == 2
    assert read(tmp_path, (tmp_path / "kept.tar.gz").read_bytes()) == 2
    assert (tmp_path / "new" / "keys" / "two.key").read_bytes() == b"key"
