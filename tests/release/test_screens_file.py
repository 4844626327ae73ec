"""The views that Superset reads: the release's own, over tables that stay open."""

from __future__ import annotations

import os

import duckdb
import pytest

from dashboards import guard, snapshots
from paylake import release, serving
from paylake.delta_reader import delta_extension


@pytest.fixture
def files(released, tmp_path):
    """The released file, where Superset's goes, and the tables that are pinned."""
    current = release.in_force(released.settings)
    file = serving.file_of(released.settings, current.release_id)
    return file, tmp_path / "screens" / file.name, snapshots.versions(file)


def write(released, files) -> None:
    file, target, tables = files
    snapshots.write(file, target, released.settings, delta_extension(), tables)


def rows(connection, name: str) -> list:
    return sorted(map(repr, connection.execute(f'from "{name}"').fetchall()))


def test_each_view_shows_what_the_release_s_shows(released, files):
    file, target, tables = files
    assert tables == dict(release.in_force(released.settings).versions)
    write(released, files)
    with duckdb.connect(str(target), read_only=True) as own, duckdb.connect(
        str(file), read_only=True
    ) as theirs:
        for connection in (own, theirs):
            connection.execute(f"load '{delta_extension()}'")
        snapshots.attach(own, released.settings, tables)
        listed = "select view_name from duckdb_views() where not internal order by 1"
        names = [name for (name,) in own.execute(listed).fetchall()]
        assert names == [name for (name,) in theirs.execute(listed).fetchall()]
        filled = [name for name in names if rows(own, name)]
        assert set(filled) >= {"release", "mart_kpi__institution_day"}
        for name in names:
            assert rows(own, name) == rows(theirs, name), name


def test_it_is_written_once_and_again_when_the_release_s_file_is(released, files):
    file, target, _ = files
    write(released, files)
    (target.parent / "R000000-2026-01-01.duckdb").write_bytes(b"of a former release")
    first = target.stat().st_mtime_ns
    write(released, files)
    assert target.stat().st_mtime_ns == first
    os.utime(file)
    write(released, files)
    assert target.stat().st_mtime_ns > first
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_release_s_file_of_before_has_no_versions(released, files):
    file, *_ = files
    with duckdb.connect(str(file)) as connection:
        connection.execute(f"load '{delta_extension()}'")
        for table in files[2]:
            connection.execute(f'comment on view "{table}" is null')
    assert snapshots.versions(file) == {}


@pytest.mark.parametrize("sql", [
    "from pinned_merchant_profile",
    "select * from pinned_merchant_profile.default.merchant_profile",
    "select * from (with pinned_merchant_profile as (select 1) select 1), pinned_merchant_profile",
])
def test_nobody_names_an_attached_table(sql):
    readable, existing = {"overview_card_zh"}, {"overview_card_zh", "pinned_merchant_profile"}
    with pytest.raises(guard.Refused):
        guard.check(sql, readable, existing)
