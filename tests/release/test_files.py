"""A flipped byte anywhere in what was released is found, named, and mended or refused by name."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from paylake import files, ops, release, repair, runs, serving
from paylake.errors import NotVerified
from tests.release.institution import Institution

TABLE = "mart_settlement__merchant_day"


@pytest.fixture
def there(released) -> Institution:
    return released


def again(there: Institution) -> runs.RunResult:
    return runs.run(there.settings, there.days[0], there.days[2], there.steps())


def the_file(there: Institution, layer: str, table: str = TABLE, day: int = 1) -> Path:
    (file,) = there.settings.path(
        "lake", layer, table, f"business_date={there.days[day]}"
    ).glob("*.parquet")
    return file


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x40
    path.write_bytes(bytes(content))


def places(file: Path) -> dict[str, range]:
    """Byte ranges of a Parquet file by what stands in them."""
    size = file.stat().st_size
    footer = int.from_bytes(file.read_bytes()[-8:-4], "little")
    chunk = max(
        (pq.ParquetFile(file).metadata.row_group(0).column(n)
         for n in range(pq.ParquetFile(file).metadata.num_columns)),
        key=lambda c: c.total_compressed_size,
    )
    found = {
        "magic": range(4),
        "page": range(chunk.data_page_offset, chunk.data_page_offset + 20),
        "statistics": range(size - 8 - footer, size - 8 - footer // 2),
        "footer": range(size - 8 - footer // 2, size - 8),
        "footer length": range(size - 8, size - 4),
        "between": range(4, size - 8 - footer),
    }
    if chunk.dictionary_page_offset is not None:
        found["dictionary"] = range(chunk.dictionary_page_offset, chunk.data_page_offset)
    return found


def test_every_file_of_a_release_is_recorded(there):
    rows = ops.latest(there.settings, "file_digest")
    kinds = {row["kind"] for row in rows}
    assert kinds == {"data", "log", "kept", "reader"}
    compared = files.compare(there.settings, there.days[0], there.days[2])
    assert compared.altered == [] and compared.unknown == [] and compared.gone == set()
    assert {layer for layer, _, _ in compared.present} == {"bronze", "silver", "gold"}
    assert again(there).nothing


@pytest.mark.parametrize("layer", ["gold", "silver"])
def test_a_byte_flipped_anywhere_is_found_named_and_mended(there, layer):
    table = TABLE if layer == "gold" else "transaction"
    seed = random.randrange(1_000_000)
    chance = random.Random(seed)
    digests = [r.digest for r in release.listing(there.settings)]
    tried = 0
    for what, where in places(the_file(there, layer, table)).items():
        file = the_file(there, layer, table)
        place = chance.choice(where)
        whole = file.read_bytes()
        flip(file, place)
        told = f"seed {seed}: {what} at {place}"
        (found,) = repair.verify(there.settings, there.days[0], there.days[2])
        assert (found.layer, found.table, found.business_date) == (layer, table, there.days[1])
        assert file.name in str(found) and "altered" in str(found), told
        file.write_bytes(whole)
        assert repair.verify(there.settings, there.days[0], there.days[2]) == [], told
        tried += 1
    assert tried >= 6
    flip(the_file(there, layer, table), chance.choice(where))
    result = again(there)
    assert any(f"{layer}.{table} of {there.days[1]}" in text for text in result.mended)
    assert result.error is None and not result.nothing
    assert [r.digest for r in release.listing(there.settings)] == digests
    assert repair.verify(there.settings, there.days[0], there.days[2]) == []
    assert again(there).nothing


@pytest.mark.parametrize("how", ["altered", "missing"])
def test_a_log_entry_is_written_again_byte_for_byte(there, how):
    log = there.settings.path("lake", "gold", TABLE, "_delta_log", f"{1:020d}.json")
    whole = log.read_bytes()
    if how == "missing":
        log.unlink()
    else:
        flip(log, random.randrange(len(whole)))
    result = again(there)
    assert result.mended == [f"lake/gold/{TABLE}/_delta_log/{1:020d}.json is {how}"]
    assert log.read_bytes() == whole
    assert again(there).nothing


def test_a_partition_deleted_by_a_commit_is_gone_and_comes_back(there):
    from paylake.lake import Lake

    lake = Lake(there.settings)
    day = there.days[1]
    empty = lake.query("select * from silver.transaction limit 0")
    lake.replace("silver", "transaction", empty, day, day)
    result = again(there)
    assert any("silver.transaction" in text and "gone" in text for text in result.mended)
    assert lake.digests("silver", "transaction", day, day) != {}
    assert again(there).nothing


def test_what_the_present_code_makes_otherwise_is_refused_by_name(there):
    there.world.change("silver.transaction", there.days[1], lambda rows: rows[1:])
    flip(the_file(there, "silver", "transaction"), 100)
    for _ in range(2):
        with pytest.raises(NotVerified, match=r"silver.transaction of .*restore the lake"):
            again(there)


@pytest.mark.parametrize("damage", ["flip", "lost", "views", "pointer"])
def test_a_reader_file_is_written_anew(there, damage):
    file = serving.file_of(there.settings, "R000003-20260914")
    if damage == "flip":
        flip(file, file.stat().st_size // 2)
    elif damage == "lost":
        file.unlink()
    elif damage == "views":
        release.mend(there.settings, [("v_one", "select 1 as one")])
        flip(serving.folder(there.settings) / serving.EXTRA, 5)
        there.publish = lambda first, last: release.publish(
            there.settings, first, last, [("v_one", "select 1 as one")]
        )
    else:
        serving.point(there.settings, "R000001-20260912")
    result = again(there)
    assert len(result.mended) == 1 and "serving/" in result.mended[0]
    with release.reader(there.settings) as reader:
        assert reader.query(f"select count(*) as n from {TABLE}").to_pylist()[0]["n"] > 0
    assert again(there).nothing


@pytest.mark.parametrize("broken", ["a quote less", "other SQL"])
def test_definitions_of_views_and_gold_are_altered_at_once(there, broken):
    """Mending gold writes files of views: it must not read the altered definitions for that."""
    view = ("v_one", "select 1 as one")
    there.publish = lambda first, last: release.publish(there.settings, first, last, [view])
    release.mend(there.settings, [view])
    definitions = serving.folder(there.settings) / serving.EXTRA
    whole = definitions.read_bytes()
    spoilt = (b'"v_one', b"v_one") if broken == "a quote less" else (b"1 as", b"0+ as")
    definitions.write_bytes(whole.replace(*spoilt))
    of_another_room = serving.folder(there.settings) / "ops.duckdb"
    of_another_room.write_bytes(b"the operations screen's")
    flip(the_file(there, "gold"), 50)
    result = again(there)
    assert sorted(text.split(" ")[0] for text in result.mended) == [
        f"gold.{TABLE}", f"serving/{serving.EXTRA}"
    ]
    assert definitions.read_bytes() == whole
    assert of_another_room.is_file()
    for name in ("R000002-20260913", "R000003-20260914"):
        with release.reader(there.settings, name) as reader:
            assert reader.query("select one from v_one").to_pylist() == [{"one": 1}]
    assert again(there).nothing


def test_a_kept_delivery_is_refused_by_name_and_the_rest_is_mended(there):
    (sealed,) = there.settings.path("landing", "kept").glob("*/*/*/*.sealed")
    flip(sealed, 3)
    flip(the_file(there, "gold"), 50)
    result = again(there)
    assert result.exit_code == NotVerified.exit_code
    assert str(sealed.relative_to(there.settings.home)) in str(result.error)
    assert "backup" in result.error.next_step
    assert len(result.mended) == 1 and not result.nothing
    sealed.unlink()
    assert "is missing" in str(again(there).error)


def test_a_home_without_records_gets_them_by_comparing_rows(there):
    shutil.rmtree(there.settings.path("lake", "ops", "file_digest"))
    assert again(there).nothing
    assert files.compare(there.settings, there.days[0], there.days[2]).unknown == []


def test_damaged_records_are_named_and_may_be_removed(there):
    folder = there.settings.path("lake", "ops", "file_digest")
    for file in folder.glob("*.parquet"):
        flip(file, file.stat().st_size - 3)
    with pytest.raises(NotVerified, match="remove this folder"):
        again(there)
    shutil.rmtree(folder)
    assert again(there).nothing


def test_reports_that_were_mended_or_could_not_be_are_told(there):
    class Told:
        mended = ("reserve_fund_check of 2026-09-13: a.csv was altered",)
        damaged = ("statement of 2026-09-13: b.csv was altered",)

    steps = {**there.steps(), "report": lambda first, last: Told()}
    result = runs.run(there.settings, there.days[0], there.days[2], steps)
    assert result.mended == list(Told.mended) and result.refused == list(Told.damaged)
    assert result.exit_code == NotVerified.exit_code
