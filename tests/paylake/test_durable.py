"""Small files on disk, whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from paylake import durable
from paylake.errors import DiskFull, EnvironmentFault


@pytest.mark.parametrize(
    ("write", "mode"), [(durable.write, 0o644), (durable.write_private, 0o600)]
)
def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write, mode: int
) -> None:
    path = tmp_path / "folder" / "file"
    write(path, b"old")
    assert path.stat().st_mode & 0o777 & ~0o022 == mode & ~0o022

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskFull):
            write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in path.parent.iterdir()] == ["file"]
    write(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_folder_that_takes_no_file_is_the_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "folder").write_bytes(b"")
    with pytest.raises(EnvironmentFault, match="Cannot write: ") as caught:
        durable.write(tmp_path / "folder" / "file", b"new")
    assert caught.value.where == str(tmp_path / "folder" / "file")


def test_the_name_of_a_file_is_on_the_disk_before_it_is_said_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []
    flush = os.fsync

    def fsync(descriptor: int) -> None:
        place = Path(f"/proc/self/fd/{descriptor}").readlink()
        flushed.append((place.name, (tmp_path / "file").exists()))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    durable.write(tmp_path / "file", b"new")
    assert flushed == [(f".file.{os.getpid()}", False), (tmp_path.name, True)]
