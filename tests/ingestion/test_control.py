"""Each way in which a delivery can be wrong has its own reason, and leaves nothing in bronze."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ingestion import ingest
from ingestion.codes import REASONS
from paylake import ops
from paylake.deliveries import DeliveryFile, write_delivery
from paylake.keys import Keyring
from paylake.lake import Lake
from paylake.settings import Settings
from tests.ingestion.world import DAY, send, transaction

AS_OF = datetime(2026, 9, 20, tzinfo=UTC)


def _resign(settings: Settings, path: Path, change: Callable[[dict], None], key: str) -> None:
    control = json.loads((path / "control.json").read_text("utf-8"))
    change(control)
    raw = json.dumps(control).encode()
    (path / "control.json").write_bytes(raw)
    (path / "control.json.sig").write_bytes(Keyring(settings).private(key).sign(raw))


def _set(name: str, value: object) -> Callable[[Settings, Path], None]:
    def spoil(settings: Settings, path: Path) -> None:
        _resign(settings, path, lambda c: c.__setitem__(name, value), "registry-1")

    return spoil


def _file(name: str, value: object) -> Callable[[Settings, Path], None]:
    def spoil(settings: Settings, path: Path) -> None:
        _resign(settings, path, lambda c: c["files"][0].__setitem__(name, value), "registry-1")

    return spoil


def _data(change: Callable[[bytes], bytes]) -> Callable[[Settings, Path], None]:
    def spoil(settings: Settings, path: Path) -> None:
        file = next(p for p in path.iterdir() if p.suffix == ".csv")
        file.write_bytes(change(file.read_bytes()))

    return spoil


def _unlink(name: str) -> Callable[[Settings, Path], None]:
    return lambda settings, path: next(path.glob(name)).unlink()


def _expire(settings: Settings, path: Path) -> None:
    trust = settings.path("keys", "trust.json")
    entries = json.loads(trust.read_text("utf-8"))
    entries["registry-1"]["valid_to"] = "2026-09-01"
    trust.write_text(json.dumps(entries), "utf-8")


def _by_another(settings: Settings, path: Path) -> None:
    raw = (path / "control.json").read_bytes()
    (path / "control.json.sig").write_bytes(Keyring(settings).private("switch-1").sign(raw))


SPOILED: list[tuple[str, Callable[[Settings, Path], None]]] = [
    ("control_unreadable", lambda s, p: (p / "control.json").write_bytes(b"{") and None),
    ("control_invalid", lambda s, p: (p / "control.json").write_bytes(b"{}") and None),
    ("unknown_key", _set("key_id", "nobody-1")),
    ("wrong_key", _set("key_id", "switch-1")),
    ("expired_key", _expire),
    ("bad_signature", _by_another),
    ("bad_signature", lambda s, p: (p / "control.json.sig").write_bytes(b"x") and None),
    ("wrong_feed_folder", _set("feed", "terminal")),
    ("wrong_date_folder", _set("business_date", "2026-09-11")),
    ("wrong_sequence_folder", _set("sequence", 2)),
    ("file_missing", _unlink("*.csv")),
    ("file_unlisted", lambda s, p: (p / "more.csv").write_bytes(b"x") and None),
    ("truncated", _data(lambda d: d[:-10])),
    ("bytes_mismatch", _data(lambda d: d + b"\n")),
    ("digest_mismatch", _data(lambda d: d.replace(b"M000001", b"M000009"))),
    ("rows_mismatch", _file("rows", 9)),
    ("supersedes_unknown", lambda s, p: None),
    ("amount_mismatch", _set("amount_totals", {"CNY": "1.00"})),
]


@pytest.mark.parametrize(("reason", "spoil"), SPOILED, ids=[f"{n}-{r}" for n, (r, _) in
                                                            enumerate(SPOILED)])
def test_a_wrong_delivery_is_refused_with_its_reason(
    settings: Settings, reason: str, spoil: Callable[[Settings, Path], None]
) -> None:
    if reason == "supersedes_unknown":
        path = send(settings, "merchant", sequence=2, supersedes=1)
    else:
        path = send(settings, "merchant")
    spoil(settings, path)
    result = ingest(settings, DAY, DAY, AS_OF)
    assert [(o["state"], o["reason_code"]) for o in result.outcomes] == [("refused", reason)]
    assert reason in REASONS and result.outcomes[0]["reason"]
    lake = Lake(settings)
    assert not lake.exists("bronze", "raw_registry__merchant") or (
        lake.query("select count(*) as n from bronze.raw_registry__merchant").to_pylist()[0]["n"]
        == 0
    )
    # Received is sacred: it is kept, and gone from the inbox.
    assert not path.exists()
    assert settings.path(result.outcomes[0]["kept_path"], "kept.json").is_file()
    # A refused delivery frees its name.
    if reason != "expired_key":
        send(settings, "merchant", sent_at=datetime(2026, 9, 13, tzinfo=UTC))
        again = ingest(settings, DAY, DAY, AS_OF)
        assert [o["state"] for o in again.outcomes] == ["accepted"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [("control.json", "control_missing"), ("control.json.sig", "signature_missing")],
)
def test_an_unfinished_delivery_waits(settings: Settings, name: str, reason: str) -> None:
    path = send(settings, "merchant")
    content = (path / name).read_bytes()
    (path / name).unlink()
    result = ingest(settings, DAY, DAY, AS_OF)
    assert [(o["state"], o["reason_code"]) for o in result.outcomes] == [("waiting", reason)]
    assert path.exists() and "merchant" in result.waiting[DAY] and result.exit_code == 11
    assert not ingest(settings, DAY, DAY, AS_OF).outcomes  # said once
    (path / name).write_bytes(content)
    ingest(settings, DAY, DAY, AS_OF)
    states = {e["state"] for e in ops.latest(settings, "delivery")}
    assert states == {"accepted", "superseded"}


def test_a_feed_without_contract_is_refused_and_kept(settings: Settings) -> None:
    write_delivery(
        settings, "loyalty", DAY, 1, [DeliveryFile("a.csv", b"x\n", 1)], AS_OF, "switch-1", {}
    )
    result = ingest(settings, DAY, DAY, AS_OF)
    assert [(o["state"], o["reason_code"]) for o in result.outcomes] == [
        ("refused", "unknown_feed")
    ]


def test_unreadable_data_files_are_refused(settings: Settings) -> None:
    send(settings, "terminal", content=b"not parquet", count=0, amount_totals={})
    send(settings, "merchant", content=b"", count=0, amount_totals={})
    send(settings, "transaction", content=b"a,b\n1,2\n", count=1, amount_totals={})
    reasons = {o["feed"]: o["reason_code"] for o in ingest(settings, DAY, DAY, AS_OF).outcomes}
    assert reasons == {
        "terminal": "unreadable_file",
        "merchant": "bad_header",
        "transaction": "missing_column",
    }


def test_totals_are_exact_to_the_cent(settings: Settings) -> None:
    rows = [transaction(n) for n in range(1, 9)]
    total = sum(Decimal(r["amount"] or "0") for r in rows)
    send(settings, "transaction", rows, amount_totals={"CNY": total + Decimal("0.01")})
    outcome = ingest(settings, DAY, DAY, AS_OF).outcomes[0]
    assert outcome["reason_code"] == "amount_mismatch"
    assert "CNY -0.01" in outcome["reason"]


def test_strange_folders_are_named_and_left_alone(settings: Settings) -> None:
    stray = settings.path("landing", "inbox", "merchant", "yesterday", "1")
    stray.mkdir(parents=True)
    assert ingest(settings, DAY, DAY, AS_OF).strangers == [str(stray)]
    assert stray.is_dir()


def test_reasons_and_rules_are_closed_lists() -> None:
    seen = {reason for reason, _ in SPOILED}
    assert seen <= set(REASONS)
