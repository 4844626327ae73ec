"""One who can write the database, and computes every digest anew, still has no entry pass that its
template would have refused, or that says another thing than it books: where no key is needed to
forge it, `verify` judges it again."""

from __future__ import annotations

import sqlite3
from typing import Any

import orjson
import pytest

from ledger.adapters.export import ledger_path
from ledger.adapters.log_export import export_log
from ledger.adapters.sqlite_reader import SqliteReader
from ledger.domain.chain import GENESIS, entry_digest
from ledger.entrypoints.operations import verify, verify_export
from paylake.errors import NotVerified
from tests.ledger.conftest import ANN, BEN, DAY, World, at
from tests.ledger.rules.words import CNY, INTERNAL, PLAIN, on, posted
from tests.ledger.test_verify import COLUMNS, _broken, _edit, _forge

NAMES = [name.strip() for name in COLUMNS.split(",")]
JSON = ("content", "legs", "effects")


def _rows(world: World) -> list[dict[str, Any]]:
    db = sqlite3.connect(ledger_path(world.settings))
    rows = [dict(zip(NAMES, row, strict=True)) for row in
            db.execute(f"select {COLUMNS} from entry order by sequence")]
    db.close()
    return rows


def _write(world: World, rows: list[dict[str, Any]]) -> None:
    """The whole log anew, numbered and chained."""
    _edit(world)
    db = sqlite3.connect(ledger_path(world.settings))
    db.execute("delete from entry")
    digest, journal = GENESIS, 0
    for sequence, row in enumerate(rows, 1):
        journal += row["legs"] != "[]"
        row = {**row, "sequence": sequence, "journal": journal if row["legs"] != "[]" else None}
        digest = entry_digest(digest, tuple(row[name] for name in NAMES))
        row["digest"] = digest
        db.execute(f"insert into entry ({COLUMNS}) values ({', '.join('?' * len(NAMES))})",
                   tuple(row[name] for name in NAMES))
    db.commit()
    db.close()


def _again(world: World, type_: str, key: str, **more: Any) -> None:
    """The last entry of a type a second time, at the end, under other numbers."""
    rows = _rows(world)
    copy = dict([row for row in rows if row["type"] == type_][-1])
    content = {**orjson.loads(copy["content"]), key: "AGAIN", **more}
    copy.update(idempotency_key="AGAIN", business_key="AGAIN",
                content=orjson.dumps(content).decode())
    _write(world, [*rows, copy])


def _changed(world: World, type_: str, outcome: str = "posted", **replaced: Any) -> None:
    """The last entry of a type with texts of its columns replaced: column=(old, new)."""
    rows = _rows(world)
    row = [r for r in rows if (r["type"], r["outcome"]) == (type_, outcome)][-1]
    for column, (old, new) in replaced.items():
        assert old in row[column], row[column]
        row[column] = row[column].replace(old, new)
    _write(world, rows)


def test_a_log_written_anew_as_it_was_verifies(world):
    world.do("payment", transaction_id="P")
    _write(world, _rows(world))
    assert verify(world.settings).journals == 1


def test_what_a_bank_or_provider_answered_is_not_booked_twice(world):
    world.do("top_up", amount_minor=50_000)
    posted(world.do("wealth_purchase_order", transaction_id="O",
                    authorisation=world.authorise("U1", "F", 10_000)))
    posted(world.do("wealth_purchase_result", original_transaction_id="O", result="succeeded"))
    _again(world, "wealth_purchase_result", "result_id")
    assert "its template refuses it: already_decided" in _broken(world)


def test_a_hold_is_not_captured_twice(world):
    world.do("top_up", amount_minor=50_000)
    posted(world.do("withdrawal", withdrawal_id="W"))
    posted(world.do("withdrawal_result", withdrawal_id="W"))
    _again(world, "withdrawal_result", "result_id")
    assert "its template refuses it: already_decided" in _broken(world)


def test_a_refund_above_its_payment_is_named(world):
    world.do("payment", transaction_id="P", amount_minor=50_000, **PLAIN)
    world.do("payment", amount_minor=50_000, **PLAIN)
    posted(world.do("refund", original_transaction_id="P", amount_minor=30_000))
    _again(world, "refund", "transaction_id")
    assert "its template refuses it: exceeds_original" in _broken(world)


