"""Publishing: the chain, crashes between its steps, readers, mending, and what is refused."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import expectations
import paylake
from paylake import content, ops, release, serving, settings
from paylake.errors import Held, NotVerified, PermanentFailure, UsageFault
from paylake.lake import Lake
from tests.expectations.gate_world import World, good, money

KPI = "mart_kpi__institution_day"


@pytest.fixture
def here(tmp_path):
    return settings.load({}, home=tmp_path / "home")


#: Homes that went through the gate, by what was asked of them: the gate takes seconds, a copy none.
_GATED: dict[tuple[int, int | None], Path] = {}


@pytest.fixture(scope="module", autouse=True)
def templates():
    yield
    for home in _GATED.values():
        shutil.rmtree(home)
    _GATED.clear()


def gated(here, days: int = 3, spoil: int | None = None) -> World:
    """A world whose dates were built and went through the gate, here."""
    world = good(days)
    if spoil is not None:
        world.change(
            f"work.{KPI}", world.days[spoil], lambda rows: [{**rows[0], "success_rate": 0.5}]
        )
    if (days, spoil) not in _GATED:
        made = settings.load({}, home=Path(tempfile.mkdtemp(prefix="paylake-gated-")))
        _GATED[days, spoil] = made.home
        world.write(made)
        expectations.gate(made, world.days[0], world.days[-1])
    shutil.copytree(_GATED[days, spoil], here.home, dirs_exist_ok=True)
    return world


def seen(here, release_id: str | None = None) -> list:
    with release.reader(here, release_id) as reader:
        return reader.query(f"select business_date from {KPI} order by 1").column(0).to_pylist()


def test_releases_are_chained_one_a_date_and_readers_see_through_theirs(here):
    world = gated(here)
    result = release.publish(here, world.days[0], world.days[-1])
    assert [r.release_id for r in result.released] == [
        "R000001-20260912", "R000002-20260913", "R000003-20260914"
    ]
    chain = release.listing(here)
    for before, after in itertools.pairwise(chain):
        assert after.previous_digest == before.digest == after.document["previous"]
        assert after.digest == content.digest_of(after.document)
    assert serving.pointer(here) == chain[-1].release_id
    for n, each in enumerate(chain[1:], 1):
        assert seen(here, each.release_id) == world.days[:n]
    document = chain[2].document
    lake = Lake(here)
    day = world.days[1]
    assert document["published"][KPI] == lake.digests("gold", KPI, day, day)[day]
    assert document["sources"]["silver.transaction"] == lake.digests(
        "silver", "transaction", day, day
    )[day]
    assert len(document["checks"]) > 50
    assert len(document["code_version"]) == len(document["rule_version"]) == 64


def test_all_releases_of_a_range_become_visible_in_one_commit(here):
    world = gated(here)
    release.publish(here, world.days[0], world.days[-1])
    assert Lake(here).version("ops", "release") == 1
    assert Lake(here).version("gold", KPI) == 1


def test_old_releases_stay_readable_while_new_ones_come(here):
    world = gated(here)
    release.publish(here, world.days[0], world.days[0])
    before = seen(here)
    release.publish(here, world.days[1], world.days[2])
    assert seen(here, "R000001-20260912") == before == world.days[:1]
    rows = release.diff(here, "R000001-20260912", "R000003-20260914")
    assert {row["date"] for row in rows} == set(world.days[1:])


def test_an_empty_lake_has_release_zero(here):
    assert release.in_force(here).sequence == 0
    with release.reader(here) as reader:
        assert reader.tables() == ["release"]
        assert reader.query("select through from release").to_pylist() == [{"through": None}]


def test_python_reader(here):
    world = gated(here, 1)
    release.publish(here, world.days[0], world.days[0])
    frame = paylake.read(KPI, home=str(here.home))
    assert frame["payment_amount"].tolist() == [money(600)]
    with pytest.raises(UsageFault, match="has no table 'nothing'"):
        paylake.read("nothing", home=str(here.home))
    with pytest.raises(UsageFault, match="no release 'R9'"):
        paylake.read(KPI, release="R9", home=str(here.home))


def test_publication_stops_at_the_first_date_that_may_not_go_out(here):
    world = gated(here, spoil=1)
    with pytest.raises(Held) as caught:
        release.publish(here, world.days[0], world.days[-1])
    assert caught.value.exit_code == 12
    assert "kpi_success_rate_band" in str(caught.value)
    assert [r.through for r in caught.value.result.released] == world.days[:1]
    assert seen(here) == world.days[:1]
    with pytest.raises(Held, match="cannot be published before 2026-09-13"):
        release.publish(here, world.days[2], world.days[2])
    expectations.waive(here, world.days[1], "kpi_success_rate_band", "ops", "outage")
    release.publish(here, world.days[1], world.days[2])
    assert release.listing(here)[2].document["waivers"][0]["reason"] == "outage"
    assert seen(here) == world.days


def test_what_was_built_again_since_the_gate_does_not_go_out(here):
    world = gated(here, 1)
    world.change(f"work.{KPI}", world.days[0], lambda rows: [{**rows[0], "refund_count": 9}])
    world.write(here)
    with pytest.raises(Held, match="built again since it went through the gate"):
        release.publish(here, world.days[0], world.days[0])
    assert release.in_force(here).sequence == 0


def test_what_never_went_through_the_gate_does_not_go_out(here):
    good(1).write(here)
    with pytest.raises(Held, match="not been through the gate"):
        release.publish(here, good(1).days[0], good(1).days[0])


class Crash(BaseException):
    """As a killed process: nothing may catch it."""


def crash(*_args, **_kwargs):
    raise Crash


@pytest.mark.parametrize("moment", [
    pytest.param("first gold table", marks=pytest.mark.long),
    pytest.param("third gold table", marks=pytest.mark.long),
    pytest.param("release", marks=pytest.mark.long),
    pytest.param("views", marks=pytest.mark.long),
])
def test_a_crash_leaves_the_former_release_in_force_and_a_rerun_completes(
    here, tmp_path, monkeypatch, moment
):
    other = settings.load({}, home=tmp_path / "other")
    for where in (here, other):
        world = gated(where)
        release.publish(where, world.days[0], world.days[0])
    release.publish(other, world.days[1], world.days[2])

    with monkeypatch.context() as patch:
        if moment == "release":
            patch.setattr(release.chain, "append", crash)
        elif moment == "views":
            patch.setattr(serving, "write", crash)
        else:
            left = [0 if moment.startswith("first") else 2]
            replace = Lake.replace

            def dying(self, layer, *args):
                if layer == "gold":
                    if not left[0]:
                        raise Crash
                    left[0] -= 1
                return replace(self, layer, *args)

            patch.setattr(Lake, "replace", dying)
        with pytest.raises(Crash):
            release.publish(here, world.days[1], world.days[2])

    assert serving.pointer(here) == "R000001-20260912"
    assert seen(here, "R000001-20260912") == world.days[:1]
    if moment != "views":
        assert release.in_force(here).release_id == "R000001-20260912"
    release.publish(here, world.days[1], world.days[2])
    assert serving.pointer(here) == "R000003-20260914"
    assert [r.document for r in release.listing(here)] == [
        r.document for r in release.listing(other)
    ]
    for each in release.listing(here)[1:]:
        assert seen(here, each.release_id) == seen(other, each.release_id)


@pytest.mark.long
def test_a_rerun_after_a_crash_publishes_what_is_in_work_then(here, monkeypatch):
    """Gold rows beyond `through` are invisible, so a rebuilt date may replace them."""
    world = gated(here, 1)
    day = world.days[0]
    with monkeypatch.context() as patch:
        patch.setattr(release.chain, "append", crash)
        with pytest.raises(Crash):
            release.publish(here, day, day)
    world.change(f"work.{KPI}", day, lambda rows: [{**rows[0], "active_terminal_count": 2}])
    world.write(here)
    expectations.gate(here, day, day)
    release.publish(here, day, day)
    with release.reader(here) as reader:
        assert reader.query(f"select active_terminal_count as n from {KPI}").to_pylist() == [
            {"n": 2}
        ]


def test_a_published_date_is_not_changed(here):
    world = gated(here, 1)
    day = world.days[0]
    release.publish(here, day, day)
    version = Lake(here).version("gold", KPI)
    world.change(f"work.{KPI}", day, lambda rows: [{**rows[0], "active_terminal_count": 2}])
    world.write(here)
    expectations.gate(here, day, day)
    result = release.publish(here, day, day)
    assert result.unchanged == [day] and result.released == []
    assert Lake(here).version("gold", KPI) == version
    assert len(release.listing(here)) == 2


def test_mending_writes_lost_and_damaged_files_anew(here):
    world = gated(here)
    extra = [("v_total", f"select sum(payment_amount) as amount from {KPI}")]
    release.publish(here, world.days[0], world.days[-1], extra)
    # The one in force is there at once, earlier ones when somebody asks, or here.
    assert release.mend(here) == ["R000000", "R000001-20260912", "R000002-20260913"]
    assert release.mend(here) == []
    serving.file_of(here, "R000001-20260912").unlink()
    damaged = serving.file_of(here, "R000002-20260913")
    damaged.write_bytes(damaged.read_bytes()[:5000])
    serving.folder(here).joinpath("CURRENT").unlink()
    assert release.mend(here) == ["R000001-20260912", "R000002-20260913"]
    assert serving.pointer(here) == "R000003-20260914"
    assert seen(here, "R000002-20260913") == world.days[:2]
    with release.reader(here, "R000002-20260913") as reader:
        assert reader.query("select amount from v_total").to_pylist() == [{"amount": money(1200)}]


def test_a_wrong_view_is_named_and_leaves_no_half_written_file(here):
    world = gated(here, 1)
    with pytest.raises(PermanentFailure, match="v_wrong"):
        release.publish(
            here, world.days[0], world.days[0], [("v_wrong", "select nothing from nowhere")]
        )
    assert list(serving.folder(here).glob("*.duckdb*")) == []


def test_a_forged_release_row_breaks_the_chain(here):
    world = gated(here)
    release.publish(here, world.days[0], world.days[1])
    row = ops.latest(here, "release")[0]
    row["document"] = row["document"].replace("kpi_success_rate_band", "kpi_success_rate_bend")
    del row["recorded_at"]
    ops.record(here, "release", [row])
    with pytest.raises(NotVerified, match="broken at R000001"):
        release.publish(here, world.days[2], world.days[2])


def test_intermediate_tables_stay_in_work(here):
    world = gated(here, 1)
    lake = Lake(here)
    rows = pa.table({"business_date": pa.array([world.days[0]], pa.date32()), "n": [1]})
    lake.ensure("work", "int_scratch", rows.schema)
    lake.append("work", "int_scratch", rows)
    release.publish(here, world.days[0], world.days[0])
    assert "int_scratch" not in lake.tables("gold")
    assert KPI in lake.tables("gold")


def test_files_open_in_plain_duckdb(here):
    from paylake.delta_reader import delta_extension

    world = gated(here, 1)
    release.publish(here, world.days[0], world.days[0])
    with duckdb.connect(
        str(serving.file_of(here, serving.pointer(here))), read_only=True
    ) as connection:
        connection.execute(f"load '{delta_extension()}'")
        assert connection.execute(f"select count(*) from {KPI}").fetchone() == (1,)
