"""A ledger with something on every page of the console, made once: a closed date and an open one,
payments, a refund, holds, approvals waiting and given, stops, limits, a tree of accounts, texts
that would be scripts or SQL if they were let."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient

from ledger.adapters.data_files import load_reconciliation_rules
from ledger.adapters.reconciliation_files import ReconciliationFiles
from ledger.adapters.tokens import Tokens, ensure_demo_token
from ledger.domain.actors import Actor
from ledger.domain.bank_statement import statement_of
from ledger.domain.chain import sm3
from ledger.domain.reconciliations import open_items
from ledger.entrypoints.http import create_app
from ledger.requests import signed_bytes
from ledger.service.reconciling import Reconciling, reconcile
from paylake import settings as settings_module
from paylake.crypto import PrivateKey
from paylake.keys import Keyring
from tests.ledger.conftest import ANN, DAY, World, at

NEXT = date(2026, 9, 13)
#: A text in every place that takes one.
EVIL = "<script>alert(1)</script>'; drop table entry;--\"><img src=x onerror=alert(2)>"
#: Words of the sealed values: none may ever be seen.
SEALED = ("card of U", "name of U")


def fill(world: World) -> SimpleNamespace:
    """Everything, and the names of what the tests look at."""
    made = SimpleNamespace()
    world.start()
    world.approved(
        "operator", operator_id="eve", operator_name=EVIL, enabled=True,
        public_key=PrivateKey.generate().public.point,
    )
    world.approved("membership", operator_id="eve", group_id="staff", member=True)
    world.approved(
        "party", party_id="P1", party_kind="tenant",
        details={"note": EVIL, EVIL[:60]: [1, True, None, {"deep": EVIL}]},
    )
    world.register("party", party_id="U9", party_kind="user", owner_id="P1")
    for n in (7, 8):
        world.register("party", party_id=f"U{n}", party_kind="user", identity_check=f"ID{n}")
        result = world.ledger.open_accounts([{
            "account_code": "2101", "party_id": f"U{n}", "currency_code": "CNY",
            "parent_account_id": "2101:U1" if n == 7 else "2101:U7",
        }])
        assert result[0]["status"] == "opened", result

    made.payment = world.do(
        "payment", amount_minor=1234567, transaction_id="PAY-1",
        metadata={"order": EVIL, "count": 3},
    )
    for n in range(60):
        world.do("payment", amount_minor=100_00 + n)
    made.refund = world.do(
        "refund", original_transaction_id="PAY-1", amount_minor=100000,
        transaction_id="REF-1", issuer_fee_minor=3, acquirer_fee_minor=2,
    )
    assert made.refund["status"] == "posted", made.refund
    for user in ("U1", "U7", "U8"):
        made.top_up = world.do("top_up", user_id=user, amount_minor=500000)
    made.withdrawal = world.do("withdrawal", user_id="U1", amount_minor=10000)
    made.refused = world.do("withdrawal", user_id="U2", amount_minor=10000)
    assert made.refused["status"] == "refused", made.refused
    key = made.refused["idempotency_key"]
    made.refused_at = world.ledger.store.find_by_key([key])[key][0]
    for name, values in {
        "H-1": {"hold_kind": "authority", "account_id": "2201:M1", "amount_minor": 12345,
                "expires_on": "2026-09-15"},
        "H-2": {"hold_kind": "suspicious", "account_id": "2201:M2"},
    }.items():
        result = world.send("hold", ANN, hold_id=name, currency_code="CNY", case_number="CASE-7",
                            **values)
        assert result["status"] == "posted", result
    legs = [
        {"account_id": "1101", "currency_code": "CNY", "direction": "D", "amount_minor": 1680_32,
         "component": "own_funds"},
        {"account_id": "3001", "currency_code": "CNY", "direction": "C", "amount_minor": 1680_32,
         "component": "own_funds"},
    ]
    made.approved = world.approved(
        "adjustment", adjustment_id="ADJ-1", incident_number="INC-1", legs=legs, reason=EVIL,
    )
    made.reversal = world.approved(
        "reversal", adjustment_id="ADJ-2", incident_number="INC-1", reason="booked twice",
        journal_id=made.approved["journal_id"],
    )
    world.approved(
        "limit", limit_id="LIM-1", scene="withdrawal", account_code="2101", grade="standard",
        currency_code="CNY", single_minor=5_000_000, batch_minor=10_000_000, batch_count=5,
        day_minor=20_000_000, day_count=10,
        valid_from=DAY.isoformat(), valid_to="2027-12-31",
    )
    world.approved(
        "limit", limit_id="LIM-2", scene="payment", account_code="2101", currency_code="CNY",
        month_minor=1_000_000_00, month_count=100, valid_from="2026-10-01",
    )
    for name, amount in (("M3", 1_070), ("M4", 36_500)):
        world.merchant(name, bill_months=1, valid_from="2026-08-13")  # a month ends on DAY
        world.open([(code, name) for code in ("1204", "1205")])
        world.register("fee_charge", fee_id=f"FEE-{name}", merchant_id=name,
                       fee_item="data_in", amount_minor=amount, currency_code="CNY")
    made.head = world.close(DAY)

    world.ledger.set_clock(at(NEXT, "12:30:00"))
    for name, values in {
        "STOP-1": {"stop_scope": "merchant", "stop_target": "M2", "stop_mode": "new_business"},
        "STOP-2": {"stop_scope": "rail", "stop_target": "netsunion", "stop_mode": "everything"},
    }.items():
        result = world.send("stop", Actor("operator", "eve"), stop_id=name, reason=EVIL,
                            occurred_at=at(NEXT, "10:00:00"), **values)
        assert result["status"] == "posted", result
    when = at(NEXT, "10:05:00")
    for name in ("M3", "M4"):
        world.register("bill_issued", bill_id=f"BILL-{name}", merchant_id=name,
                       currency_code="CNY", occurred_at=when)
    world.register("bill_confirmed", confirmation_id="CONF-1", bill_id="BILL-M4",
                   amount_minor=36_500, evidence="LETTER-1", occurred_at=when)
    world.register("fee_charge", fee_id="FEE-M3-2", merchant_id="M3", fee_item="data_in",
                   amount_minor=15, currency_code="CNY", occurred_at=when)
    made.pending = [
        world.send("adjustment", Actor("operator", "eve"), adjustment_id="ADJ-3",
                   incident_number="INC-2", legs=legs, reason=EVIL,
                   occurred_at=at(NEXT, "10:15:00")),
        world.send("contract", ANN, contract_id="C-M1-2", merchant_id="M1",
                   settlement_mode="institution", settlement_cycle="T+1", minimum_minor=10000,
                   fee_choice="prepaid", valid_from="2026-10-01", details={"note": EVIL},
                   occurred_at=at(NEXT, "11:00:00")),
        world.send("destination", ANN, destination_id="DM1", party_id="M1",
                   bound_account="card of U0", bound_name="name of U0", bank_code="ICBC",
                   occurred_at=at(NEXT, "11:05:00")),
    ]
    assert [p["status"] for p in made.pending] == ["pending"] * 3, made.pending
    waits = world.send("party_state", ANN, party_id="M2", state="suspended",
                       suspension_ground="3", evidence="DOC-3", occurred_at=at(NEXT, "11:30:00"))
    done = world.approve(waits["sequence"], occurred_at=at(NEXT, "11:31:00"))
    assert done["status"] == "posted", done
    world.do("payment", amount_minor=777, occurred_at=at(NEXT, "12:00:00"))
    reconciled(world)
    return made


def reconciled(world: World) -> None:
    """A bank's statement that does not agree, and two people's closing of a part of it."""
    lines = [
        {"line_id": f"<b>{n}</b>", "value_date": DAY.isoformat(), "amount_minor": amount,
         "reference": reference}
        for n, (amount, reference) in enumerate((
            (500_000, "typing-error"), (77, EVIL), (77, "REF-2"), (-77, "REF-3"),
        ))
    ]
    statement = statement_of(
        "1001", "CNY", DAY.isoformat(), DAY.isoformat(), 0,
        sum(line["amount_minor"] for line in lines), lines,
    )
    files = ReconciliationFiles(world.settings)
    reconcile(Reconciling(
        world.ledger, statement, load_reconciliation_rules(), files.keep,
        Actor("system", "treasury"),
    ))
    named = {document["key"][1]: name for name, document in open_items(world.ledger.state)}
    when = at(NEXT, "12:10:00")
    waits = world.send(
        "reconciliation_close", ANN, closing_id="CLOSE-1", reason=EVIL,
        open_items=[named["REF-2"], named["REF-3"]], occurred_at=when,
    )
    assert world.approve(waits["sequence"], occurred_at=when)["status"] == "posted"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The application over that ledger, with what stands in it."""
    settings = settings_module.load({}, home=tmp_path_factory.mktemp("console") / "home")
    Keyring(settings).ensure_demo()
    token = ensure_demo_token(settings)
    world = World(settings)
    made = fill(world)
    app = create_app(settings, world.ledger, Tokens.load(settings))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield SimpleNamespace(
            app=app, client=client, token=token, world=world, made=made, settings=settings,
        )


