"""A lost file and a flipped byte in what was published: found, named, mended, pins equal."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from paylake import release, repair, runs
from paylake.errors import NotVerified
from paylake.lake import Lake
from tests.release.institution import Institution

TABLE = "mart_settlement__merchant_day"


@pytest.fixture
def there(released) -> Institution:
    return released


def files(there: Institution, layer: str, day: int) -> list:
    folder = there.settings.path("lake", layer, TABLE, f"business_date={there.days[day]}")
    return sorted(folder.glob("*.parquet"))


def rows(there: Institution, release_id: str | None = None) -> list[dict]:
    with release.reader(there.settings, release_id) as reader:
        return reader.query(f"select * from {TABLE} order by all").to_pylist()


def flip_a_byte_of_the_values(file) -> None:
    """In the middle of the largest column chunk: not in statistics, which no value depends on."""
    group = pq.ParquetFile(file).metadata.row_group(0)
    chunk = max((group.column(n) for n in range(group.num_columns)),
                key=lambda c: c.total_compressed_size)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content = bytearray(file.read_bytes())
    content[start + chunk.total_compressed_size // 2] ^= 0x40
    file.write_bytes(bytes(content))


def test_what_is_whole_is_not_touched(there):
    assert repair.verify(there.settings, there.days[0], there.days[2]) == []
    before = Lake(there.settings).version("gold", TABLE)
    result = runs.run(there.settings, there.days[0], there.days[2], there.steps())
    assert result.nothing and result.mended == []
    assert Lake(there.settings).version("gold", TABLE) == before


@pytest.mark.parametrize("how", ["lost", "flipped"])
def test_damage_is_named_and_mended_with_equal_content(there, how):
    before = {r.release_id: rows(there, r.release_id) for r in release.listing(there.settings)[1:]}
    digests = [r.digest for r in release.listing(there.settings)]
    (file,) = files(there, "gold", 1)
    if how == "lost":
        file.unlink()
    else:
        flip_a_byte_of_the_values(file)
    result = runs.run(there.settings, there.days[0], there.days[2], there.steps())
    assert any(f"gold.{TABLE} of {there.days[1]}" in text for text in result.mended)
    assert not result.nothing and result.error is None
    assert [r.digest for r in release.listing(there.settings)] == digests
    assert {i: rows(there, i) for i in before} == before
    again = runs.run(there.settings, there.days[0], there.days[2], there.steps())
    assert again.nothing


def test_when_work_is_lost_too_the_date_is_built_again(there):
    for layer in ("gold", "work"):
        for file in files(there, layer, 1):
            file.unlink()
    with pytest.raises(NotVerified, match="work does not hold"):
        repair.repair(
            there.settings, repair.verify(there.settings, there.days[1], there.days[1])
        )
    there.calls.clear()
    result = runs.run(there.settings, there.days[0], there.days[2], there.steps())
    assert ("build", there.days[1], there.days[1]) in [c[:3] for c in there.calls] or (
        "build", there.days[0], there.days[2]
    ) in there.calls
    assert result.mended and result.error is None
    assert repair.verify(there.settings, there.days[0], there.days[2]) == []
