"""Nonces kept in files: what goes wrong with one write is over with the next that works."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ledger.adapters import nonces
from ledger.adapters.nonces import KeptNonces
from paylake.errors import DiskFull, EnvironmentFault, PaylakeError

SECONDS = 600


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("failing", ["nonces", "nonces.before"])
def test_a_next_file_that_could_not_be_put_in_its_place_is_begun_again(
    tmp_path, monkeypatch, failing
):
    """Whichever of the two renames it was; nothing that was kept is lost, no file stays open."""
    kept = KeptNonces(tmp_path, SECONDS, 1_000)
    kept.add("operator:ann/1", 1_500)
    files = _open_files()
    replace = Path.replace

    def refused(self, target):
        if Path(target).name == failing:
            raise OSError(errno.EIO, "input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refused)
    for _ in range(3):
        with pytest.raises(EnvironmentFault, match="cannot be kept"):
            kept.add("operator:ann/2", 1_700)
    monkeypatch.setattr(Path, "replace", replace)
    kept.add("operator:ann/2", 1_701)
    kept.add("operator:ann/3", 1_702)
    assert _open_files() == files
    kept.close()
    again = KeptNonces(tmp_path, SECONDS, 1_800)
    assert list(again.found) == [f"operator:ann/{number}" for number in (1, 2, 3)]
    again.close()


def test_a_line_that_the_disk_took_half_of_spoils_no_other(tmp_path, monkeypatch):
    kept = KeptNonces(tmp_path, SECONDS, 1_000)
    write = os.write
    monkeypatch.setattr(nonces.os, "write", lambda file, data: write(file, data[:9]))
    with pytest.raises(DiskFull, match="cannot be kept"):
        kept.add("operator:ann/1", 1_001)
    monkeypatch.setattr(nonces.os, "write", write)
    kept.add("operator:ann/2", 1_002)
    kept.add("operator:ann/3", 1_003)
    kept.close()
    again = KeptNonces(tmp_path, SECONDS, 1_004)
    assert list(again.found)[-2:] == ["operator:ann/2", "operator:ann/3"]
    assert not [key for key in again.found if key.count("operator") > 1]
    again.close()


def test_a_home_that_takes_no_file_is_named_at_the_start(tmp_path, monkeypatch):
    def read_only(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(nonces, "_opened", read_only)
    with pytest.raises(PaylakeError, match="Read-only file system") as caught:
        KeptNonces(tmp_path, SECONDS, 1_000)
    assert str(tmp_path) in caught.value.sentence()