@pytest.fixture(scope="session")
def signed(site):
    """Two journals of one signed request of Ann."""
    body = json.dumps({"commands": [
        site.world.command(
            "payment", transaction_id=f"SIG-{n}", amount_minor=500, issuer_fee_minor=0,
            network_fee_minor=0, acquirer_fee_minor=0, occurred_at=at(NEXT, "12:10:00"),
        )
        for n in (1, 2)
    ]}).encode()
    request = {
        "signer": "operator:ann", "method": "POST", "path": "/v1/batches",
        "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "nonce": "ab" * 8,
        "digest": sm3(body).hex(),
    }
    signature = site.world.keys["ann"].sign(signed_bytes(request)).hex()
    answer = site.client.post("/v1/batches", content=body, headers={
        "x-paylake-signer": "operator:ann", "x-paylake-timestamp": request["timestamp"],
        "x-paylake-nonce": request["nonce"], "x-paylake-signature": signature,
    })
    results = answer.json()["results"]
    assert [r["status"] for r in results] == ["posted", "posted"], answer.text
    site.made.signed, site.made.signed_too = results
    return results


class Reader:
    """A person at the console, in one language."""

    def __init__(self, site: SimpleNamespace, language: str, log_in: bool = True) -> None:
        self.language = language
        self.http = TestClient(site.app, raise_server_exceptions=False, follow_redirects=False)
        self.http.cookies.set("paylake_console_language", language)
        if log_in:
            answer = self.http.post("/console/login", data={"token": site.token})
            assert (answer.status_code, answer.headers["location"]) == (303, "/console/")

    def get(self, path: str, status: int = 200) -> str:
        answer = self.http.get(path)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:400])
        return answer.text

    def text(self, path: str, status: int = 200) -> str:
        """What is read on a page: no tags, white space as one blank."""
        text = html.unescape(re.sub(r"<[^>]+>", " ", self.get(path, status)))
        return re.sub(r"\s+", " ", text)


@pytest.fixture
def english(site):
    return Reader(site, "en")


@pytest.fixture
def chinese(site):
    return Reader(site, "zh")
