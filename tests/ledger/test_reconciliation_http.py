"""Reconciliation over HTTP: who may send, what is refused, what is read, beside postings."""

from __future__ import annotations

import os
import threading
from contextlib import nullcontext

import pytest

from ledger.adapters import reconciliation_files
from ledger.adapters.reconciliation_files import ReconciliationFiles
from ledger.client import LedgerClient, LedgerRefusal, Signer
from ledger.entrypoints import imports
from ledger.entrypoints.bodies import BODY_LIMIT_BYTES
from ledger.entrypoints.operations import verify
from ledger.service.account_reading import AccountReading
from ledger.service.faults import RequestRefused
from paylake.crypto import PrivateKey, sm3_hex
from tests.ledger.conftest import DAY
from tests.ledger.test_http import client, http, token

__all__ = ["client", "http", "token"]
EVIL = "<script>alert(1)</script>'; drop table entry;--"


def line(line_id, amount, reference=None):
    return {"line_id": line_id, "value_date": DAY.isoformat(), "amount_minor": amount,
            "reference": reference}


def send(client, *lines, closing=None, **more):
    moved = sum(one["amount_minor"] for one in lines)
    return client.reconcile(
        "1001", "CNY", DAY, DAY, 0, moved if closing is None else closing, lines, **more
    )


def test_a_statement_its_rows_and_what_is_open(client, world):
    for number in range(3):
        world.do("top_up", top_up_id=f"I{number}", amount_minor=10000)
    done = send(client, line("1", 10000, "I0"), line("2", 50, EVIL))
    assert done["replayed"] is False and done["open_items"] == 3
    assert send(client, line("2", 50, EVIL), line("1", 10000, "I0"))["replayed"] is True
    name = done["reconciliation_id"]
    assert [one["reconciliation_id"] for one in client.reconciliations()] == [name]
    assert list(client.reconciliations("1101")) == []
    rows = list(client.reconciliation(name))
    assert len(rows) == 5
    assert [row["reference"] for row in client.reconciliation(name, "missing_in_ledger")] == [EVIL]
    items = list(client.open_items("1001"))
    assert {item["reference"] for item in items} == {"I1", "I2", EVIL}
    assert {item["reference"]: item["side"] for item in items}[EVIL] == "long"