@pytest.mark.parametrize(("old", "new"), [
    ('"refunded":30000', '"refunded":3'), ('["item","P",', '["item","Q",'),
])
def test_a_refund_that_its_payment_does_not_remember_is_named(world, old, new):
    world.do("payment", transaction_id="P", amount_minor=50_000, **PLAIN)
    posted(world.do("refund", original_transaction_id="P", amount_minor=30_000))
    _changed(world, "refund", effects=(old, new))
    assert "what it changes beside its legs is not what its template says" in _broken(world)


def test_a_debit_without_the_payers_consent_is_named(world):
    """Once with it, once more with the same."""
    world.do("top_up", amount_minor=50_000)
    posted(world.do("payment", **INTERNAL))
    _again(world, "payment", "transaction_id")
    assert "it should have been refused: authorisation_unknown" in _broken(world)


def test_consent_that_is_not_used_up_is_named(world):
    world.do("top_up", amount_minor=50_000)
    posted(world.do("payment", **INTERNAL))
    rows = _rows(world)
    effects = [e for e in orjson.loads(rows[-1]["effects"]) if e[:2] != ["put", "authorisation"]]
    rows[-1]["effects"] = orjson.dumps(effects).decode()
    _write(world, rows)
    assert "it does not use up the authorisation that it names" in _broken(world)


def test_a_payout_to_another_account_than_the_bound_one_is_named(world):
    world.do("payment", amount_minor=50_000, **PLAIN)
    posted(world.do("settlement", amount_minor=50_000))
    _changed(world, "settlement", content=("S-M1", "S-M2"))
    assert "it should have been refused: destination_unknown" in _broken(world)


def test_a_payout_of_what_rests_for_a_dispute_is_named(world):
    """Booked before the dispute, and moved behind it."""
    world.do("payment", transaction_id="P", amount_minor=50_000, **PLAIN)
    posted(world.do("dispute", transaction_id="D", original_transaction_id="P",
                    amount_minor=50_000))
    posted(world.do("dispute_release", original_transaction_id="D", amount_minor=50_000))
    world.do("payment", amount_minor=50_000, **PLAIN)
    posted(world.do("settlement", amount_minor=50_000))
    rows = _rows(world)
    for row in rows[-1:]:
        for column in ("content", "legs", "effects"):
            row[column] = row[column].replace("50000", "60000")
    _write(world, rows)
    assert "it should have been refused: not_due" in _broken(world)


@pytest.mark.parametrize("replaced", [
    {"legs": ("2201:M1", "2201:M2")}, {"legs": ("10000", "10001")},
    {"content": ("10000", "10001")},
    {"content": ("10000", "10001"), "effects": ("10000", "10001")},
])
def test_legs_that_its_content_does_not_give_are_named(world, replaced):
    world.do("payment", **PLAIN)
    _changed(world, "payment", **replaced)
    assert "its legs are not those of its template" in _broken(world)


def test_another_account_in_content_legs_and_limits_is_a_payment_of_another_merchant(world):
    """What only a signed head or the caller's own signature can tell."""
    world.do("payment", **PLAIN)
    _changed(world, "payment", content=("M1", "M2"), legs=("M1", "M2"), effects=("M1", "M2"))
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("effects", [
    [], [["use", "payment", "2201:M1", "CNY", 1]],
])
def test_what_does_not_count_against_a_limit_is_named(world, effects):
    world.do("payment", **PLAIN)
    rows = _rows(world)
    rows[-1]["effects"] = orjson.dumps(effects).decode()
    _write(world, rows)
    assert "what it changes beside its legs is not what its template says" in _broken(world)


@pytest.mark.parametrize("effect", [
    ["put", "limit", "L", None], ["account", "2201:M1", "CNY", {"status": "frozen"}],
])
def test_a_payment_that_changes_a_register_or_an_account_is_named(world, effect):
    world.do("payment", **PLAIN)
    rows = _rows(world)
    rows[-1]["effects"] = orjson.dumps([*orjson.loads(rows[-1]["effects"]), effect]).decode()
    _write(world, rows)
    assert f"it changes {effect[1]}, which its template does not" in _broken(world)


