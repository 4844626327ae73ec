"""The Python client against the OpenAPI document: a method for each path, what it sends allowed by
the document, what it is answered of the form that the document says."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import httpx
import orjson
import pytest
from jsonschema import Draft202012Validator

from ledger.client import LedgerClient, LedgerRefusal, Signer
from paylake.crypto import PrivateKey
from tests.ledger.conftest import ANN, DAY, SHANGHAI
from tests.ledger.test_http import http, token

__all__ = ["http", "token"]


class Watched(httpx.BaseTransport):
    """The in-process service; each request and answer is held against the document."""

    def __init__(self, http) -> None:
        self.http = http
        self.document = http.get("/openapi.json").json()
        self.seen: list[tuple[str, str]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        template, operation = self.operation(request.method, path)
        self.seen.append((request.method, template))
        declared = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"}
        assert {name for name, _ in parse_qsl(query)} <= declared, (template, query)
        body = request.read()
        if "requestBody" in operation:
            content = operation["requestBody"]["content"]["application/json"]
            self.fits(orjson.loads(body), content["schema"])
        else:
            assert body in (b"", b"{}"), template
        answer = self.http.request(
            request.method, str(request.url), content=body, headers=dict(request.headers)
        )
        said = operation["responses"][str(answer.status_code)]["content"]
        kind = answer.headers["content-type"].partition(";")[0]
        for line in answer.content.splitlines() if kind.endswith("ndjson") else [answer.content]:
            self.fits(orjson.loads(line), said[kind]["schema"])
        return httpx.Response(answer.status_code, content=answer.content)

    def operation(self, method: str, path: str) -> tuple[str, dict[str, Any]]:
        for template, methods in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and (
                method.lower() in methods
            ):
                return template, methods[method.lower()]
        raise AssertionError(f"the document has no {method} {path}")

    def fits(self, value: Any, schema: dict[str, Any]) -> None:
        Draft202012Validator(
            {**schema, "components": self.document["components"]}
        ).validate(value)


@pytest.fixture
def watched(http) -> Watched:
    return Watched(http)


class Day:
    """A closed date with one of everything to ask for."""

    def __init__(self, world, watched, token) -> None:
        self.world, self.watched = world, watched
        self.house = LedgerClient("http://testserver", token, transport=watched)
        key = PrivateKey.generate()
        world.approved(
            "caller", caller_id="C1", party_id="M1", on_behalf=[], enabled=True,
            public_key=key.public.point, rates={"transaction": 1000},
        )
        self.caller = self.house.as_signer(Signer("caller:C1", key))
        self.reviewer = self.house.as_signer(Signer("operator:ben", world.keys["ben"]))
        self.waiting = world.send(
            "destination", ANN, destination_id="S2", party_id="M2", bound_account="6222",
            bound_name="M2", bank_code="ICBC",
        )["sequence"]
        self.payment = world.command("payment")
        self.journal = self.house.command(self.payment)["journal_id"]
        world.do("top_up", amount_minor=20000)
        world.do("withdrawal", amount_minor=10000)
        self.house.set_clock(datetime(2026, 9, 12, 23, 30, tzinfo=SHANGHAI))
        self.house.close_day(DAY)
        self.sent_at = datetime(2026, 9, 13, 1, tzinfo=SHANGHAI)

    def reconcile(self, *, dry_run: bool = False) -> dict[str, Any]:
        self.house.set_clock(datetime(2026, 9, 13, 12, tzinfo=SHANGHAI))
        return self.house.reconcile("1001", "CNY", DAY, DAY, 0, 7, [
            {"line_id": "1", "value_date": DAY.isoformat(), "amount_minor": 7, "reference": "x"},
        ], dry_run=dry_run)

    def session(self) -> None:
        with self.caller.session() as session:
            session.command({
                **self.world.command("payment"), "occurred_at": "2026-09-12T23:10:00+08:00"
            })


#: What the client does for each operation of the document, and nothing else.
CALLS: dict[tuple[str, str], Callable[[Day], Any]] = {
    ("GET", "/healthz"): lambda d: d.house.health(),
    ("GET", "/readyz"): lambda d: d.house.ready(),
    ("GET", "/v1/clock"): lambda d: d.house.clock(),
    ("PUT", "/v1/clock"): lambda d: d.house.set_clock(
        datetime(2026, 9, 12, 15, 45, tzinfo=UTC)),
    ("POST", "/v1/accounts"): lambda d: d.house.open_accounts(
        [{"account_code": "2101", "party_id": "U1", "currency_code": "CNY"}]),
    ("POST", "/v1/commands"): lambda d: d.house.command(d.payment),
    ("POST", "/v1/batches"): lambda d: d.house.batch([d.payment, d.world.command("fee")]),
    ("POST", "/v1/dry-runs"): lambda d: d.house.dry_run([d.world.command("settlement")]),
    ("POST", "/v1/sessions"): lambda d: d.session(),
    ("POST", "/v1/sessions/{session_id}/cover"): lambda d: d.session(),
    ("GET", "/v1/balances"): lambda d: d.house.balances("2201", ["M1"], "CNY"),
    ("GET", "/v1/accounts/{account_id}/balance"): lambda d: d.house.balance_at(
        "2201:M1", value_date=DAY, known_at=d.sent_at - timedelta(hours=2)),
    ("GET", "/v1/accounts/{account_id}/standing"): lambda d: d.house.standing("2101:U1"),
    ("GET", "/v1/accounts/{account_id}/movements"): lambda d: list(
        d.house.movements("2201:M1", type="payment", least_minor=1, most_minor=10**6)),
    ("GET", "/v1/accounts/{account_id}/tree"): lambda d: d.house.tree("2201:M1"),
    ("GET", "/v1/holds"): lambda d: d.house.holds("2101:U1"),
    ("GET", "/v1/positions"): lambda d: d.house.positions(),
    ("GET", "/v1/pending"): lambda d: d.house.pending(),
    ("GET", "/v1/pending/{sequence}/values"): lambda d: d.reviewer.pending_values(d.waiting),
    ("GET", "/v1/destinations/{destination_id}"): lambda d: d.reviewer.destination("S-M1"),
    ("GET", "/v1/deadlines"): lambda d: d.house.deadlines(DAY),
    ("GET", "/v1/commands/{idempotency_key}/steps"): lambda d: d.house.steps(
        d.payment["idempotency_key"]),
    ("GET", "/v1/journals/{journal_id}"): lambda d: d.house.journal(d.journal),
    ("GET", "/v1/journals"): lambda d: list(d.house.journals(DAY)),
    ("GET", "/v1/events"): lambda d: list(d.house.events("1/0")),
    ("GET", "/v1/log"): lambda d: list(d.house.log(100)),
    ("POST", "/v1/heads"): lambda d: d.house.anchor(),
    ("POST", "/v1/days/{day}/run"): lambda d: d.house.run_day(DAY + timedelta(1)),
    ("POST", "/v1/days/{day}/close"): lambda d: d.house.close_day(DAY),
    ("GET", "/v1/days/{day}"): lambda d: d.house.day(DAY),
    ("POST", "/v1/days/{day}/export"): lambda d: d.house.export_day(DAY, d.sent_at),
    ("POST", "/v1/days/{day}/instructions"): lambda d: d.house.write_instructions(DAY),
    ("POST", "/v1/days/{day}/statements"): lambda d: d.house.write_statements(DAY),
    ("POST", "/v1/reconciliations"): lambda d: d.reconcile(dry_run=True),
    ("GET", "/v1/reconciliations"): lambda d: [
        d.reconcile(), *d.house.reconciliations("1001")],
    ("GET", "/v1/reconciliations/{reconciliation_id}"): lambda d: list(
        d.house.reconciliation(d.reconcile()["reconciliation_id"], "missing_in_ledger")),
    ("GET", "/v1/open-items"): lambda d: [d.reconcile(), *d.house.open_items("1001")],
    ("GET", "/v1/parties/{party_id}/days/{day}"): lambda d: d.house.day_statement("M1", DAY),
}
#: Those that answer with something even when there is nothing.
MAY_BE_EMPTY = {"/v1/pending", "/v1/positions", "/v1/sessions", "/v1/sessions/{session_id}/cover"}


def test_every_operation_of_the_document_has_its_method(watched):
    served = {
        (method.upper(), path) for path, methods in watched.document["paths"].items()
        for method in methods
    }
    assert served == set(CALLS)


@pytest.fixture
def day(world, watched, token) -> Day:
    return Day(world, watched, token)


@pytest.mark.parametrize("operation", CALLS, ids=" ".join)
def test_a_call_sends_and_is_answered_what_the_document_says(day, watched, operation):
    watched.seen.clear()
    found = CALLS[operation](day)
    assert operation in watched.seen
    assert found or operation[1] in MAY_BE_EMPTY


def test_refusals_are_of_the_documents_form_too(day, watched):
    refused = day.house.command(day.world.command("settlement", amount_minor=10**9))
    assert (refused["status"], refused["reason"]) == ("refused", "date_closed")
    for ask in (
        lambda: day.house.journal("J-unknown"), lambda: day.house.tree("2201:M9"),
        lambda: day.house.day(DAY + timedelta(9)), lambda: list(day.caller.log()),
        lambda: list(day.house.events("first")), lambda: day.caller.standing("2201:M2"),
    ):
        with pytest.raises(LedgerRefusal):
            ask()
    assert len(watched.seen) > 6
