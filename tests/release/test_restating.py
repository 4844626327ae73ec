"""A published date that a wrong rule made: built again, judged, and named by one more release."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

import expectations
from paylake import content, files, ops, release, repair, restatement, runs, settings
from paylake.dates import date_range, run_time
from paylake.errors import Held, NotVerified, PermanentFailure, UsageFault
from paylake.lake import Lake
from paylake.status import status
from tests.expectations.gate_world import money
from tests.release.institution import KPI, Institution

TABLE = KPI.removeprefix("work.")
STATEMENT = "mart_settlement__merchant_day"
WHO = ("restate-test", "the rule counted terminals wrongly")


class Ruled(Institution):
    """An institution whose rule for a count and an amount is wrong on some dates until corrected,
    with the quick gate."""

    wrong: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.is_real = False

    def build(self, first: date, last: date) -> None:
        for day in date_range(first, last):
            off = day in self.wrong
            self.world.change(
                KPI, day,
                lambda rows, off=off: [{**r, "active_terminal_count": 9 if off else 3}
                                       for r in rows],
            )
            self.world.change(
                f"work.{STATEMENT}", day,
                lambda rows, off=off: [
                    {**r, "adjustment_amount": money(5 if off and r["merchant_id"] == "M1" else 0)}
                    for r in rows
                ],
            )
        super().build(first, last)


def prepare(made: Ruled) -> None:
    """Four dates are released, the rule wrong on the second and third; the fifth is held."""
    made.wrong = frozenset(made.days[1:3])
    made.spoiled.add(made.days[4])
    runs.run(made.settings, made.days[0], made.days[4], made.steps())
    assert release.in_force(made.settings).through == made.days[3]


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "code_version", lambda: "c" * 64)
        patch.setattr(content, "rule_version", lambda: "d" * 64)
        made = Ruled(settings.load({}, home=tmp_path_factory.mktemp("restating") / "home"))
        prepare(made)
    return made.settings.home


def at(published: Path, place: Path) -> Ruled:
    """A copy of it, with the corrected rule; readers' files are of the place."""
    shutil.copytree(published, place)
    made = Ruled(settings.load({}, home=place))
    made.spoiled.add(made.days[4])
    shutil.rmtree(made.settings.path("serving"))
    release.mend(made.settings)
    return made


@pytest.fixture
def there(published, tmp_path) -> Ruled:
    return at(published, tmp_path / "home")


