"""What operators have at the command line: `python -m ledger` and `bin/paylake ledger`."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cli.app import Context
from cli.ledger import ledger as paylake_ledger
from ledger.domain.chain import sm3
from ledger.entrypoints.cli import main as python_ledger
from ledger.registration import Registration
from paylake import settings as settings_module
from paylake.errors import NotVerified, PermanentFailure, UsageFault
from tests.ledger.conftest import DAY, SHANGHAI
from tests.ledger.test_real_ledger import real_settings
from tests.ledger.test_service_process import CHECKER, MAKER, Service, free_port

__all__ = ["real_settings"]
TOKEN = "a token of the switch"


def _paylake(settings, *words: str) -> dict:
    """`bin/paylake --home … ledger … --json`; an error is raised."""
    done = CliRunner().invoke(
        paylake_ledger, [*words, "--json"], obj=Context({"home": settings.home}, False),
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_paylake_ledger_can_do_all_that_the_ledgers_own_command_can():
    """But to serve, which is `bin/paylake up ledger`; the home is an option of `paylake`."""
    def options(command):
        return {o for p in command.params for o in p.opts} - {"--home", "--json"}

    own = {name: options(c) for name, c in python_ledger.commands.items() if name != "serve"}
    assert {name: options(c) for name, c in paylake_ledger.commands.items()} == own
    assert len(own) > 7


def test_verify_export_backup_and_restore_at_the_command_line(world, settings, tmp_path):
    world.do("payment")
    world.close()
    whole = _paylake(settings, "verify")
    assert whole["journals"] == 1
    assert _paylake(settings, "verify", "--chain")["chain_digest"] == whole["chain_digest"]
    since = _paylake(settings, "verify", "--since", DAY.isoformat())
    assert since["since"] == DAY.isoformat()
    with pytest.raises(UsageFault, match="no head 2026-09-13"):
        _paylake(settings, "verify", "--since", "2026-09-13")
    done = _paylake(settings, "export-log", "--out", str(tmp_path / "log"))
    found = _paylake(settings, "verify", "--export", str(tmp_path / "log"))
    assert done["entries"] == found["entries"] == whole["entries"]
    copy = tmp_path / "copy"
    assert _paylake(settings, "backup", "--out", str(copy))["entries"] == whole["entries"]
    other = settings_module.load({}, home=tmp_path / "other")
    shutil.copytree(settings.path("keys"), other.path("keys"))
    assert _paylake(other, "restore", "--from", str(copy))["chain_digest"] == whole["chain_digest"]
    assert _paylake(other, "verify")["journals"] == 1
    head_file = other.path("ledger", "heads", f"{DAY}.json")
    head_file.write_bytes(head_file.read_bytes() + b" ")
    for words in (("verify",), ("verify", "--since", DAY.isoformat())):
        with pytest.raises(NotVerified):
            _paylake(other, *words)


class Real:
    """A service that is not simulated, whose home has no token in clear."""

    def __init__(self, settings, port: int) -> None:
        settings.path("keys", "ledger.token").unlink()
        settings.path("keys", "ledger_tokens.json").write_text(json.dumps(
            {"switch": {"sm3": sm3(TOKEN.encode()).hex(), "rights": ["read", "post"]}}
        ))
        self.home, self.port = settings.home, port
        self.service = Service(settings.home, port, "--port", str(port))

    def settings(self, **given: str):
        return settings_module.load({}, home=self.home, ledger_port=self.port, **given)


@pytest.fixture
def real(real_settings):
    made = Real(real_settings, free_port())
    yield made
    made.service.end()


def _file(folder: Path, name: str, *rows: dict) -> str:
    path = folder / name
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, sorted({n for row in rows for n in row}))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def _party(name: str, kind: str = "user") -> dict:
    return {"type": "party", "party_id": name, "party_kind": kind, "identity_check": f"ID-{name}"}


def _import(settings, *words: str) -> dict:
    done = CliRunner().invoke(
        paylake_ledger, ["import", *words, "--json"],
        obj=Context({}, False, settings), catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_real_home_imports_with_a_token_of_its_own_or_signed(real, tmp_path, monkeypatch):
    """The token by the environment or from a file, or a person's signature; never on the line."""
    with real.service.client(TOKEN) as client:
        registration = Registration(
            client, client.as_signer(MAKER.signer()), client.as_signer(CHECKER.signer()), CHECKER,
            None,
        )
        registration.people([MAKER, CHECKER])
    users = _file(tmp_path, "users.csv", _party("U1"), _party("U2"))
    with pytest.raises(UsageFault, match=r"ledger\.token"):
        _import(real.settings(), users)
    monkeypatch.setenv("PAYLAKE_LEDGER_TOKEN", TOKEN)
    by_environment = settings_module.load(home=real.home, ledger_port=real.port)
    assert _import(by_environment, users)["posted"] == 2
    assert TOKEN not in repr(by_environment) + by_environment.shown("ledger_token")
    kept = tmp_path / "token"
    kept.write_text(TOKEN + "\n")
    again = _import(real.settings(ledger_token_file=str(kept)), users)
    assert (again["posted"], again["replayed"]) == (2, 2)
    with pytest.raises(PermanentFailure, match=r"unauthorised|token"):
        _import(real.settings(ledger_token="another"), users)

    key = tmp_path / "ann.pem"
    key.write_text(MAKER.key.pem())
    merchants = _file(tmp_path, "merchants.csv", _party("M1", "merchant"))
    by_token = _import(real.settings(ledger_token=TOKEN), merchants)
    assert (by_token["pending"], by_token["refused"]) == (0, 1)  # what needs a checker
    merchants = _file(tmp_path, "merchants.csv", {**_party("M1", "merchant"),
                                                  "idempotency_key": "m1"})
    signed = _import(real.settings(), merchants, "--signer", "operator:ann", "--key", str(key))
    assert (signed["pending"], signed["refused"]) == (1, 0)
    for half in (("--signer", "operator:ann"), ("--key", str(key)),
                 ("--signer", "ann", "--key", str(key))):
        with pytest.raises(UsageFault, match="signer with a key"):
            _import(real.settings(), merchants, *half)


