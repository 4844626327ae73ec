"""Files of views that the process's own DuckDB reads."""

from __future__ import annotations

import threading

import duckdb
import pytest

from paylake import delta_reader, settings
from paylake.delta_reader import FileReader
from paylake.store import store


def _file(path, number):
    """A file whose view `v` shows one number."""
    partial = path.with_suffix(".partial")
    with duckdb.connect(str(partial)) as made:
        made.execute(f"create view v as select {number} as n")
        made.execute(f"comment on view v is 'shows {number}'")
    partial.replace(path)
    return path


@pytest.fixture
def place(tmp_path):
    return store(settings.load({}, home=tmp_path / "home"))


def _shows(reader):
    return reader.connection.execute("select n from v").fetchone()[0]


def test_two_files_of_the_same_names_are_told_apart(place, tmp_path):
    first, second = (
        FileReader(place, _file(tmp_path / f"{n}.duckdb", n)) for n in (1, 2)
    )
    assert (_shows(first), _shows(second)) == (1, 2)
    assert (first.views(), second.views()) == ({"v": "shows 1"}, {"v": "shows 2"})
    first.close()
    assert _shows(second) == 2
    second.close()


def test_one_file_is_attached_once_and_let_go_after_the_last_reader(place, tmp_path):
    path = _file(tmp_path / "a.duckdb", 1)
    before = len(delta_reader._files)
    readers = [FileReader(place, path) for _ in range(3)]
    assert len(delta_reader._files) == before + 1
    for reader in readers[:2]:
        reader.close()
    assert _shows(readers[2]) == 1
    readers[2].close()
    readers[2].close()  # a second time is nothing
    assert len(delta_reader._files) == before
    path.unlink()


def test_a_file_that_is_replaced_shows_its_old_rows_to_who_reads_it_and_new_ones_to_others(
    place, tmp_path
):
    path = _file(tmp_path / "a.duckdb", 1)
    old = FileReader(place, path)
    _file(path, 2)
    new = FileReader(place, path)
    assert (_shows(old), _shows(new)) == (1, 2)
    old.close()
    later = FileReader(place, path)
    assert (_shows(new), _shows(later)) == (2, 2)
    new.close()
    later.close()


def test_it_is_read_alone_and_a_broken_one_is_an_error(place, tmp_path):
    path = _file(tmp_path / "a.duckdb", 1)
    reader = FileReader(place, path)
    with pytest.raises(duckdb.Error):
        reader.connection.execute("create table t (a int)")
    reader.close()
    broken = tmp_path / "b.duckdb"
    broken.write_bytes(path.read_bytes()[:4000])
    for _ in range(2):
        with pytest.raises(duckdb.Error):
            FileReader(place, broken)
    broken.write_bytes(path.read_bytes())  # mended in place
    whole = FileReader(place, broken)
    assert _shows(whole) == 1
    whole.close()


def test_many_threads_read_and_let_go(place, tmp_path):
    path = _file(tmp_path / "a.duckdb", 7)
    wrong = []

    def work():
        for _ in range(20):
            reader = FileReader(place, path)
            if _shows(reader) != 7:
                wrong.append("other rows")
            reader.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and (delta_reader.os.getpid(), str(path)) not in delta_reader._files
