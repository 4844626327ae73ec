"""Every line of what was received can be shown again, and to whom."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ingestion import Clear, delivery_list, delivery_show, ingest, quarantine_list
from ingestion.feeds import Feed
from ingestion.writers import write
from paylake import ops
from paylake.errors import NotVerified, UsageFault
from paylake.keys import Keyring
from paylake.lake import Lake
from paylake.settings import Settings
from tests.ingestion.world import DAY, merchant, send, terminal, transaction

AS_OF = datetime(2026, 9, 20, tzinfo=UTC)
ID = f"transaction/{DAY}/1"


def received(settings: Settings) -> list[dict]:
    rows = [transaction(n) for n in range(1, 60)]
    content = write(Feed.load("transaction"), rows) + "T1,早餐,6222021234500001,987\n".encode(
        "gb18030"
    )
    send(settings, "transaction", rows, content=content, count=60)
    send(settings, "merchant", [merchant(n) for n in range(1, 4)])
    send(settings, "terminal", [terminal(n) for n in range(1, 4)])
    ingest(settings, DAY, DAY, AS_OF)
    return rows


def test_deliveries_are_listed_with_their_states(settings: Settings) -> None:
    received(settings)
    found = {row["delivery_id"]: row for row in delivery_list(settings)}
    assert set(found) == {ID, f"merchant/{DAY}/1", f"terminal/{DAY}/1"}
    assert found[ID]["state"] == "accepted" and found[ID]["rows_accepted"] == 59
    assert [r["delivery_id"] for r in delivery_list(settings, DAY, DAY, "merchant")] == [
        f"merchant/{DAY}/1"
    ]
    assert delivery_list(settings, state="refused") == []


def test_every_accepted_line_of_every_format_is_shown_again(settings: Settings) -> None:
    received(settings)
    shown = 0
    for feed, table, key in (
        ("transaction", "raw_switch__transaction", "transaction_id"),
        ("merchant", "raw_registry__merchant", "merchant_id"),
        ("terminal", "raw_registry__terminal", "terminal_id"),
    ):
        rows = Lake(settings).query(
            f"select _line_number, _delivery_id, {key} from bronze.{table}"
        ).to_pylist()
        for row in rows:
            line = delivery_show(settings, row["_delivery_id"], row["_line_number"]).line
            assert line.columns[key] == row[key], (feed, row)
            shown += 1
    assert shown == 59 + 3 + 3


def test_identifiers_are_masked_and_c3_is_absent(settings: Settings) -> None:
    rows = received(settings)
    found = delivery_show(settings, ID, 2)
    assert found.line.columns["card_number"] == "622202******" + rows[0]["card_number"][-4:]
    assert "cvn2" not in found.line.columns
    assert "C3 blanked" in found.verified
    assert found.files[0]["sm3_received"] != found.files[0]["sm3_kept"]
    (bad,) = quarantine_list(settings)
    assert delivery_show(settings, ID, bad.line).line.shape == "a9,字字,9999999999999999,***"
    assert ops.rows(settings, "vault_opening") == []


def test_in_clear_only_with_a_recorded_opening(settings: Settings) -> None:
    rows = received(settings)
    found = delivery_show(settings, ID, 2, clear=Clear("auditor", "complaint 17"))
    assert found.line.is_clear
    assert found.line.columns["card_number"] == rows[0]["card_number"]
    (opening,) = ops.rows(settings, "vault_opening")
    assert opening["opened_by"] == "auditor" and opening["kind"] == "card"
    assert opening["purpose"] == f"{ID} line 2: complaint 17"
    assert opening["token"] == Keyring(settings).tokeniser().token(rows[0]["card_number"])
    for clear in (Clear("", "x"), Clear("auditor", " "), Clear("auditor", "x" * 90)):
        with pytest.raises(UsageFault):
            delivery_show(settings, ID, 2, clear=clear)
    assert len(ops.rows(settings, "vault_opening")) == 1


def test_what_is_not_there_is_named(settings: Settings) -> None:
    received(settings)
    with pytest.raises(UsageFault, match="No row begins on line 99"):
        delivery_show(settings, ID, 99)
    with pytest.raises(UsageFault, match="No kept delivery"):
        delivery_show(settings, f"transaction/{DAY}/7")
    with pytest.raises(UsageFault, match=r"no file b\.csv"):
        delivery_show(settings, ID, 2, "b.csv")


def test_a_refused_delivery_is_shown_too(settings: Settings) -> None:
    received(settings)
    send(settings, "transaction", [transaction(900)], sequence=2, key_id="custodian-1")
    ingest(settings, DAY, DAY, AS_OF)
    found = delivery_show(settings, f"transaction/{DAY}/2", 2)
    assert found.state == "refused"
    assert found.line.columns["transaction_id"] == transaction(900)["transaction_id"]


@pytest.mark.parametrize("what", ["sealed", "manifest", "control"])
def test_a_changed_byte_is_named(settings: Settings, what: str) -> None:
    received(settings)
    folder = settings.path(delivery_show(settings, ID).kept_path)
    if what == "sealed":
        (path,) = folder.glob("*.sealed")
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    elif what == "manifest":
        path = folder / "kept.json"
        manifest = json.loads(path.read_text())
        manifest["files"][0]["sm3_received"] = "0" * 64
        path.write_text(json.dumps(manifest))
    else:
        path = folder / "control.json"
        control = json.loads(path.read_text())
        control["files"][0]["sm3"] = "0" * 64
        path.write_text(json.dumps(control))
    with pytest.raises(NotVerified, match=r"seal|Restore landing/kept"):
        delivery_show(settings, ID, 2)