def _line(line_id: str, amount: int, reference: str = "", **more) -> dict:
    return {"line_id": line_id, "value_date": DAY.isoformat(), "amount_minor": amount,
            "reference": reference, **more}


@pytest.fixture
def simulated(tmp_path):
    """A simulated service with 1001 open, and its settings."""
    home = tmp_path / "bank"
    service = Service(home, free_port())
    client = service.client()
    client.set_clock(datetime(2026, 9, 12, 20, tzinfo=SHANGHAI))
    client.open_accounts([{"account_code": code, "party_id": None, "currency_code": "CNY"}
                          for code in ("1001", "2401")])
    for number in (1, 2):
        assert client.command({
            "type": "receipt", "idempotency_key": f"k{number}", "receipt_id": f"R{number}",
            "amount_minor": 100 * number, "currency_code": "CNY",
            "occurred_at": "2026-09-12T10:00:00+08:00",
        })["status"] == "posted"
    yield settings_module.load({}, home=home, ledger_port=service.port)
    assert service.end() == 0


def test_a_statement_from_a_file(simulated, tmp_path):
    """CSV with the balances in it, Parquet with the balances beside it; a dry run before."""
    def run(*words: str) -> dict:
        done = CliRunner().invoke(
            paylake_ledger, ["reconcile", "--account", "1001", *words, "--json"],
            obj=Context({}, False, simulated), catch_exceptions=False,
        )
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    path = _file(
        tmp_path, "day.csv", _line("0", 0, entry_type="OPENING"),
        _line("1", 100, "R1", entry_type="MOVEMENT", direction="C"),
        _line("2", 30, "fee", entry_type="", direction="D"),
        _line("3", 70, entry_type="CLOSING"),
    )
    tried = run("--date", "2026-09-12", "--dry-run", path)
    assert tried["dry_run"] is True and tried["open_items"] == 2
    done = run("--date", "2026-09-12", path)
    assert (done["open_items"], done["difference_minor"]) == (2, 300 - 70)
    assert run("--date", "2026-09-12", path)["replayed"] is True
    table = tmp_path / "day.parquet"
    pq.write_table(pa.Table.from_pylist([
        {"line_id": "1", "value_date": DAY, "amount_minor": 100, "reference": "R1"},
        {"line_id": "4", "value_date": DAY, "amount_minor": 200, "reference": "R2"},
    ]), table)
    again = run("--date", "2026-09-12", "--from", "2026-09-12", "--opening", "0", "--closing",
                "300", str(table))
    assert again["supersedes"] == done["reconciliation_id"] and again["open_items"] == 0
    own = CliRunner().invoke(python_ledger, [
        "reconcile", "--home", str(simulated.home), "--account", "1001", "--date", "2026-09-12",
        "--opening", "0", "--closing", "300", str(table),
    ], env={"PAYLAKE_LEDGER_PORT": str(simulated.ledger_port)}, catch_exceptions=False)
    assert json.loads(own.stdout)["replayed"] is True


@pytest.mark.parametrize(("rows", "why"), [
    ([_line("1", 100, counterparty_account="6222")], "counterparty_account"),
    ([_line("1", "1.00")], "whole number"),
    ([_line("0", 0, entry_type="OPENING"), _line("9", 0, entry_type="OPENING")], "a second"),
    ([_line("1", 100, entry_type="TOTAL")], "entry_type"),
    ([{"id": "1"}], "no column `line_id`"),
    ([_line("1", 100)], "no opening balance"),
    ([_line("0", 0, entry_type="OPENING")], "no closing balance"),
])
def test_a_file_that_is_no_statement_is_named(settings, tmp_path, rows, why):
    with pytest.raises(UsageFault, match=why):
        CliRunner().invoke(
            paylake_ledger, ["reconcile", "--account", "1001", "--date", "2026-09-12",
                             _file(tmp_path, "s.csv", *rows)],
            obj=Context({}, False, settings), catch_exceptions=False,
        )