@pytest.mark.parametrize(("old", "new"), [("10050", "10"), ("2101:U1", "2101:U2")])
def test_a_hold_that_its_request_does_not_ask_for_is_named(world, old, new):
    world.do("top_up", amount_minor=50_000)
    posted(world.do("withdrawal", withdrawal_id="W"))
    rows = _rows(world)
    effects = orjson.loads(rows[-1]["effects"])
    for effect in effects:
        if effect[0] == "hold":
            effect[2] = orjson.loads(orjson.dumps(effect[2]).decode().replace(old, new))
    rows[-1]["effects"] = orjson.dumps(effects).decode()
    _write(world, rows)
    assert "the holds that it places or ends are not those of its template" in _broken(world)


@pytest.mark.parametrize(("type_", "replaced", "values"), [
    ("limit", ('"day_minor":1000', '"day_minor":9000'),
     {"limit_id": "L", "scene": "payment", "account_code": "2201", "grade": "standard",
      "day_minor": 1_000, "valid_from": "2026-09-01", **CNY}),
    ("destination", ('"party_id":"M1"', '"party_id":"M2"'),
     {"destination_id": "D9", "party_id": "M1", "bound_account": "6", "bound_name": "n",
      "bank_code": "ICBC"}),
    ("stop_lift", ('["put","stop","S"', '["put","stop","T"'), {"stop_id": "S", "reason": "over"}),
])
def test_a_register_that_is_not_as_its_checker_signed_is_named(world, type_, replaced, values):
    """The checker signs the content; what is made of it is no other."""
    if type_ == "stop_lift":
        world.register("stop", stop_id="S", stop_scope="rail", stop_target="internal",
                       stop_mode="new_business", reason="x")
    world.approved(type_, **values)
    _changed(world, type_, effects=replaced)
    assert "what it changes is not what its content says" in _broken(world)


@pytest.mark.parametrize(("type_", "replaced"), [
    ("hold_release", {"effects": ('"released":100', '"released":900')}),
    ("hold_release", {"effects": ('["hold","H"', '["hold","G"')}),
    ("hold_takeover", {"effects": ('"case":"CASE"', '"case":"OTHER"')}),
])
def test_a_hold_that_is_not_changed_as_its_checker_signed_is_named(world, type_, replaced):
    world.do("top_up", amount_minor=50_000)
    for name in ("G", "H"):
        posted(world.send("hold", hold_id=name, hold_kind="suspicious", account_id="2101:U1",
                          amount_minor=1_000, case_number="N", **CNY))
    more = {"amount_minor": 100} if type_ == "hold_release" else {}
    world.approved(type_, result_id="R", hold_id="H", case_number="CASE", **more)
    _changed(world, type_, **replaced)
    assert "what it changes is not what its content says" in _broken(world)


def test_a_hold_that_ends_before_its_last_date_is_named(world):
    """The ledger itself ends holds, so no signature is needed to forge it."""
    world.do("top_up", amount_minor=50_000)
    posted(world.send("hold", hold_id="H", hold_kind="authority", account_id="2101:U1",
                      amount_minor=1_000, case_number="N", expires_on="2026-09-12", **CNY))
    on(world, 1)
    world.do("top_up", amount_minor=1_000, **on(world, 1))
    rows = _rows(world)
    assert verify(world.settings).broken is None
    ended = next(row for row in rows if row["type"] == "hold_expiry")
    ended["booking_date"] = ended["value_date"] = "2026-09-11"
    _write(world, rows)
    assert "its template refuses it: hold_not_allowed" in _broken(world)


def test_a_split_of_other_parts_is_named(world):
    world.do("payment", amount_minor=50_000, transaction_id="P", **PLAIN)
    posted(world.send("split", transaction_id="S", merchant_id="M1", amount_minor=20_000,
                      parts=[{"merchant_id": "M2", "amount_minor": 20_000}], **CNY))
    _changed(world, "split", legs=("20000", "20001"))
    assert "its legs are not those of its template" in _broken(world)