def test_pages_go_on_where_they_ended(client, http, world):
    for number in range(5):
        world.do("top_up", top_up_id=f"I{number}", amount_minor=10000)
    name = send(client)["reconciliation_id"]
    for path, of in (("/v1/open-items", "items"), (f"/v1/reconciliations/{name}", "rows")):
        seen, after = [], ""
        while True:
            page = http.get(f"{path}?limit=2{after}").json()
            seen += [row["reference"] for row in page[of]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert sorted(seen) == [f"I{n}" for n in range(5)]
    page = http.get("/v1/open-items?after=nothing").json()
    assert page == {"items": [], "next": None}


def test_a_person_with_the_right_sends_and_the_signature_stays_with_the_entry(
    client, world, settings
):
    ann = client.as_signer(Signer("operator:ann", world.keys["ann"]))
    assert send(ann, line("1", 5, "x"))["asked_by"] == "operator:ann"
    assert verify(settings).requests == 1
    row = next(iter(world.ledger.store.entries(world.ledger.head.sequence)))
    assert (row[2], row[7]) == ("reconciliation", "system:ledger")
    assert '"signer":"operator:ann"' in row[8]
    world.joins("cara", "others")
    cara = client.as_signer(Signer("operator:cara", world.keys["cara"]))
    with pytest.raises(LedgerRefusal) as refused:
        send(cara, line("1", 6, "x"))
    assert refused.value.reason == "no_right"


def test_a_caller_is_refused_everything(client, world):
    key = PrivateKey.generate()
    world.approved(
        "caller", caller_id="C1", party_id="M1", on_behalf=[], enabled=True,
        public_key=key.public.point, rates={"data": 100, "transaction": 100},
    )
    head = world.ledger.head.sequence
    foreign = client.as_signer(Signer("caller:C1", key))
    for call in (
        lambda: send(foreign, line("1", 5, "x")), lambda: list(foreign.reconciliations()),
        lambda: list(foreign.reconciliation("RC-1")), lambda: list(foreign.open_items()),
    ):
        with pytest.raises(LedgerRefusal) as refused:
            call()
        assert refused.value.reason == "forbidden"
    assert world.ledger.head.sequence == head


def test_a_token_needs_the_right_to_operate(client, http):
    http.headers["authorization"] = "Bearer nobody"
    stranger = LedgerClient("http://testserver", "nobody", transport=client._made["transport"],
                            pause=lambda _: None)
    with pytest.raises(LedgerRefusal) as refused:
        send(stranger)
    assert refused.value.reason == "unauthorised"
    # a stranger's body is not read beyond what anybody may send
    answer = http.post("/v1/reconciliations", content=b" " * (BODY_LIMIT_BYTES + 1))
    assert (answer.status_code, answer.json()["error"]["reason"]) == (413, "body_too_large")


@pytest.mark.parametrize(("change", "status", "reason"), [
    ({"closing_minor": 6}, 422, "statement_differs"),
    ({"lines": [line("1", 5), line("1", 0 + 5)], "closing_minor": 10}, 422, "line_repeated"),
    ({"lines": [{**line("1", 5), "value_date": "2026-09-11"}]}, 422, "invalid_field"),
    ({"lines": [{**line("1", 5.5)}]}, 422, "amount_out_of_range"),
    ({"lines": {}}, 400, "invalid_field"),
    ({"opening_minor": "0"}, 422, "amount_out_of_range"),
    ({"first_date": "2026-09-13"}, 422, "invalid_field"),
    ({"account_id": 1001}, 422, "invalid_field"),
    ({"account_id": "9001"}, 404, "account_not_open"),
    ({"account_id": "2301"}, 422, "not_reconciled"),
    ({"currency_code": "USD"}, 404, "account_not_open"),
    ({"dry_run": 1}, 422, "invalid_field"),
    ({"more": 1}, 400, "unknown_field"),
    ({"last_date": "2026-09-13"}, 409, "not_due"),
])
def test_what_is_wrong_is_said_by_name(http, world, change, status, reason):
    head = world.ledger.head.sequence
    answer = http.post("/v1/reconciliations", json={
        "account_id": "1001", "currency_code": "CNY", "first_date": "2026-09-12",
        "last_date": "2026-09-12", "opening_minor": 0, "closing_minor": 5,
        "lines": [line("1", 5)], **change,
    })
    assert (answer.status_code, answer.json()["error"]["reason"]) == (status, reason)
    assert world.ledger.head.sequence == head


def test_pages_of_a_long_statement_read_its_file_whole_once(client, world, settings, monkeypatch):
    """Then from where a row stands; and whole again when the file is another one."""
    digests = []

    def counted(data):
        digests.append(len(data))
        return sm3_hex(data)

    monkeypatch.setattr(reconciliation_files, "sm3_hex", counted)
    world.do("top_up", top_up_id="I0", amount_minor=10000)
    lines = [line(f"{n:05d}", n, f'R,{n}"') for n in range(1, 2_501)]
    name = send(client, line("0", 10000, "I0"), *lines)["reconciliation_id"]
    rows = list(client.reconciliation(name))
    assert [row["row"] for row in rows] == list(range(1, 2_503))
    assert {row["reference"] for row in rows} == {"I0", *(one["reference"] for one in lines)}
    assert {row["amount_minor"] for row in client.reconciliation(name, "missing_in_ledger")} == (
        set(range(1, 2_501)))
    assert len(digests) == 1
    (path,) = settings.path("ledger", "reconciliations").glob("*/*.csv")
    data, before = path.read_bytes(), path.stat()
    path.write_bytes(data.replace(b"02500", b"02501"))  # in place, and its time as it was
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(LedgerRefusal) as refused:
        next(iter(client.reconciliation(name)))
    assert refused.value.reason == "file_differs"
    path.write_bytes(data)
    assert list(client.reconciliation(name)) == rows and len(digests) == 3


def test_a_file_that_changes_while_a_page_is_read_is_not_shown(client, world, settings):
    done = send(client, *(line(str(n), n) for n in range(1, 10)))
    files = ReconciliationFiles(settings)
    (path,) = settings.path("ledger", "reconciliations").glob("*/*.csv")
    asked = (done["last_date"], done["reconciliation_id"], done["items_sm3"])
    with files.rows(*asked, after=8) as rows:
        assert [number for number, _ in rows] == [9]
    with files.rows(*asked, after=9) as rows:
        assert list(rows) == []
    with pytest.raises(RequestRefused, match="file_differs"), files.rows(*asked) as rows:
        next(rows)
        path.write_bytes(path.read_bytes() + b"1")


def test_a_file_that_was_changed_is_not_shown(client, http, settings):
    done = send(client, line("1", 5, "x"))
    (path,) = settings.path("ledger", "reconciliations").glob("*/*.csv")
    path.write_bytes(path.read_bytes() + b"1")
    answer = http.get(f"/v1/reconciliations/{done['reconciliation_id']}")
    assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "file_differs")
    path.unlink()
    answer = http.get(f"/v1/reconciliations/{done['reconciliation_id']}")
    assert (answer.status_code, answer.json()["error"]["reason"]) == (409, "file_missing")


