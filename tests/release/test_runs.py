"""The run loop: order, waiting, holding back, staleness, and range = days."""

from __future__ import annotations

from datetime import timedelta

import pytest

import expectations
from paylake import ops, release, runs, settings
from paylake.dates import run_time
from paylake.errors import Held, UsageFault, Waiting
from paylake.status import status
from tests.expectations.gate_world import good
from tests.release.institution import Institution


@pytest.fixture
def there(tmp_path):
    return Institution(settings.load({}, home=tmp_path / "home"), is_real=False)


def twins(tmp_path, days: int, is_real: bool = False) -> tuple[Institution, Institution]:
    """Two homes of the same few dates, for two ways that must end alike."""
    one, two = (
        Institution(settings.load({}, home=tmp_path / name), good(days), is_real=is_real)
        for name in ("a", "b")
    )
    return one, two


def go(there: Institution, first: int, last: int | None = None) -> runs.RunResult:
    last = first if last is None else last
    return runs.run(there.settings, there.days[first], there.days[last], there.steps())


def names(result: runs.RunResult) -> list[str]:
    return [result.dates[day] for day in sorted(result.dates)]


def documents(there: Institution) -> list[dict]:
    return [r.document for r in release.listing(there.settings)]


def test_a_range_releases_each_date_and_a_second_run_has_nothing_to_do(there):
    result = go(there, 0, 4)
    assert names(result) == ["released"] * 5 and result.error is None
    assert [c[0] for c in there.calls] == ["ingest", "build", "gate", "publish", "report"]
    there.calls.clear()
    again = go(there, 0, 4)
    assert again.nothing and again.exit_code == 0
    assert [c[0] for c in there.calls] == ["report"]
    assert len(documents(there)) == 6


@pytest.mark.parametrize("is_real", [False, pytest.param(True, marks=pytest.mark.long)])
def test_days_one_by_one_give_the_releases_of_the_range(tmp_path, is_real):
    there, other = twins(tmp_path, 3, is_real=is_real)
    go(there, 0, 2)
    for n in range(3):
        go(other, n)
    assert documents(there) == documents(other)
    if is_real:
        assert documents(there)[-1]["open_items"] == []
        assert documents(there)[2]["open_items"][0]["kind"] == "reserve"


def test_a_run_takes_pending_earlier_dates_first(there):
    go(there, 0)
    result = go(there, 3)
    assert names(result) == ["released"] * 3
    assert release.in_force(there.settings).through == there.days[3]


def test_a_date_waits_for_a_required_delivery_and_holds_back_later_ones(there):
    late = there.days[1]
    there.sent["merchant", late, 1] = run_time(there.days[2], there.settings) - timedelta(hours=1)
    result = go(there, 0, 1)
    assert names(result) == ["released", "waiting"]
    assert isinstance(result.error, Waiting) and result.exit_code == 11
    assert f"{late} waits for merchant" in str(result.error)
    assert ("build", late, late) not in there.calls
    result = go(there, 2)
    assert names(result) == ["released", "released"] and result.error is None


@pytest.mark.long
def test_in_a_range_a_later_run_takes_up_what_came_for_a_waiting_date(tmp_path):
    there, other = twins(tmp_path, 3)
    for each in (there, other):
        moment = run_time(each.days[2], each.settings) - timedelta(hours=1)
        each.sent["merchant", each.days[1], 1] = moment
    result = go(there, 0, 2)
    assert result.error is None and names(result) == ["released"] * 3
    for n in range(3):
        go(other, n)
    assert documents(there) == documents(other)


def test_held_date_keeps_later_ones_built_gated_and_unpublished(there):
    there.spoiled.add(there.days[1])
    result = go(there, 0, 3)
    assert names(result) == ["released", "held", "behind", "behind"]
    assert isinstance(result.error, Held) and result.exit_code == 12
    sentence = str(result.error)
    assert str(there.days[1]) in sentence and "kpi_success_rate_band" in sentence
    assert "release waive" in sentence
    assert release.in_force(there.settings).through == there.days[0]
    assert release.verdicts(there.settings, there.days[3], there.days[3])[
        there.days[3]
    ].result == "passed"


def test_a_held_date_is_cleared_by_a_later_delivery_in_the_loop_and_in_a_range(tmp_path):
    there, other = twins(tmp_path, 4)
    for each in (there, other):
        held = each.days[2]
        each.spoiled.add(held)
        each.sent["transaction", held, 2] = run_time(held, each.settings) + timedelta(hours=3)
        # Sent after its date was released: refused, in the loop and in a range.
        each.sent["transaction", each.days[0], 2] = (
            run_time(each.days[0], each.settings) + timedelta(hours=3)
        )
    result = go(there, 0, 3)
    assert result.error is None and names(result) == ["released"] * 4
    ends = []
    for n in range(4):
        ends.append(names(go(other, n)))
    assert ends == [["released"], ["released"], ["held"], ["released", "released"]]
    assert documents(there) == documents(other)
    for each in (there, other):
        accepted = {r["delivery_id"] for r in ops.latest(each.settings, "delivery")
                    if r["state"] == "accepted"}
        assert f"transaction/{each.days[2]}/2" in accepted
        assert f"transaction/{each.days[0]}/2" not in accepted


