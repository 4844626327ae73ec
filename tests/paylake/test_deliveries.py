"""Signed deliveries: deterministic, atomic, refused by name when the control file is wrong."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from paylake import settings as settings_module
from paylake.crypto import sm3_hex
from paylake.deliveries import (
    CONTROL_NAME,
    SIGNATURE_NAME,
    ControlError,
    DeliveryFile,
    parse_control,
    read_control,
    write_delivery,
)
from paylake.errors import PermanentFailure
from paylake.keys import Keyring

DAY = date(2026, 9, 12)
SENT = datetime(2026, 9, 13, 1, 10, tzinfo=timezone(timedelta(hours=8)))


@pytest.fixture
def settings(tmp_path: Path):
    found = settings_module.load({}, home=tmp_path / "home")
    Keyring(found).ensure_demo()
    return found


def send(settings, *, data: bytes = b"a,b\n1,2\n", sequence: int = 1, **options) -> Path:
    return write_delivery(
        settings, "transaction", DAY, sequence, [DeliveryFile("t.csv", data, 1)], SENT,
        "switch-1", {"CNY": Decimal("2.00")}, **options,
    )


def test_written_as_design_says(settings):
    path = send(settings)
    assert path == settings.home / "landing/inbox/transaction/2026-09-12/1"
    assert sorted(p.name for p in path.iterdir()) == [CONTROL_NAME, SIGNATURE_NAME, "t.csv"]
    assert json.loads((path / CONTROL_NAME).read_bytes()) == {
        "format": "paylake-control/1", "feed": "transaction", "business_date": "2026-09-12",
        "sequence": 1, "sent_at": "2026-09-13T01:10:00+08:00", "key_id": "switch-1",
        "supersedes": None,
        "files": [{"name": "t.csv", "rows": 1, "bytes": 8, "sm3": sm3_hex(b"a,b\n1,2\n")}],
        "amount_totals": {"CNY": "2.00"},
    }
    raw = (path / CONTROL_NAME).read_bytes()
    key = Keyring(settings).trust()["switch-1"]
    assert key.public.verify(raw, (path / SIGNATURE_NAME).read_bytes())
    control = read_control(path)
    assert control.delivery_id == "transaction/2026-09-12/1" and control.sent_at == SENT
    assert control.to_bytes() == raw
    assert not [p for p in path.parent.iterdir() if p.name.startswith(".")]


def test_the_same_again_is_left_alone_and_other_content_refused(settings):
    path = send(settings)
    signature = (path / SIGNATURE_NAME).read_bytes()
    assert send(settings) == path
    assert (path / SIGNATURE_NAME).read_bytes() == signature
    with pytest.raises(PermanentFailure, match="other content"):
        send(settings, data=b"a,b\n1,3\n")
    (path / "t.csv").write_bytes(b"a,b\n1,9\n")
    with pytest.raises(PermanentFailure, match="other content"):
        send(settings)


def test_nothing_is_left_of_a_failed_delivery(settings):
    with pytest.raises(PermanentFailure):
        write_delivery(
            settings, "transaction", DAY, 1, [DeliveryFile("t.csv", b"", 0)], SENT,
            "nobody-1", {},
        )
    folder = settings.home / "landing/inbox/transaction/2026-09-12"
    assert list(folder.iterdir()) == []


def test_a_file_may_come_from_a_path(settings, tmp_path):
    source = tmp_path / "big"
    source.write_bytes(b"x" * 3_000_000)
    path = write_delivery(
        settings, "terminal", DAY, 1, [DeliveryFile("t.parquet", source, 7)], SENT,
        "registry-1", {},
    )
    assert (path / "t.parquet").read_bytes() == source.read_bytes()
    assert read_control(path).files[0].sm3 == sm3_hex(source.read_bytes())


def test_a_planted_forgery_does_not_verify(settings):
    path = send(settings, signing_key="ledger-1")
    raw, signature = ((path / n).read_bytes() for n in (CONTROL_NAME, SIGNATURE_NAME))
    trust = Keyring(settings).trust()
    assert not trust["switch-1"].public.verify(raw, signature)
    assert trust["ledger-1"].public.verify(raw, signature)


def test_money_is_never_a_float(settings):
    with pytest.raises(TypeError, match="Decimal"):
        write_delivery(
            settings, "transaction", DAY, 1, [DeliveryFile("t.csv", b"", 0)], SENT,
            "switch-1", {"CNY": 2.0},
        )


def good() -> dict:
    return {
        "format": "paylake-control/1", "feed": "transaction", "business_date": "2026-09-12",
        "sequence": 2, "sent_at": "2026-09-13T01:10:00+08:00", "key_id": "switch-1",
        "supersedes": 1, "files": [{"name": "t.csv", "rows": 1, "bytes": 8, "sm3": "0" * 64}],
        "amount_totals": {"CNY": "-2.00"},
    }


FILE = good()["files"][0]


@pytest.mark.parametrize(("field", "value"), [
    ("format", "paylake-control/2"), ("feed", "../x"), ("business_date", "2026-02-30"),
    ("business_date", "20260912"), ("sequence", 0), ("sequence", True), ("sequence", "1"),
    ("sequence", 1.5), ("sent_at", "2026-09-13T01:10:00"), ("sent_at", 5), ("key_id", ""),
    ("supersedes", 2), ("supersedes", 0), ("files", []), ("files", None), ("files", [5]),
    ("files", [{**FILE, "name": "../t"}]), ("files", [{**FILE, "name": ".hidden"}]),
    ("files", [{**FILE, "name": "control.json"}]), ("files", [FILE, FILE]),
    ("files", [{**FILE, "rows": -1}]), ("files", [{**FILE, "sm3": "0" * 63}]),
    ("files", [{**FILE, "sm3": "A" * 64}]), ("files", [{**FILE, "more": 1}]),
    ("amount_totals", []), ("amount_totals", {"CNY": 2}), ("amount_totals", {"CNY": "NaN"}),
    ("amount_totals", {"CNY": "1e3"}), ("amount_totals", {"cny": "1"}), ("surprise", 1),
])
def test_a_wrong_field_is_named(field, value):
    with pytest.raises(ControlError) as caught:
        parse_control(json.dumps({**good(), field: value}).encode(), where="here")
    assert caught.value.reason_code in ("control_invalid", "control_unreadable")
    assert "here" in caught.value.sentence()


@pytest.mark.parametrize("name", list(good()))
def test_a_missing_field_is_named(name):
    document = good()
    del document[name]
    with pytest.raises(ControlError, match=name):
        parse_control(json.dumps(document).encode())


def test_absent_and_unreadable(tmp_path):
    with pytest.raises(ControlError) as caught:
        read_control(tmp_path)
    assert caught.value.reason_code == "control_missing"
    for raw in (b"", b"\xff", b"{", b'{"a": 1, "a": 2}', b"[" * 100_000, b"x" * 1_000_001):
        (tmp_path / CONTROL_NAME).write_bytes(raw)
        with pytest.raises(ControlError) as caught:
            read_control(tmp_path)
        assert caught.value.reason_code == "control_unreadable", raw[:20]


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_bytes_never_crash(data):
    raw = bytearray(json.dumps(good()).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] = data.draw(st.integers(0, 255))
    try:
        control = parse_control(bytes(raw))
    except ControlError as error:
        assert error.next_step
    else:
        assert parse_control(control.to_bytes()) == control