def test_metrics_say_what_is_open(client, http):
    assert "ledger_reconciliation_open_items{" not in http.get("/metrics").text
    send(client, line("1", 5, "x"), line("2", -7, "y"))
    text = http.get("/metrics").text
    assert 'ledger_reconciliation_open_items{account_id="1001",currency_code="CNY"} 2.0' in text
    assert 'ledger_reconciliation_open_minor{account_id="1001",currency_code="CNY"} 12.0' in text


def test_postings_go_on_while_it_is_matched(client, world, settings, monkeypatch):
    """One of the statement's own date, too: it is matched as well."""
    world.do("top_up", top_up_id="I0", amount_minor=10000)
    reads, go, results = threading.Event(), threading.Event(), []
    whole = AccountReading.begin

    def stopping(self, *of):
        whole(self, *of)
        reads.set()
        assert go.wait(20)

    monkeypatch.setattr(AccountReading, "begin", stopping)
    thread = threading.Thread(
        target=lambda: results.append(send(client, line("1", 10000, "I0")))
    )
    thread.start()
    try:
        assert reads.wait(20)
        posted = client.command(world.command("top_up", top_up_id="I1", amount_minor=2000))
        assert posted["status"] == "posted"
        assert client.balances("1001")[0]["balance_minor"] == 12000
        assert thread.is_alive()
    finally:
        go.set()
        thread.join(20)
    (done,) = results
    assert (done["postings"], done["open_items"], done["ledger_closing_minor"]) == (2, 1, 12000)
    verify(settings)


def test_a_statement_file_of_no_named_currency_is_not_taken_for_renminbi(
    currencies, client, world, settings, tmp_path, monkeypatch
):
    """Else one of dollars would become the first of the yuan, with its balance as a difference."""
    file = tmp_path / "day.csv"
    file.write_text("line_id,value_date,amount_minor\n")
    monkeypatch.setattr(imports, "LedgerClient", lambda *_: nullcontext(client))

    def reconcile(currency=None):
        return imports.reconcile(settings, file, "1001", currency, DAY, DAY, 0, 0)

    assert reconcile()["currency_code"] == "CNY"  # it is open in that alone
    world.open_in("USD")
    with pytest.raises(LedgerRefusal, match="CNY, USD") as refused:
        reconcile()
    assert refused.value.reason == "invalid_field"
    assert reconcile("USD")["currency_code"] == "USD"