def test_a_waived_date_goes_out_with_its_waiver_named(there):
    day = there.days[1]
    there.spoiled.add(day)
    assert go(there, 0, 1).exit_code == 12
    expectations.waive(there.settings, day, "kpi_success_rate_band", "ops-demo", "known outage")
    there.calls.clear()
    result = go(there, 1)
    assert names(result) == ["released"]
    assert [c[0] for c in there.calls] == ["ingest", "publish", "report"]
    waivers = release.show(there.settings).document["waivers"]
    assert [(w["person"], w["check_code"]) for w in waivers] == [
        ("ops-demo", "kpi_success_rate_band")
    ]
    assert ops.rows(there.settings, "waiver")[0]["is_demo"] is True
    table = {row["date"]: row for row in status(there.settings).rows()}
    assert table[day]["gate"] == "waived"


def test_a_new_delivery_for_a_held_date_makes_it_and_later_ones_stale(there):
    there.spoiled.add(there.days[0])
    go(there, 0, 2)
    there.calls.clear()
    go(there, 2)
    assert not [c for c in there.calls if c[0] in ("build", "gate")]
    there.sent["transaction", there.days[0], 2] = run_time(there.days[2], there.settings)
    there.calls.clear()
    result = go(there, 2)
    assert ("build", there.days[0], there.days[2]) in there.calls
    assert names(result) == ["released"] * 3


def test_a_lost_work_partition_is_built_again(there):
    there.spoiled.add(there.days[0])
    go(there, 0, 1)
    there.world.change("work.terminal_profile", there.days[1], lambda rows: rows[1:])
    there.world.write(there.settings, there.days[1], there.days[1])
    there.calls.clear()
    go(there, 1)
    assert [c for c in there.calls if c[0] == "build"] == [
        ("build", there.days[1], there.days[1])
    ]


@pytest.mark.long
def test_steps_one_by_one_do_what_a_run_does(there, tmp_path):
    other = Institution(settings.load({}, home=tmp_path / "other"), is_real=False)
    for each in (there, other):
        each.spoiled.add(each.days[1])
        each.sent["transaction", each.days[1], 2] = (
            run_time(each.days[1], each.settings) + timedelta(hours=3)
        )
    for n in range(4):
        go(there, n)
        for name in runs.STEPS:
            try:
                runs.run_step(other.settings, name, other.days[n], other.steps())
            except Held:
                assert n == 1 and name in ("publish", "report")
    assert documents(there) == documents(other)
    assert [c for c in there.calls if c[0] == "report"][-1][1] == there.days[3]
    reported = {c[1:] for c in other.calls if c[0] == "report"}
    assert (other.days[1], other.days[2]) in reported


def test_dates_sent_at_once_see_what_their_own_runs_would_have_seen(there):
    """Ingest of a later date runs before the earlier one is built: it must not show it more."""
    day = there.days[0]
    there.sent["transaction", day, 2] = run_time(day, there.settings) + timedelta(hours=3)
    for n in range(3):
        runs.run_step(there.settings, "ingest", there.days[n], there.steps())
    accepted = {r["delivery_id"] for r in ops.latest(there.settings, "delivery")}
    assert f"transaction/{day}/2" not in accepted


def test_a_failing_step_is_recorded_and_raised(there):
    def broken(first, last):
        raise RuntimeError("engine fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        runs.run(
            there.settings, there.days[0], there.days[0], {**there.steps(), "build": broken}
        )
    rows = ops.rows(there.settings, "run_step")
    assert [(r["step"], r["result"]) for r in rows] == [("ingest", "done"), ("build", "failed")]
    assert names(go(there, 0)) == ["released"]


def test_a_date_whose_report_was_cut_off_is_reported_by_the_next_run(there):
    def killed(first, last):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.run(
            there.settings, there.days[0], there.days[1], {**there.steps(), "report": killed}
        )
    assert release.in_force(there.settings).through == there.days[1]
    there.calls.clear()
    go(there, 1)
    assert there.calls == [("report", there.days[0], there.days[1])]
    there.calls.clear()
    go(there, 1)
    assert there.calls == [("report", there.days[1], there.days[1])]


def test_a_run_needs_its_steps(there):
    with pytest.raises(UsageFault, match="no step gate"):
        runs.run(there.settings, there.days[0], there.days[0],
                 {k: v for k, v in there.steps().items() if k != "gate"})


def test_status_lists_stages_and_what_is_late(there):
    there.is_real = True
    there.spoiled.add(there.days[1])
    there.sent["terminal", there.days[2], 1] = run_time(there.days[4], there.settings)
    go(there, 0, 2)
    found = status(there.settings)
    table = {row["date"]: row for row in found.rows()}
    assert table[there.days[0]]["release"].startswith("R000001-")
    assert table[there.days[1]]["gate"] == "failed"
    assert table[there.days[1]]["held_by"] == "kpi_success_rate_band"
    assert table[there.days[2]]["deliveries"] == f"{len({f for f, *_ in there.sent}) - 1}/8"
    assert [(r["feed"], r["date"]) for r in found.late] == [("terminal", there.days[2])]
    assert found.oldest_open_item["age_days"] >= 1
    assert found.lake_bytes > 0