@pytest.mark.parametrize("replaced", [
    {"business_key": ("P", "Q")}, {"value_date": ("2026-09-12", "2026-09-01")},
])
def test_a_column_that_says_another_thing_than_the_content_is_named(world, replaced):
    world.do("payment", transaction_id="P", **PLAIN)
    _changed(world, "payment", **replaced)
    assert "is not that of its content" in _broken(world)


@pytest.mark.parametrize(("index", "columns"), [
    ("entry_by_date", "entry (booking_date)"),
    ("segment_by_date",
     "segment (booking_date, account_id, currency_code, debit_minor, credit_minor)"),
])
def test_an_index_that_leaves_rows_out_is_named(world, index, columns):
    """What is read by it, as a date's feeds are, lacks them; the rows themselves are whole."""
    world.do("payment", **PLAIN)
    world.ledger.checkpoint()
    db = sqlite3.connect(ledger_path(world.settings))
    whole = db.execute("select sql from sqlite_master where name = ?", (index,)).fetchone()
    db.executescript(
        f"drop index {index}; create index {index} on {columns} where booking_date < '2000';"
        "pragma writable_schema = on;"
    )
    db.execute("update sqlite_master set sql = ? where name = ?", (*whole, index))
    db.commit()
    db.close()
    reader = SqliteReader(ledger_path(world.settings))
    assert list(reader.day_entries(DAY.isoformat())) == [] or index != "entry_by_date"
    reader.close()
    assert _broken(world).startswith("database: ") and index in _broken(world)


# what waits, what was refused, what was approved


def test_what_waits_changes_nothing_yet(world):
    """An administrator does not do by what waits what a checker has to see."""
    result = world.send("contract", ANN, contract_id="K", merchant_id="M1", minimum_minor=1,
                        settlement_mode="institution", settlement_cycle="D+1", fee_choice="bill",
                        valid_from="2026-10-01")
    assert result["status"] == "pending"
    rows = _rows(world)
    effects = [*orjson.loads(rows[-1]["effects"]),
               ["put", "destination", "S-M1", {"party_id": "M2"}]]
    rows[-1]["effects"] = orjson.dumps(effects).decode()
    _write(world, rows)
    assert "it waits for a checker, and changes something already" in _broken(world)


def test_what_waits_moves_no_money(world):
    world.do("payment", **PLAIN)
    rows = _rows(world)
    rows[-1].update(outcome="pending", effects="[]", business_key=None)
    _write(world, rows)
    assert "it is pending, and has legs" in _broken(world)


def test_what_was_refused_has_no_legs(world):
    world.do("payment", **PLAIN)
    world.do("settlement", amount_minor=10**9)
    rows = _rows(world)
    assert rows[-1]["outcome"] == "refused"
    rows[-1]["legs"] = rows[-2]["legs"]
    _write(world, rows)
    assert "it is refused, and has legs" in _broken(world)


def test_what_waits_keeps_the_command_that_was_entered(world):
    result = world.send("refund", ANN, transaction_id="R", original_transaction_id="P",
                        amount_minor=1, request="user", ground="wrong_amount", **PLAIN, **CNY)
    assert result["status"] == "refused"
    world.do("payment", transaction_id="P", **PLAIN)
    world.register("payment", transaction_id="P2", merchant_id="M1", amount_minor=5_000,
                   channel="unionpay", **PLAIN, **CNY)
    result = world.send("refund", ANN, transaction_id="R", original_transaction_id="P",
                        amount_minor=1, request="user", ground="wrong_amount", **PLAIN, **CNY)
    assert result["status"] == "pending"
    _changed(world, "refund", "pending", content=('"amount_minor":1,', '"amount_minor":2,'))
    assert "it does not keep what waits" in _broken(world)


def test_an_approval_serves_once(world):
    """Not a second time by an entry that leaves waiting what it approved."""
    world.approved("contract", contract_id="K", merchant_id="M1", minimum_minor=1,
                   settlement_mode="institution", settlement_cycle="D+1", fee_choice="bill",
                   valid_from="2026-10-01")
    rows = _rows(world)
    effects = [e for e in orjson.loads(rows[-1]["effects"]) if e[:2] != ["put", "pending"]]
    rows[-1]["effects"] = orjson.dumps(effects).decode()
    _write(world, rows)
    assert "what waits for a checker is not what it was, less what it decided" in _broken(world)


