"""What quarantine shows, and how a row comes back through the same door."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ingestion import deliver, engine, ingest, quarantine, quarantine_list, quarantine_show, replay
from ingestion.feeds import Feed
from ingestion.writers import write
from paylake.errors import UsageFault
from paylake.lake import Lake
from paylake.settings import Settings
from tests.ingestion.world import DAY, merchant, send, terminal, transaction

AS_OF = datetime(2026, 9, 20, tzinfo=UTC)
SENT = datetime(2026, 9, 13, 9, tzinfo=UTC)


def with_bad_rows(settings: Settings) -> None:
    rows = [transaction(n) for n in range(1, 200)]
    rows[9] = transaction(10, status="done")
    content = write(Feed.load("transaction"), rows) + "T1,早餐,6222021234500001,987\n".encode(
        "gb18030"
    )
    send(settings, "transaction", rows, content=content, count=200)
    ingest(settings, DAY, DAY, AS_OF)


def test_a_row_is_shown_by_class(settings: Settings) -> None:
    with_bad_rows(settings)
    first, second = quarantine_list(settings)
    assert (first.rule_code, first.record_key, str(first.amount)) == (
        "bad_enum", transaction(10)["transaction_id"], "10.1000",
    )
    assert (second.rule_code, second.record_key) == ("wrong_column_count", None)
    shown = quarantine_show(settings, first.delivery_id, first.line)
    assert shown.columns["status"] == "done"
    assert shown.columns["card_number"] == "622202******0000"
    assert "cvn2" not in shown.columns
    shape = quarantine_show(settings, second.delivery_id, second.line)
    assert shape.shape == "a9,字字,9999999999999999,***"


def test_a_corrected_row_is_replayed(settings: Settings) -> None:
    with_bad_rows(settings)
    item = quarantine_list(settings)[0]
    done = replay(settings, item.delivery_id, item.line, {"status": "success"}, sent_at=SENT)
    assert done.delivery_id == f"transaction/{DAY}/2"
    control = json.loads(
        settings.path("landing", "inbox", "transaction", str(DAY), "2", "control.json").read_text()
    )
    assert control["key_id"] == "paylake-1" and control["amount_totals"] == {"CNY": "10.10"}
    ingest(settings, DAY, DAY, AS_OF)
    rows = Lake(settings).query(
        "select * from bronze.raw_switch__transaction where _delivery_id like '%/2'"
    ).to_pylist()
    assert [r["transaction_id"] for r in rows] == [item.record_key]
    assert quarantine.replay_origin("transaction", rows[0]["_file_name"]) == (
        item.delivery_id, item.file_name, item.line,
    )
    assert rows[0]["card_number_masked"] == "622202******0000"
    statuses = {i.line: (i.status, i.replayed_as) for i in quarantine_list(settings)}
    assert statuses[item.line] == ("replayed", done.delivery_id)
    assert len(quarantine_list(settings, only_open=True)) == 1
    with pytest.raises(UsageFault, match="replayed already"):
        replay(settings, item.delivery_id, item.line, {"status": "success"}, sent_at=SENT)


def test_a_line_that_could_not_be_split_needs_its_columns(settings: Settings) -> None:
    with_bad_rows(settings)
    item = quarantine_list(settings)[1]
    with pytest.raises(UsageFault, match="lacks transaction_type"):
        replay(settings, item.delivery_id, item.line, {"transaction_id": "T1"}, sent_at=SENT)
    whole = {k: v for k, v in transaction(777).items() if k != "cvn2"}
    replay(settings, item.delivery_id, item.line, whole, sent_at=SENT)
    assert ingest(settings, DAY, DAY, AS_OF).outcomes[0]["rows_accepted"] == 1


def test_a_replay_of_a_released_date_goes_to_the_first_open_one(
    settings: Settings, monkeypatch
) -> None:
    with_bad_rows(settings)
    monkeypatch.setattr(engine.log, "closed_through", lambda _: DAY)
    item = quarantine_list(settings)[0]
    done = replay(settings, item.delivery_id, item.line, {"status": "failed"}, sent_at=SENT)
    assert str(done.business_date) == "2026-09-13"
    with pytest.raises(UsageFault, match="is released"):
        replay(settings, item.delivery_id, item.line, {"status": "failed"}, DAY, sent_at=SENT)


@pytest.mark.parametrize(
    ("name", "make", "harm", "fix"),
    [
        ("merchant", merchant, {"fee_class": "NONE"}, {"fee_class": "STD"}),
        ("terminal", terminal, {"status": "?"}, {"status": "inactive"}),
    ],
)
def test_other_formats_replay_too(settings: Settings, name: str, make, harm, fix) -> None:
    send(settings, name, [*(make(n) for n in range(1, 100)), make(100, **harm)])
    ingest(settings, DAY, DAY, AS_OF)
    (item,) = quarantine_list(settings, feed=name)
    assert "文三路" not in json.dumps(
        quarantine_show(settings, item.delivery_id, item.line).rows(), ensure_ascii=False
    )
    replay(settings, item.delivery_id, item.line, fix, sent_at=SENT)
    assert ingest(settings, DAY, DAY, AS_OF).outcomes[0]["rows_accepted"] == 1
    assert deliver.missing_feeds(settings, DAY, DAY)[DAY] != []


def test_unknown_rows_and_columns_are_usage_faults(settings: Settings) -> None:
    with_bad_rows(settings)
    item = quarantine_list(settings)[0]
    with pytest.raises(UsageFault, match="No row in quarantine at line 3"):
        quarantine_show(settings, item.delivery_id, 3)
    with pytest.raises(UsageFault, match="No row in quarantine"):
        quarantine_show(settings, "nobody/2026-09-12/1", 3)
    for columns in ({"cvn2": "123"}, {"colour": "red"}):
        with pytest.raises(UsageFault, match="Not columns that a replay may set"):
            replay(settings, item.delivery_id, item.line, columns, sent_at=SENT)