@pytest.fixture(scope="module")
def undisturbed(published, tmp_path_factory) -> tuple[list[dict], dict]:
    """Documents and content after a restatement that nobody disturbed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "code_version", lambda: "c" * 64)
        patch.setattr(content, "rule_version", lambda: "d" * 64)
        made = at(published, tmp_path_factory.mktemp("undisturbed") / "home")
        restate(made)
    return documents(made), content_of(made)


def restate(there: Ruled, day: int = 1, steps=None) -> runs.RestatementResult:
    return runs.restate(there.settings, there.days[day], *WHO, steps or there.steps())


def terminals(there: Ruled, release_id: str | None = None) -> list[int]:
    with release.reader(there.settings, release_id) as reader:
        rows = reader.query(
            f"select active_terminal_count as n from {TABLE} order by business_date"
        )
    return rows.column(0).to_pylist()


def documents(there: Ruled) -> list[dict]:
    return [r.document for r in release.listing(there.settings)]


def test_a_corrected_rule_is_restated_from_the_first_date_that_it_changes(there):
    there.is_real = True
    before = release.listing(there.settings)
    result = restate(there, 0)
    chain = release.listing(there.settings)
    restated = chain[-1]
    assert restated.release_id == "R000005-20260915-restated" == result.release_id
    assert [r.release_id for r in chain[:-1]] == [r.release_id for r in before]
    assert (restated.through, restated.previous_digest) == (there.days[3], before[-1].digest)
    section = restated.document["restatement"]
    assert list(section["dates"]) == [str(d) for d in there.days[1:3]]
    assert (section["date"], section["person"], section["reason"], section["is_demo"]) == (
        str(there.days[0]), *WHO, True
    )
    named = section["dates"][str(there.days[1])]
    lake = Lake(there.settings)
    day = there.days[1]
    assert named["published"][TABLE] == lake.digests("gold", TABLE, day, day)[day]
    assert named["checks"] and named["waivers"] == [] and "silver.transaction" in named["sources"]
    # The old release shows what it showed, the new one what is right.
    assert terminals(there, before[-1].release_id) == [3, 9, 9, 3]
    assert terminals(there) == [3, 3, 3, 3] == terminals(there, restated.release_id)
    assert there.calls == [
        ("build", there.days[0], there.days[3]), ("gate", there.days[1], there.days[3])
    ]
    naming = release.naming(chain)
    assert [n.release.sequence for n in naming.values()] == [1, 5, 5, 4]
    assert ops.latest(there.settings, "restatement")[0]["state"] == "done"
    # Whole, and nothing left to do: for the dates, for the restatement, and for a second one.
    assert repair.verify(there.settings, there.days[0], there.days[3]) == []
    assert runs.run(there.settings, there.days[0], there.days[3], there.steps()).nothing
    again = restate(there, 0)
    assert again.nothing and again.rows() == []
    assert documents(there)[-1] == restated.document and len(documents(there)) == 6
    assert restatement.opened(there.settings) is None


def test_what_changed_is_told_by_date_table_row_and_amount(there):
    told: list = []
    result = runs.restate(
        there.settings, there.days[1], *WHO, there.steps(), told=told.extend
    )
    rows = {(r["date"], r["table"]): r for r in result.rows()}
    assert sorted(rows) == sorted(
        (day, table) for day in there.days[1:3] for table in (TABLE, STATEMENT)
    )
    found = rows[there.days[1], STATEMENT]
    assert (found["added"], found["removed"], found["changed"]) == (0, 0, 1)
    assert found["amounts"] == "adjustment_amount CNY 5.00 → 0.00"
    assert rows[there.days[1], TABLE]["amounts"] == ""
    assert told == result.changes
    chain = release.listing(there.settings)
    assert release.changed_rows(there.settings, chain[-1].release_id, chain[-2].release_id) == told
    digests = release.diff(there.settings, chain[-2].release_id, chain[-1].release_id)
    assert [(r["date"], r["table"]) for r in digests] == sorted(rows)
    assert {r["release_id"] for r in digests} == {chain[-1].release_id}
    ordinary = release.changed_rows(there.settings, chain[1].release_id, chain[2].release_id)
    assert {c.business_date for c in ordinary} == {there.days[1]}
    assert all(c.rows_before == 0 and c.added == c.rows_after for c in ordinary)


def test_dates_before_the_restated_one_are_not_touched_though_they_are_wrong_too(there):
    restate(there, 2)
    assert terminals(there) == [3, 9, 3, 3]
    assert [c for c in there.calls if c[0] == "build"] == [
        ("build", there.days[2], there.days[3])
    ]


def test_a_date_that_is_not_released_is_refused_by_name(there):
    with pytest.raises(UsageFault, match=f"{there.days[4]} is not released"):
        restate(there, 4)
    with pytest.raises(UsageFault, match="person and a reason"):
        runs.restate(there.settings, there.days[1], " ", "why", there.steps())
    assert ops.rows(there.settings, "restatement") == []


def test_late_data_stays_late_and_the_next_date_follows_by_the_normal_loop(there):
    late = ("transaction", there.days[1], 2)
    moment = run_time(there.days[4], there.settings)
    there.sent[late] = moment - timedelta(hours=1)
    there.sent["transaction", there.days[4], 2] = moment
    restate(there)
    there.ingest(there.days[1], there.days[1], lambda day: moment)
    there.calls.clear()
    result = runs.run(there.settings, there.days[4], there.days[4], there.steps())
    states = {r["delivery_id"]: r["reason_code"] for r in ops.latest(there.settings, "delivery")}
    assert states[f"transaction/{there.days[1]}/2"] == "date_closed"
    # Built before the restatement, of what it replaced: stale.
    assert ("build", there.days[4], there.days[4]) in there.calls
    assert result.dates == {there.days[4]: "released"}
    newest = release.in_force(there.settings)
    assert newest.release_id == "R000006-20260916"
    assert terminals(there) == [3] * 5
    assert terminals(there, "R000004-20260915") == [3, 9, 9, 3]


def test_a_held_and_built_date_is_stale_after_a_restatement(there):
    restate(there)
    there.calls.clear()
    runs.run(there.settings, there.days[4], there.days[4], there.steps())
    assert ("build", there.days[4], there.days[4]) in there.calls


def test_damage_is_mended_before_anything_is_restated(there):
    (file,) = there.settings.path(
        "lake", "silver", "transaction", f"business_date={there.days[2]}"
    ).glob("*.parquet")
    file.unlink()
    with pytest.raises(NotVerified, match=r"silver\.transaction"):
        restate(there)
    assert ops.rows(there.settings, "restatement") == []


def test_bronze_that_is_not_what_was_released_is_refused(there, monkeypatch):
    partitions = content.partitions

    def other(lake, names, first, last, **options):
        found = partitions(lake, names, first, last, **options)
        for tables in found.values():
            if "silver.transaction" in tables:
                tables["bronze.raw_switch__transaction"] = "0" * 64
        return found

    monkeypatch.setattr(content, "partitions", other)
    with pytest.raises(NotVerified, match="never takes in other data"):
        restate(there)


# What the gate holds ---------------------------------------------------------------------------


def test_a_restated_date_that_the_gate_holds_stays_open_until_it_is_waived(there):
    there.spoiled.add(there.days[2])
    told: list = []
    with pytest.raises(Held) as caught:
        runs.restate(there.settings, there.days[1], *WHO, there.steps(), told=told.extend)
    sentence = caught.value.sentence()
    assert caught.value.exit_code == 12 and f"held at {there.days[2]}" in sentence
    assert f"release waive --date {there.days[2]} --check kpi_success_rate_band" in sentence
    assert f"restate --date {there.days[1]}" in sentence and "--withdraw" in sentence
    assert told  # who is to waive sees what it is about
    assert terminals(there) == [3, 9, 9, 3]
    assert status(there.settings).summary()[2]["value"].startswith(str(there.days[1]))
    # Nobody else writes meanwhile.
    for step in (
        lambda: runs.run(there.settings, there.days[4], there.days[4], there.steps()),
        lambda: release.publish(there.settings, there.days[4], there.days[4]),
        lambda: expectations.gate(there.settings, there.days[4], there.days[4]),
    ):
        with pytest.raises(Held, match=r"is open since .* may not write"):
            step()
    with pytest.raises(UsageFault, match="by restate-test is open"):
        runs.restate(there.settings, there.days[2], *WHO, there.steps())
    expectations.waive(there.settings, there.days[2], "kpi_success_rate_band", "ops", "outage")
    there.calls.clear()
    result = restate(there)
    assert there.calls == []  # built and judged already
    assert result.release_id is not None
    named = release.naming(release.listing(there.settings))
    assert [w["person"] for w in named[there.days[2]].waivers] == ["ops"]
    row = next(r for r in status(there.settings).rows() if r["date"] == there.days[2])
    assert (row["gate"], row["release"]) == ("waived", result.release_id)


def test_other_code_while_it_is_held_builds_again(there, monkeypatch):
    there.spoiled.add(there.days[2])
    with pytest.raises(Held):
        restate(there)
    there.spoiled.discard(there.days[2])
    monkeypatch.setattr(content, "code_version", lambda: "e" * 64)
    result = restate(there)
    assert result.dates == there.days[1:3]


def test_a_check_that_cannot_be_waived_offers_no_waiver(there):
    there.lossy = frozenset(there.days[3:4])  # a date that did not change, behind those that did
    with pytest.raises(Held, match=f"held at {there.days[3]}") as caught:
        restate(there)
    assert "release waive" not in caught.value.sentence()
    with pytest.raises(PermanentFailure, match="cannot be waived"):
        expectations.waive(there.settings, there.days[3], "totals", "ops", "no")


# Putting back ----------------------------------------------------------------------------------


def content_of(there: Ruled) -> dict:
    lake = Lake(there.settings)
    return {
        (layer, table): lake.digests(layer, table, there.days[0], there.days[4])
        for layer in ("bronze", "silver", "state", "work", "gold")
        for table in content.dated_tables(lake, layer)
    }


def test_withdrawing_puts_the_very_files_back(there):
    before, compared = content_of(there), files.compare(
        there.settings, there.days[0], there.days[3]
    )
    there.spoiled.add(there.days[2])
    with pytest.raises(Held):
        restate(there)
    assert content_of(there) != before
    runs.withdraw(there.settings, there.steps())
    assert content_of(there) == before
    assert files.compare(there.settings, there.days[0], there.days[3]) == compared
    assert restatement.opened(there.settings) is None
    with pytest.raises(UsageFault, match="No restatement is open"):
        runs.withdraw(there.settings, there.steps())
    # The gate's newest word is of what stands, and the loop goes on as if nothing had been.
    judged = release.verdicts(there.settings, there.days[0], there.days[4])
    assert [v.result for v in judged.values()] == ["passed"] * 4 + ["failed"]
    there.calls.clear()
    result = runs.run(there.settings, there.days[0], there.days[4], there.steps())
    assert result.dates[there.days[3]] == "unchanged" and not result.mended
    assert not [c for c in there.calls if c[0] == "build"]
    there.spoiled.discard(there.days[2])
    assert restate(there).dates == there.days[1:3]


# Kills -----------------------------------------------------------------------------------------


class Crash(BaseException):
    """As a killed process: nothing may catch it."""


def dying(monkeypatch, there: Ruled, moment: str):
    """Arrange a crash; returns the steps to use."""
    steps = dict(there.steps())

    def crash(*_args, **_kwargs):
        raise Crash

    def half_built(first, last):
        replace, left = Lake.replace, [4]

        def counted(self, *args):
            left[0] -= 1
            if not left[0]:
                raise Crash
            return replace(self, *args)

        monkeypatch.setattr(Lake, "replace", counted)
        there.build(first, last)

    def built_then(first, last):
        there.build(first, last)
        raise Crash

    if moment == "half built":
        steps["build"] = half_built
    elif moment == "built, not noted":
        steps["build"] = built_then
    elif moment == "before the gate":
        steps["gate"] = crash
    elif moment == "after the gate":
        monkeypatch.setattr(release.restating, "judged", crash)
    elif moment == "half of gold":
        replace, left = Lake.replace, [2]

        def gold(self, layer, *args):
            if layer == "gold":
                left[0] -= 1
                if not left[0]:
                    raise Crash
            return replace(self, layer, *args)

        monkeypatch.setattr(Lake, "replace", gold)
    elif moment == "before the release":
        monkeypatch.setattr(release.chain, "append", crash)
    elif moment == "before readers see it":
        monkeypatch.setattr(release, "mend", crash)
    elif moment == "before it is closed":
        write = restatement.write

        def open_only(settings, intent, state, *rest):
            if state != restatement.OPENED:
                raise Crash
            write(settings, intent, state, *rest)

        monkeypatch.setattr(restatement, "write", open_only)
    return steps


MOMENTS = ("half built", "built, not noted", "before the gate", "after the gate", "half of gold",
           "before the release", "before readers see it", "before it is closed")


@pytest.mark.long
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_and_the_same_command_again_end_as_if_undisturbed(
    there, undisturbed, monkeypatch, moment
):
    with monkeypatch.context() as patch:
        steps = dying(patch, there, moment)
        with pytest.raises(Crash):
            restate(there, steps=steps)
    assert restatement.opened(there.settings) is not None
    released = moment in ("before readers see it", "before it is closed")
    assert terminals(there) == ([3] * 4 if released else [3, 9, 9, 3])
    with pytest.raises(Held, match="may not write"):
        runs.run(there.settings, there.days[0], there.days[4], there.steps())
    result = restate(there)
    assert result.dates == there.days[1:3] and len(result.rows()) == 4
    assert (documents(there), content_of(there)) == undisturbed
    assert restatement.opened(there.settings) is None
    assert repair.verify(there.settings, there.days[0], there.days[3]) == []


@pytest.mark.long
@pytest.mark.parametrize("moment", [*MOMENTS[:6], "while it is put back"])
def test_a_kill_and_withdrawing_end_as_if_nothing_had_been(there, monkeypatch, moment):
    before, chain = content_of(there), documents(there)
    with monkeypatch.context() as patch:
        back = moment == "while it is put back"
        steps = dying(patch, there, "before the release" if back else moment)
        with pytest.raises(Crash):
            restate(there, steps=steps)
    if moment == "while it is put back":
        restore, left = Lake.restore, [3]

        def dies(self, *args):
            left[0] -= 1
            if not left[0]:
                raise Crash
            return restore(self, *args)

        with monkeypatch.context() as patch:
            patch.setattr(Lake, "restore", dies)
            with pytest.raises(Crash):
                runs.withdraw(there.settings, there.steps())
        assert restatement.opened(there.settings).built_digest is None
    runs.withdraw(there.settings, there.steps())
    assert content_of(there) == before and documents(there) == chain
    assert repair.verify(there.settings, there.days[0], there.days[3]) == []
    assert restate(there).dates == there.days[1:3]


def test_what_is_published_is_not_withdrawn(there, monkeypatch):
    with monkeypatch.context() as patch:
        steps = dying(patch, there, "before readers see it")
        with pytest.raises(Crash):
            restate(there, steps=steps)
    with pytest.raises(UsageFault, match="is published as R000005"):
        runs.withdraw(there.settings, there.steps())
    restate(there)
    assert restatement.opened(there.settings) is None
