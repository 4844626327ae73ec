"""A ledger that is not simulated: its own clock, no demo key, no time from outside."""

from __future__ import annotations

import json
import time

import pytest
from fastapi.testclient import TestClient

from ledger.adapters.tokens import Tokens
from ledger.entrypoints import http
from ledger.entrypoints.http import create_app
from ledger.entrypoints.operations import check_kind, open_ledger, verify
from ledger.service.faults import RequestRefused
from paylake import home
from paylake.errors import PermanentFailure, TransientFault, UsageFault
from tests.ledger.test_logs import lines

__all__ = ["lines"]


@pytest.fixture
def real_settings(settings):
    path = settings.path("keys", "trust.json")
    entries = json.loads(path.read_text("utf-8"))
    entries["ledger-1"]["demo"] = False
    path.write_text(json.dumps(entries))
    return settings


def test_books_by_its_own_clock(real_settings):
    ledger = open_ledger(real_settings, simulated=False)
    try:
        party = {"type": "party", "idempotency_key": "p", "party_id": "U1",
                 "party_kind": "user", "identity_check": "ID"}
        assert ledger.apply([party])[0]["status"] == "posted"
        ledger.open_accounts([
            {"account_code": code, "party_id": party, "currency_code": "CNY"}
            for code, party in (("1001", None), ("2101", "U1"))
        ])
        command = {
            "type": "top_up", "idempotency_key": "k", "top_up_id": "t", "user_id": "U1",
            "amount_minor": 1000, "currency_code": "CNY",
        }
        result = ledger.apply([command])[0]
        assert result["status"] == "posted" and result["booked_at"] <= ledger.clock.now()
        timed = {**command, "idempotency_key": "l", "occurred_at": "2026-09-12T10:00:00+08:00"}
        refused = ledger.apply([timed])[0]
        assert (refused["reason"], refused["field"]) == ("unknown_field", "occurred_at")
        with pytest.raises(RequestRefused, match="not_simulated"):
            ledger.set_clock("2026-09-12T10:00:00+08:00")
        assert verify(real_settings).journals == 1
    finally:
        ledger.close()
    with pytest.raises(PermanentFailure, match="cannot be served as simulated"):
        open_ledger(real_settings, simulated=True)


def _party(name: str) -> dict[str, str]:
    return {"type": "party", "idempotency_key": name, "party_id": name, "party_kind": "user",
            "identity_check": "ID"}


def _serving(settings, then=lambda ledger: None, until: int = 0) -> int:
    """Start the service on the ledger, let it run until it has signed so many heads or half a
    second is over; the heads in the end."""
    ledger = open_ledger(settings, simulated=False)
    then(ledger)
    folder = settings.path("ledger", "heads")
    with TestClient(create_app(settings, ledger, Tokens.load(settings))):
        end = time.monotonic() + (20 if until else 0.5)
        while time.monotonic() < end and len(list(folder.glob("*.json"))) < (until or 99):
            time.sleep(0.01)
    return len(list(folder.glob("*.json")))


def test_a_head_is_signed_when_the_last_one_is_an_hour_old_also_one_of_before_the_start(
    real_settings, monkeypatch,
):
    """However often the service is started again, nothing is unsigned for more than an hour."""
    assert _serving(real_settings) == 0  # nothing to sign
    assert _serving(real_settings, lambda ledger: ledger.apply([_party("U1")]), 1) == 1
    assert _serving(real_settings, lambda ledger: ledger.apply([_party("U2")])) == 1  # too young
    monkeypatch.setattr(http, "ANCHOR_SECONDS", 0.0)  # the hour is over
    assert _serving(real_settings, until=2) == 2
    assert _serving(real_settings) == 2  # nothing new
    assert verify(real_settings).heads == 2


@pytest.mark.parametrize("fault", [
    TransientFault("the disk is gone", "wait"), RequestRefused("clock_not_set", "SECRET"),
    ValueError("SECRET"),
])
def test_heads_go_on_while_the_service_runs_and_after_any_fault(
    real_settings, monkeypatch, lines, fault,
):
    monkeypatch.setattr(http, "ANCHOR_SECONDS", 0.0)
    monkeypatch.setattr(http, "RETRY_SECONDS", 0.05)
    faults = [fault]
    ledger = open_ledger(real_settings, simulated=False)
    anchor = ledger.anchor

    def failing():
        if faults:
            raise faults.pop()
        return anchor()

    monkeypatch.setattr(ledger, "anchor", failing)
    ledger.apply([_party("U1")])
    token = real_settings.path("keys", "ledger.token").read_text("ascii")
    folder = real_settings.path("ledger", "heads")
    with TestClient(create_app(real_settings, ledger, Tokens.load(real_settings))) as client:
        for number in (1, 2, 3):
            deadline = time.monotonic() + 20
            while len(list(folder.glob("*.json"))) < number:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert client.post(
                "/v1/commands", json=_party(f"N{number}"),
                headers={"authorization": f"Bearer {token}"},
            ).status_code == 201
    assert faults == [] and verify(real_settings).heads >= 3
    (said,) = [line for line in lines() if line["event"] == "head_unsigned"]
    assert type(fault).__name__ in said.get("fault", "TransientFault") and "SECRET" not in str(said)


@pytest.mark.parametrize("fault", [
    TransientFault("the disk is gone", "wait"), ValueError("SECRET"),
])
def test_queries_are_written_down_after_any_fault(real_settings, monkeypatch, lines, fault):
    monkeypatch.setattr(http, "QUERIES_SECONDS", 0.05)
    ledger = open_ledger(real_settings, simulated=False)
    ledger.apply([_party("U1")])
    flush, faults = ledger.queried.flush, [fault]

    def failing():
        if faults:
            raise faults.pop()
        flush()

    monkeypatch.setattr(ledger.queried, "flush", failing)
    token = real_settings.path("keys", "ledger.token").read_text("ascii")
    with TestClient(create_app(real_settings, ledger, Tokens.load(real_settings))) as client:
        key = _party("U1")["idempotency_key"]
        assert client.get(
            f"/v1/commands/{key}/steps", headers={"authorization": f"Bearer {token}"}
        ).status_code == 200
        deadline = time.monotonic() + 20
        while ledger.queried.waiting:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    (said,) = [line for line in lines() if line["event"] == "queries_unwritten"]
    assert faults == [] and "SECRET" not in str(said)


def test_keys_and_mode_must_fit(settings, real_settings):
    check_kind(real_settings, simulated=False)
    with pytest.raises(UsageFault, match="demo keys alone"):
        check_kind(real_settings, simulated=True)


def test_a_demo_key_signs_no_real_ledger(settings):
    check_kind(settings, simulated=True)
    with pytest.raises(UsageFault, match="demo key"):
        check_kind(settings, simulated=False)


def test_a_mapped_home_has_no_simulated_ledger(settings):
    home.claim(settings, home.Home("mapped", {"mapping": "handbook"}))
    with pytest.raises(UsageFault, match="mapped"):
        check_kind(settings, simulated=True)


def test_an_expired_key_signs_no_head(settings, world):
    path = settings.path("keys", "trust.json")
    entries = json.loads(path.read_text("utf-8"))
    entries["ledger-1"]["valid_to"] = "2026-09-11"
    path.write_text(json.dumps(entries))
    world.reopen()
    with pytest.raises(PermanentFailure, match="valid on 2026-09-12"):
        world.close()
    assert world.ledger.head.closed is None