def test_an_approval_that_was_refused_for_a_change_since_is_none(world):
    """Its signature stands in the log; what it would end is another restriction."""
    status = {"account_id": "2101:U1", "reason": "x", **CNY}
    world.register("account_status", status="no_debit", **status)
    waits = world.send("account_status", ANN, status="normal", **status)
    world.register("account_status", status="frozen", **status)
    refused = world.approve(waits["sequence"])
    assert refused["reason"] == "register_differs"
    rows = _rows(world)
    waited, refusal = rows[waits["sequence"] - 1], rows[-1]
    said = orjson.loads(refusal["content"])
    done = [["account", "2101:U1", "CNY", {"status": "normal"}],
            ["put", "pending", str(waits["sequence"]), None]]
    rows[-1] = {
        **refusal, "type": "account_status", "version": waited["version"], "outcome": "posted",
        "content": waited["content"], "effects": orjson.dumps(done).decode(),
        "approval": orjson.dumps({**said, "maker": waited["actor"]}).decode(),
    }
    _write(world, rows)
    assert "what it replaces is not what was there when it was entered" in _broken(world)


def test_what_waits_is_not_taken_away_by_something_else(world):
    waits = world.send("party_state", ANN, party_id="M1", state="cancelled",
                       suspension_ground="7", evidence="E-1")
    assert waits["status"] == "pending"
    world.do("payment", **PLAIN)
    rows = _rows(world)
    effects = [*orjson.loads(rows[-1]["effects"]), ["put", "pending", str(waits["sequence"]), None]]
    rows[-1]["effects"] = orjson.dumps(effects).decode()
    _write(world, rows)
    assert "what waits for a checker is not what it was" in _broken(world)


def test_an_older_template_does_not_book_after_a_newer_one(world):
    """What it did not ask for would not be missed."""
    world.do("payment", **PLAIN)
    world.do("payment", **PLAIN)
    _forge(world, "update entry set version = version - 1 where journal = 2")
    assert "after one by version" in _broken(world)


def test_an_export_is_judged_in_the_same_way(world, tmp_path):
    world.do("payment", transaction_id="P", amount_minor=50_000, **PLAIN)
    world.do("payment", amount_minor=50_000, **PLAIN)
    posted(world.do("refund", original_transaction_id="P", amount_minor=30_000))
    export_log(world.settings, tmp_path / "whole")
    assert verify_export(world.settings, tmp_path / "whole").journals == 3
    _again(world, "refund", "transaction_id")
    export_log(world.settings, tmp_path / "forged")
    with pytest.raises(NotVerified, match="exceeds_original"):
        verify_export(world.settings, tmp_path / "forged")


LEGS = [["2101:U1", "CNY", "D", 50_000, "transfer", None],
        ["2101:U2", "CNY", "C", 50_000, "transfer", None]]
SENSITIVE = {"interface": "destination", "asked": "S-M1", "module": "destinations"}
SESSION = {"session_id": "S-1", "caller_id": "C1"}
OPENED = ["put", "session", "S-1", {"caller": "C1", "covered": 0}]


def _hold(account: str, **said: Any) -> dict[str, Any]:
    return {
        "kind": "authority", "scope": "account", "account_id": account, "currency_code": "CNY",
        "placed": 0, "captured": 0, "released": 0, "case": "COURT", "placed_on": DAY.isoformat(),
        "expires_on": None, "ended": False, **said,
    }


def _as_text(**columns: Any) -> dict[str, Any]:
    return {name: orjson.dumps(value).decode() if name in JSON else value
            for name, value in columns.items()}


def _forged(world: World, type_: str, **columns: Any) -> None:
    """Another entry at the end."""
    rows = _rows(world)
    _write(world, [*rows, {
        **rows[-1], "type": type_, "version": world.ledger.operations.versions[type_],
        "outcome": "posted", "idempotency_key": "FORGED", "business_key": None, "approval": "",
        "evidence": "", **_as_text(**{"legs": [], "effects": [], **columns}),
    }])


