"""Exported tables: whole files, and no formula that a spreadsheet would run."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet
import pytest

from cli import exports
from paylake.errors import PaylakeError, UsageFault

TEXTS = ["=1+1", "+86", "-x", "@f", "a=b", None, "\u5546\u6237"]
ROWS = pa.table({"name": TEXTS, "n": list(range(7))})


def test_a_text_in_csv_is_no_formula_and_in_parquet_as_it_is(tmp_path):
    exports.write(ROWS, tmp_path / "t.csv")
    names = [line.split(",")[0] for line in (tmp_path / "t.csv").read_text("utf-8-sig").split("\n")]
    assert names[1:8] == [
        '"\'=1+1"', '"\'+86"', '"\'-x"', '"\'@f"', '"a=b"', "", '"\u5546\u6237"',
    ]
    exports.write(ROWS, tmp_path / "t.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "t.parquet").equals(ROWS)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet"])
def test_a_file_that_could_not_be_written_whole_leaves_the_old_one(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"t{suffix}"
    exports.write(ROWS, path)
    before = path.read_bytes()

    def cut(rows, partial):
        partial.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(exports._WRITERS, suffix, cut)
    with pytest.raises(PaylakeError):
        exports.write(ROWS, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(UsageFault, match="without suffix"):
        exports.write(ROWS, tmp_path / "t")
