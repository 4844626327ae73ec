"""The lake in an object store: the same tables, digests and versions as in a folder."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import duckdb
import pyarrow as pa
import pytest

from paylake import serving, settings
from paylake.content import partitions
from paylake.engine import commit, session
from paylake.errors import EnvironmentFault, PermanentFailure, UsageFault
from paylake.lake import Lake, between
from paylake.store import access
from tests.object_store import BUCKET, SECRET, object_store
from tests.paylake.test_lake import D1, D2, D3, SCHEMA, rows

_numbers = count()


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    with object_store(tmp_path_factory.mktemp("store") / "store.log") as given:
        yield given


@pytest.fixture
def remote(tmp_path, monkeypatch, variables):
    """A lake below a prefix of its own, with two dates in a table."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    lake = Lake(
        settings.load({"PAYLAKE_HOME": str(tmp_path)}, lake=f"s3://{BUCKET}/home-{next(_numbers)}")
    )
    assert lake.tables("silver") == [] and lake.size() == 0
    lake.ensure("silver", "thing", SCHEMA)
    lake.replace("silver", "thing", pa.concat_tables([rows(D1, 9), rows(D2, 5)]), D1, D2)
    return lake


@pytest.fixture
def local(tmp_path):
    lake = Lake(settings.load({"PAYLAKE_HOME": str(tmp_path / "local")}))
    lake.ensure("silver", "thing", SCHEMA)
    lake.replace("silver", "thing", pa.concat_tables([rows(D1, 9), rows(D2, 5)]), D1, D2)
    return lake


def test_it_holds_the_same_content_as_a_folder(remote, local):
    assert remote.address("silver", "thing").startswith(f"s3://{BUCKET}/home-")
    assert remote.tables("silver") == ["thing"]
    assert remote.digests("silver", "thing", D1, D3) == local.digests("silver", "thing", D1, D3)
    found = [partitions(each, [("silver", "thing")], D1, D3) for each in (remote, local)]
    assert found[0] == found[1] and sorted(found[0]) == [D1, D2]
    assert remote.size() > 1000
    assert not (remote.settings.home / "lake").exists(), "nothing of it is on this machine"


def test_versions_appends_and_other_columns_are_as_in_a_folder(remote):
    before = remote.version("silver", "thing")
    old = remote.digests("silver", "thing", D1, D2)
    remote.replace("silver", "thing", rows(D2, 2), D2, D2)
    remote.append("silver", "thing", rows(D3, 4))
    total = remote.query("select count(*) as n from silver.thing").column("n")[0].as_py()
    assert total == 9 + 2 + 4
    assert remote.digests("silver", "thing", D1, D2, version=before) == old
    assert remote.digests("silver", "thing", D1, D2)[D2] != old[D2]
    with pytest.raises(PermanentFailure, match="other columns"):
        remote.append("silver", "thing", rows(D3, 1).drop_columns("rate"))


def test_a_lost_file_is_found(remote):
    name = remote.actions("silver", "thing").column("path")[0].as_py()
    assert len(remote.file_digest("silver", "thing", name)) == 64
    remote.store._files().delete_file(
        remote.address("silver", "thing").removeprefix("s3://") + f"/{name}"
    )
    assert remote.file_digest("silver", "thing", name) is None
    with pytest.raises(duckdb.Error):
        remote.query("select sum(rate) from silver.thing")


def test_a_dropped_table_is_gone(remote):
    remote.drop("silver", "thing")
    assert not remote.exists("silver", "thing")
    with pytest.raises(PermanentFailure, match=r"no table silver\.thing"):
        remote.query("select * from silver.thing")


def test_the_embedded_engine_reads_and_writes_there(remote):
    with session(remote.settings, layers=("silver",)) as spark:
        frame = spark.sql(
            f"select * from silver.thing where {between(D1, D1)}"
        ).selectExpr(f"date '{D3}' as business_date", "name", "amount", "at", "rate")
        commit(frame, remote.address("silver", "thing"), between(D3, D3))
    copied = "select * exclude (business_date) from silver.thing where business_date = ? "
    copied += "order by all"
    assert remote.query(copied, [D3]).equals(remote.query(copied, [D1]))


def test_a_release_file_reads_it_and_holds_no_key(remote):
    remote.ensure("gold", "mart", SCHEMA)
    for number in range(3):
        day = D1 + timedelta(days=number)
        remote.replace("gold", "mart", rows(day, number + 1), day, day)
    pinned = serving.Pinned("R000001", 1, D2, "d" * 64, {"mart": 2})
    file = serving.write(remote.settings, pinned, [("doubled", 'select rate * 2 as r from "mart"')])
    with serving.Reader(remote.settings, "R000001") as reader:
        assert reader.query("select count(*) as n from mart").column("n")[0].as_py() == 1 + 2
        assert reader.query("select count(*) as n from doubled").column("n")[0].as_py() == 3
    assert serving.shows(remote.settings, pinned, [("doubled", 'select rate * 2 as r from "mart"')])
    assert SECRET.encode() not in file.read_bytes()


def test_keys_and_addresses_are_asked_for_by_name(remote, monkeypatch):
    assert SECRET not in repr(access()) and SECRET not in repr(remote.settings)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(EnvironmentFault, match="AWS_SECRET_ACCESS_KEY is not set"):
        remote.exists("silver", "thing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(EnvironmentFault, match="not encrypted"):
        remote.exists("silver", "thing")


def test_a_bucket_that_is_not_there_is_named(remote, tmp_path):
    lake = Lake(settings.load({"PAYLAKE_HOME": str(tmp_path)}, lake="s3://elsewhere/home"))
    with pytest.raises(EnvironmentFault, match="no bucket elsewhere"):
        lake.ensure("silver", "thing", SCHEMA)


def test_files_of_this_machine_are_refused(remote):
    with pytest.raises(UsageFault, match="object store"):
        remote.path("silver", "thing")


@pytest.mark.parametrize("given", ["s3://", "s3://bucket", "gs://b/p", "/data/lake", "s3://b/a'b"])
def test_another_address_is_refused(tmp_path, given):
    with pytest.raises(UsageFault, match="cannot be at"):
        settings.load({"PAYLAKE_HOME": str(tmp_path)}, lake=given)
