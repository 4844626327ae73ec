"""Deliveries of a date: add up, replace, repeat, come late; and what bronze then holds."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingestion import engine, ingest, kept, missing_feeds
from ingestion.codes import REASONS
from ingestion.feeds import Feed
from ingestion.writers import write
from paylake import ops
from paylake import settings as paylake_settings
from paylake.crypto import unseal
from paylake.keys import Keyring
from paylake.lake import Lake
from paylake.settings import Settings
from tests.ingestion.test_readers import mutate, mutation
from tests.ingestion.world import DAY, MAKERS, leg, merchant, send, send_all, totals, transaction

AS_OF = datetime(2026, 9, 20, tzinfo=UTC)
NEXT = DAY + timedelta(days=1)
TABLE = "bronze.raw_switch__transaction"


def rows(settings: Settings, sql: str) -> list[dict[str, Any]]:
    return Lake(settings).query(sql).to_pylist()


def keys(settings: Settings, day: date = DAY) -> list[str]:
    found = rows(
        settings,
        f"select transaction_id from {TABLE} where business_date = date '{day}' order by all",
    )
    return [row["transaction_id"] for row in found]


def quarantined(settings: Settings, table: str = "raw_switch__transaction") -> list[tuple]:
    found = rows(
        settings,
        f"select rule_code, record_key from quarantine.{table} order by business_date, "
        "_delivery_id, _line_number",
    )
    return [(row["rule_code"], row["record_key"]) for row in found]


def content(settings: Settings) -> dict[str, Any]:
    """Digests of every bronze table, and quarantine with its rows opened."""
    lake = Lake(settings)
    first, last = DAY - timedelta(days=5), DAY + timedelta(days=30)
    found: dict[str, Any] = {}
    for table in lake.tables("bronze"):
        found[table] = lake.digests("bronze", table, first, last)
        found[f"q {table}"] = [
            tuple(v for k, v in row.items() if k != "sealed_row")
            for row in rows(settings, f"select * from quarantine.{table} order by all")
        ]
    return found


def many(count: int, day: date = DAY, start: int = 1) -> list[dict[str, str | None]]:
    return [transaction(n, day) for n in range(start, start + count)]


def test_a_whole_date_reaches_bronze_tokenised(settings: Settings) -> None:
    send_all(settings)
    result = ingest(settings, DAY, DAY, AS_OF)
    assert {o["state"] for o in result.outcomes} == {"accepted"} and len(result.outcomes) == 8
    assert not result.waiting and result.exit_code == 0
    row = rows(settings, f"select * from {TABLE} order by transaction_id limit 1")[0]
    assert "cvn2" not in row and "card_number" not in row
    assert row["card_number_token"].startswith("t1_")
    assert row["card_number_masked"] == "622202******0001"
    assert row["_delivery_id"] == f"transaction/{DAY}/1" and row["_line_number"] == 2
    vault = {
        unseal(Keyring(settings).seal_key(), r["sealed_value"], r["token"].encode()).decode(): r
        for r in rows(settings, "select * from vault.identifier")
    }
    assert vault["6222021234500001"]["token"] == row["card_number_token"]
    assert vault["张三丰"]["kind"] == "name"


def test_no_clear_identifier_reaches_the_disk(settings: Settings) -> None:
    send_all(settings)
    ingest(settings, DAY, DAY, AS_OF)
    for path in settings.home.rglob("*"):
        if path.is_file():
            held = path.read_bytes()
            assert b"6222021234500001" not in held and b"13800000001" not in held, path
    assert not list(settings.path("landing", "inbox").rglob("control.json"))


def test_again_is_nothing_to_do(settings: Settings) -> None:
    send_all(settings)
    ingest(settings, DAY, DAY, AS_OF)
    lake = Lake(settings)
    versions = {t: lake.version("bronze", t) for t in lake.tables("bronze")}
    again = ingest(settings, DAY, DAY, AS_OF)
    assert again.nothing
    assert versions == {t: lake.version("bronze", t) for t in lake.tables("bronze")}


@pytest.mark.parametrize("harm", ["delete", "flip"])
def test_a_harmed_partition_is_found_and_mended(settings: Settings, harm: str) -> None:
    send_all(settings)
    ingest(settings, DAY, DAY, AS_OF)
    before = content(settings)
    path = next(Lake(settings).path("bronze", "raw_switch__transaction").rglob("*.parquet"))
    if harm == "delete":
        path.unlink()
    else:
        held = bytearray(path.read_bytes())
        held[len(held) // 2] ^= 1
        path.write_bytes(held)
    mended = ingest(settings, DAY, DAY, AS_OF)
    assert mended.built == 1 and not mended.outcomes
    assert content(settings) == before


def test_range_equals_days_with_shuffled_and_late_rows(tmp_path: Path) -> None:
    homes = []
    days = [DAY + timedelta(days=n) for n in range(4)]
    for name in ("range", "days"):
        settings = paylake_settings.load(environ={}, home=tmp_path / name)
        if not homes:
            Keyring(settings).ensure_demo()
        else:
            shutil.copytree(homes[0].path("keys"), settings.path("keys"))
        homes.append(settings)
    for settings in homes:
        for day in days:
            batch = many(120, day)[::-1]
            batch += [transaction(900, day, event_at=f"{day - timedelta(days=2)} 09:00:00")]
            batch += [transaction(5, day - timedelta(days=1))]  # seen the day before
            batch += [transaction(6, day - timedelta(days=3))]  # seen three days before
            send(settings, "transaction", batch, day=day)
            send(settings, "merchant", day=day)
    ingest(homes[0], days[0], days[-1], AS_OF)
    for day in days:
        ingest(homes[1], day, day, AS_OF)
    assert content(homes[0]) == content(homes[1])
    codes = [code for code, _ in quarantined(homes[0])]
    assert codes == ["duplicate_key"] * 4
    commits = Lake(homes[0]).version("bronze", "raw_switch__transaction")
    assert commits == 1  # created, then one commit for the whole range


def test_sequences_of_a_date_add_up(settings: Settings) -> None:
    send(settings, "transaction", many(100))
    ingest(settings, DAY, DAY, AS_OF)
    send(settings, "transaction", [*many(60, start=201), transaction(7)], sequence=2)
    result = ingest(settings, DAY, DAY, AS_OF)
    assert [o["state"] for o in result.outcomes] == ["accepted"]
    assert len(keys(settings)) == 160
    assert quarantined(settings) == [("duplicate_key", transaction(7)["transaction_id"])]


def test_a_delivery_that_replaces_another(settings: Settings) -> None:
    send(settings, "transaction", many(10))
    send(settings, "transaction", many(5, start=11), sequence=2)
    ingest(settings, DAY, DAY, AS_OF)
    send(settings, "transaction", many(9), sequence=3, supersedes=1)
    ingest(settings, DAY, DAY, AS_OF)
    assert keys(settings) == [r["transaction_id"] for r in [*many(9), *many(5, start=11)]]
    states = {e["delivery_id"]: e["state"] for e in ops.latest(settings, "delivery")}
    assert states == {
        f"transaction/{DAY}/1": "superseded",
        f"transaction/{DAY}/2": "accepted",
        f"transaction/{DAY}/3": "accepted",
    }


def test_rows_judged_beside_a_replaced_delivery_are_judged_again(settings: Settings) -> None:
    send(settings, "transaction", many(100))
    send(settings, "transaction", [*many(99, start=201), transaction(1)], sequence=2)
    send(settings, "transaction", many(99, start=2), sequence=3, supersedes=1)
    ingest(settings, DAY, DAY, AS_OF)
    assert transaction(1)["transaction_id"] in keys(settings)  # no longer a duplicate
    assert quarantined(settings) == []


def test_the_same_content_again_is_recorded_and_ignored(settings: Settings) -> None:
    send(settings, "transaction", many(10))
    ingest(settings, DAY, DAY, AS_OF)
    send(settings, "transaction", many(10), sequence=2)
    result = ingest(settings, DAY, DAY, AS_OF)
    assert [(o["state"], o["reason_code"]) for o in result.outcomes] == [
        ("ignored_duplicate", "same_content")
    ]
    assert len(keys(settings)) == 10 and quarantined(settings) == []


def test_data_of_a_refused_delivery_may_come_again_in_the_same_pass(settings: Settings) -> None:
    send(settings, "transaction", many(10), amount_totals={"CNY": Decimal("1.00")})
    send(settings, "transaction", many(10), sequence=2)
    send(settings, "transaction", many(10), sequence=3)
    result = ingest(settings, DAY, DAY, AS_OF)
    assert [(o["sequence"], o["state"], o["reason_code"]) for o in result.outcomes] == [
        (1, "refused", "amount_mismatch"),
        (2, "accepted", None),
        (3, "ignored_duplicate", "same_content"),
    ]
    assert len(keys(settings)) == 10 and quarantined(settings) == []


def test_other_content_under_an_accepted_name_is_refused(settings: Settings) -> None:
    send(settings, "transaction", many(10))
    ingest(settings, DAY, DAY, AS_OF)
    send(settings, "transaction", many(11))
    result = ingest(settings, DAY, DAY, AS_OF)
    assert [(o["state"], o["reason_code"]) for o in result.outcomes] == [("refused", "name_taken")]
    assert len(keys(settings)) == 10
    states = sorted(e["state"] for e in ops.latest(settings, "delivery"))
    assert states == ["accepted", "refused"]


def test_a_released_date_takes_nothing_more(settings: Settings, monkeypatch) -> None:
    send(settings, "transaction", many(10))
    ingest(settings, DAY, DAY, AS_OF)
    monkeypatch.setattr(engine.log, "closed_through", lambda _: DAY)
    send(settings, "transaction", many(3, start=50), sequence=2)
    result = ingest(settings, NEXT, NEXT, AS_OF)  # the run of a later date decides it too
    assert [(o["state"], o["reason_code"]) for o in result.outcomes] == [("refused", "date_closed")]
    assert len(keys(settings)) == 10


def test_a_released_date_is_mended_but_not_made_by_a_new_contract(
    settings: Settings, monkeypatch
) -> None:
    send(settings, "transaction", many(10))
    ingest(settings, DAY, DAY, AS_OF)
    changed = property(lambda self: "another digest")
    monkeypatch.setattr(Feed, "digest", changed)
    assert ingest(settings, DAY, DAY, AS_OF).built == 1
    monkeypatch.setattr(engine.log, "closed_through", lambda _: DAY)
    monkeypatch.setattr(Feed, "digest", property(lambda self: "yet another"))
    assert ingest(settings, DAY, DAY, AS_OF).nothing
    next(Lake(settings).path("bronze", "raw_switch__transaction").rglob("*.parquet")).unlink()
    ingest(settings, DAY, DAY, AS_OF)
    assert len(keys(settings)) == 10


def test_what_is_sent_later_is_not_seen_yet(settings: Settings) -> None:
    path = send(settings, "merchant", sent_at=datetime(2026, 9, 13, 5, tzinfo=UTC))
    assert ingest(settings, DAY, DAY, datetime(2026, 9, 13, 0, tzinfo=UTC)).nothing
    assert path.exists()
    seen = ingest(settings, DAY, DAY, lambda day: datetime(2026, 9, 13, 6, tzinfo=UTC))
    assert [o["state"] for o in seen.outcomes] == ["accepted"]


def test_a_late_delivery_makes_the_next_date_look_again(settings: Settings) -> None:
    send(settings, "transaction", [*many(100, NEXT), transaction(7)], day=NEXT)
    ingest(settings, DAY, NEXT, AS_OF)
    assert transaction(7)["transaction_id"] in keys(settings, NEXT)
    send(settings, "transaction", many(10))
    ingest(settings, DAY, NEXT, AS_OF)
    assert transaction(7)["transaction_id"] in keys(settings, DAY)
    assert transaction(7)["transaction_id"] not in keys(settings, NEXT)
    assert quarantined(settings) == [("duplicate_key", transaction(7)["transaction_id"])]


def test_bad_rows_go_to_quarantine_with_their_rule(settings: Settings) -> None:
    bad = {
        "missing_value": {"merchant_id": None},
        "too_long": {"response_code": "123456789"},
        "bad_enum": {"status": "maybe"},
        "bad_number": {"amount": "12,5x"},
        "bad_scale": {"amount": "12.345"},
        "bad_date": {"event_at": "2026-09-31 10:00:00"},
    }
    batch = many(400)
    for number, changes in enumerate(bad.values(), 401):
        batch.append(transaction(number, **changes))
    send(settings, "transaction", batch)
    result = ingest(settings, DAY, DAY, AS_OF)
    assert result.outcomes[0]["rows_accepted"] == 400
    assert result.outcomes[0]["rows_quarantined"] == len(bad)
    assert [code for code, _ in quarantined(settings)] == list(bad)


def test_a_total_that_cannot_be_compared_says_so(settings: Settings) -> None:
    batch = [*many(99), transaction(100, amount="unknown")]
    known = totals(Feed.load("transaction"), [*many(99), transaction(100)])
    send(settings, "transaction", batch, amount_totals=known)
    outcome = ingest(settings, DAY, DAY, AS_OF).outcomes[0]
    assert outcome["state"] == "accepted"
    assert "1 rows have no readable amount (CNY -100.1)" in outcome["reason"]


def test_a_bad_row_takes_its_record_along(settings: Settings) -> None:
    batch = [*many(200), transaction(300, status="?"), transaction(300)]
    send(settings, "transaction", batch)
    ingest(settings, DAY, DAY, AS_OF)
    assert [code for code, _ in quarantined(settings)] == ["bad_enum", "same_record"]


def test_limits(settings: Settings) -> None:
    bad = [transaction(n, status="?") for n in range(200, 203)]
    send(settings, "transaction", [*many(97), *bad])
    send(settings, "ledger_journal", [*(leg(n) for n in range(1, 500)), leg(500, direction="X")])
    result = ingest(settings, DAY, DAY, AS_OF)
    reasons = {o["feed"]: o["reason_code"] for o in result.outcomes}
    assert reasons == {"transaction": "too_many_bad_rows", "ledger_journal": "bad_row_in_book"}
    assert "ledger_journal" in missing_feeds(settings, DAY, DAY)[DAY]
    assert "line 500, bad_enum" in next(
        o["reason"] for o in result.outcomes if o["feed"] == "ledger_journal"
    )


def test_a_new_column_breaks_and_shows_nothing(settings: Settings) -> None:
    lines = write(Feed.load("merchant"), [merchant(n) for n in range(1, 4)]).decode().splitlines()
    wide = [line + (",spare" if n == 0 else ",6222029999900001") for n, line in enumerate(lines)]
    send(settings, "merchant", content="\n".join(wide).encode() + b"\n", count=3)
    result = ingest(settings, DAY, DAY, AS_OF)
    assert result.outcomes[0]["state"] == "accepted"
    assert result.outcomes[0]["unclassed_columns"] == '["spare"]'
    alarms = ops.latest(settings, "alarm")
    assert [(a["alarm_code"], a["subject"]) for a in alarms] == [
        ("unclassed_column", "merchant.spare")
    ]
    for path in settings.home.rglob("*"):
        if path.is_file():
            assert b"6222029999900001" not in path.read_bytes(), path


@pytest.mark.parametrize("step", [
    "tables", *(pytest.param(step, marks=pytest.mark.long) for step in ("keep", "log", "inbox")),
])
def test_killed_anywhere_and_run_again_gives_the_same(
    settings: Settings, tmp_path: Path, monkeypatch, step: str
) -> None:
    send_all(settings)
    other = paylake_settings.load(environ={}, home=tmp_path / "other")
    shutil.copytree(settings.home, other.home)
    ingest(other, DAY, DAY, AS_OF)

    class Killed(BaseException):
        pass

    calls = {"n": 0}

    def die(original):
        def wrapped(*args, **kwargs):
            calls["n"] += 1
            if calls["n"] == 3:
                raise Killed
            return original(*args, **kwargs)

        return wrapped

    with monkeypatch.context() as patch:
        if step == "keep":
            patch.setattr(kept, "keep", die(kept.keep))
        elif step == "tables":
            patch.setattr(Lake, "replace", die(Lake.replace))
        elif step == "log":
            patch.setattr(engine.ops, "record", die(engine.ops.record))
        else:
            patch.setattr(engine.shutil, "rmtree", die(engine.shutil.rmtree))
        with pytest.raises(Killed):
            ingest(settings, DAY, DAY, AS_OF)
    ingest(settings, DAY, DAY, AS_OF)
    assert content(settings) == content(other)
    accepted = [e for e in ops.latest(settings, "delivery") if e["state"] == "accepted"]
    assert len(accepted) == 8
    assert not list(settings.path("landing", "inbox").rglob("control.json"))


MUTATED = given(st.sampled_from(sorted(MAKERS)), st.lists(mutation, min_size=1, max_size=3))


def examples(number: int) -> hypothesis_settings:
    return hypothesis_settings(
        max_examples=number, deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@examples(12)
@MUTATED
def test_mutated_files_are_accepted_quarantined_or_refused(tmp_path_factory, name, changes) -> None:
    hold_mutated(tmp_path_factory, name, changes)


@pytest.mark.long
@examples(300)
@MUTATED
def test_many_mutated_files_are_accepted_quarantined_or_refused(
    tmp_path_factory, name, changes
) -> None:
    hold_mutated(tmp_path_factory, name, changes)


def hold_mutated(
    tmp_path_factory, name: str, changes: list[tuple[int, int, bytes]]
) -> None:
    settings = paylake_settings.load(environ={}, home=tmp_path_factory.mktemp("m") / "home")
    Keyring(settings).ensure_demo()
    feed = Feed.load(name)
    sent = [MAKERS[name](n) for n in range(1, 121)]
    send(settings, name, sent, content=mutate(write(feed, sent), changes), count=120)
    (outcome,) = ingest(settings, DAY, DAY, AS_OF).outcomes
    if outcome["state"] == "accepted":
        assert outcome["rows_accepted"] + outcome["rows_quarantined"] == 120
        stored = rows(settings, f"select count(*) as n from bronze.{feed.table}")[0]["n"]
        assert stored == outcome["rows_accepted"]
        assert len(quarantined(settings, feed.table)) == outcome["rows_quarantined"]
    else:
        assert outcome["state"] == "refused" and outcome["reason_code"] in REASONS
        assert settings.path(outcome["kept_path"], "kept.json").is_file()
