"""A ledger that is not simulated: its own clock, no demo key, no time from outside."""

from __future__ import annotations

import json

import pytest

from ledger.entrypoints.operations import check_kind, open_ledger, verify
from ledger.service.faults import RequestRefused
from paylake import home
from paylake.errors import PermanentFailure, UsageFault


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