@pytest.mark.parametrize(("type_", "actor", "said", "columns"), [
    ("sensitive_read", "operator:ann", SENSITIVE, {"legs": LEGS}),
    ("foreign_read", "caller:C1", {"interface": "holds", "asked": "M2"}, {"legs": LEGS}),
    ("foreign_read", "caller:C1", {"interface": "holds", "asked": "M2"}, {}),
    ("session_open", "system:ledger", SESSION,
     {"business_key": "S-1", "legs": LEGS, "effects": [OPENED]}),
    ("session_open", "system:ledger", SESSION,
     {"business_key": "S-1", "effects": [OPENED, ["put", "stop", "E", None]]}),
    ("sensitive_read", "operator:ann", SENSITIVE,
     {"effects": [["hold", "H", _hold("2101:U2", ended=True)]]}),
    ("sensitive_read", "operator:ann", SENSITIVE, {"version": 1, "effects": [
        ["put", "membership", "mallory", ["staff"]],
    ]}),
    ("sensitive_read", "operator:mallory", SENSITIVE, {}),
    ("session_cover", "caller:C1", {"session_id": "S-1", "first_number": 1,
                                    "digests": ["00" * 32], "signature": "ab" * 70}, {}),
    ("approve", "operator:ben", {"pending": 1, "operator_id": "ben", "signature": "ab" * 70},
     {"approval": "{}"}),
])
def test_what_the_ledger_records_books_and_changes_nothing_else(
    world, type_, actor, said, columns,
):
    world.do("top_up", amount_minor=50_000)
    world.send("hold", hold_id="H", hold_kind="authority", account_id="2101:U2",
               case_number="COURT", **CNY)
    world.send("stop", stop_id="E", stop_scope="merchant", stop_target="M1",
               stop_mode="everything", reason="fraud")
    _forged(world, type_, actor=actor, content=said, **columns)
    assert _broken(world)


def _adjusted(world: World) -> dict[str, Any]:
    leg = {"account_id": "1001", "currency_code": "CNY", "direction": "D", "amount_minor": 1,
           "component": "x"}
    waits = world.send("adjustment", ANN, adjustment_id="X", incident_number="I", reason="r",
                       legs=[leg, {**leg, "account_id": "2301", "direction": "C"}])
    assert waits["status"] == "pending"
    return waits


@pytest.mark.parametrize("columns", [
    {"legs": LEGS}, {"more": ["put", "membership", "mallory", ["staff"]]},
    {"more": ["hold", "H", _hold("2101:U1", ended=True)]}, {"more": ["put", "reserved", "Z", None]},
])
def test_a_rejection_frees_what_waited_and_nothing_else(world, columns):
    world.do("top_up", amount_minor=50_000)
    world.send("hold", hold_id="H", hold_kind="authority", account_id="2101:U1",
               case_number="COURT", **CNY)
    posted(world.send("reject", BEN, pending=_adjusted(world)["sequence"], operator_id="ben",
                      reason="no"))
    assert verify(world.settings).broken is None
    rows = _rows(world)
    effects = orjson.loads(rows[-1]["effects"])
    effects += [columns.pop("more")] if "more" in columns else []
    rows[-1].update(_as_text(effects=effects, **columns))
    _write(world, rows)
    assert _broken(world)


def test_a_close_of_a_period_closes_that_alone(world):
    head = world.close()
    world.ledger.set_clock(at(DAY.replace(day=13), "12:00:00"))
    today = {"occurred_at": at(DAY.replace(day=13), "10:00:00")}
    waits = world.send("period_close", ANN, valid_to=DAY.isoformat(), reason="month",
                       trial_balance_sm3=head["trial_balance_sm3"], **today)
    posted(world.approve(waits["sequence"], **today))
    assert verify(world.settings).broken is None
    _changed(world, "period_close", effects=(
        '["put","period","closed","2026-09-12"]',
        '["put","period","closed","2026-09-12"],["put","membership","mallory",["staff"]]',
    ))
    assert "it changes what a period_close does not" in _broken(world)


@pytest.mark.parametrize(("hold", "why"), [
    ("H", "which was there"), ("NEW", "what it holds is not what its template places"),
])
def test_what_waits_places_no_hold_but_its_templates(world, hold, why):
    """Over an authority's freeze it would make one of a fen of it."""
    world.do("top_up", amount_minor=50_000)
    world.send("hold", hold_id="H", hold_kind="authority", account_id="2101:U1",
               amount_minor=50_000, case_number="COURT", **CNY)
    number = _adjusted(world)["sequence"] + 1
    copy = _rows(world)[-1]
    content = {**orjson.loads(copy["content"]), "adjustment_id": "Y"}
    waiting = {"type": "adjustment", "content": orjson.dumps(content).decode(),
               "actor": copy["actor"], "booked_at": copy["booked_at"], "holds": [hold]}
    document = _hold("2101:U1", scope="amount", placed=1)
    _forged(world, "adjustment", outcome="pending", actor=copy["actor"], content=content, effects=[
        ["put", "pending", str(number), waiting], ["hold", hold, document],
        ["put", "reserved", "Y", number],
    ])
    assert why in _broken(world)


@pytest.mark.parametrize(("old", "new"), [
    ('"placed":20100', '"placed":1'), ('"account_id":"2101:U1"', '"account_id":"2101:U2"'),
    ('["put","reserved","W",', '["put","reserved","V",'),
])
def test_a_withdrawal_that_waits_holds_its_money_under_its_number(world, old, new):
    world.do("top_up", amount_minor=50_000)
    world.approved("tariff", tariff_id="T", bank_ppm=5_000, third_party_ppm=10_000,
                   least_minor=0, approval_above_minor=6_000)
    waits = world.send("withdrawal", ANN, **{
        name: value for name, value in world.command(
            "withdrawal", withdrawal_id="W", amount_minor=20_000, fee_minor=100,
            authorisation=world.authorise("U1", "D1", 20_000),
        ).items() if name != "type"
    })
    assert waits["status"] == "pending"
    assert verify(world.settings).broken is None
    _changed(world, "withdrawal", "pending", effects=(old, new))
    assert _broken(world)


def test_a_key_that_is_kept_for_what_waits_is_not_freed_by_something_else(world):
    world.do("top_up", amount_minor=50_000)
    _adjusted(world)
    world.do("payment", **PLAIN)
    rows = _rows(world)
    effects = [*orjson.loads(rows[-1]["effects"]), ["put", "reserved", "X", None]]
    _write(world, [*rows[:-1], {**rows[-1], **_as_text(effects=effects)}])
    assert "it changes for whom X is kept" in _broken(world)


def _collected(world: World) -> None:
    """All that a mandate lets be collected."""
    world.do("top_up", amount_minor=50_000)
    world.register("mandate", mandate_id="MD", payer_id="U1", payee="M1", amount_minor=5_000,
                   method="password", valid_from="2026-01-01", valid_to="2027-12-31",
                   total_count=1, spacing_months=1, **CNY)
    posted(world.send("collection", transaction_id="CL", merchant_id="M1", user_id="U1",
                      amount_minor=5_000, acquirer_fee_minor=0, authorisation="MD", **CNY))


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("effect", [
    ["put", "collected", "MD", None], ["put", "collected_last", "U1 M1", None],
    ["put", "collected_until", "U1 M1", None],
])
def test_what_was_collected_by_a_mandate_is_not_forgotten(world, effect, ended):
    _collected(world)
    if ended:
        world.register("mandate_end", mandate_id="MD")
    world.do("top_up", amount_minor=1_000)
    rows = _rows(world)
    effects = [*orjson.loads(rows[-1]["effects"]), effect]
    _write(world, [*rows[:-1], {**rows[-1], **_as_text(effects=effects)}])
    assert "counts against a mandate" in _broken(world)


def test_a_collection_counts_once(world):
    _collected(world)
    rows = _rows(world)
    effects = [*orjson.loads(rows[-1]["effects"]), ["put", "collected", "MD", None]]
    _write(world, [*rows[:-1], {**rows[-1], **_as_text(effects=effects)}])
    assert "does not count against mandate MD" in _broken(world)
