"""The log as files verifies without the database; since a head; and what was altered is named."""

from __future__ import annotations

import json
import shutil

import pytest

from ledger.adapters.log_export import export_log, stream
from ledger.entrypoints import operations
from paylake.errors import NotVerified, UsageFault
from tests.ledger.conftest import DAY


@pytest.fixture
def exported(world, tmp_path):
    world.do("payment")
    world.approved("destination", destination_id="DM", party_id="M1", bank_code="ICBC",
                   bound_account="6222021234567890123", bound_name="张三")
    world.do("settlement", amount_minor=10**9)
    world.close()
    export_log(world.settings, tmp_path / "log")
    return tmp_path / "log"


def test_an_export_verifies_with_the_trust_file_alone(world, exported):
    world.ledger.close()
    database = world.settings.path("ledger", "ledger.db")
    sealed = world.settings.path("keys", "seal.key")
    for path in (database, sealed):
        shutil.move(path, path.with_name(path.name + ".away"))
    try:
        found = operations.verify_export(world.settings, exported)
        assert (found.journals, found.refusals, found.heads) == (1, 1, 1)
        assert found.approvals == 7
        text = (exported / "entries.jsonl").read_text("utf-8")
        assert "6222021234567890123" not in text and "张三" not in text
    finally:
        for path in (database, sealed):
            shutil.move(path.with_name(path.name + ".away"), path)
        world.ledger = operations.open_ledger(world.settings, simulated=True)


def test_an_export_with_a_reversal_verifies(world, tmp_path):
    """What is reversed is looked up in the files."""
    done = world.do("payment")
    world.do("payment")
    world.approved("reversal", adjustment_id="AD1", incident_number="INC-1", reason="wrong",
                   journal_id=done["journal_id"])
    world.do("payment")
    world.ledger.anchor()
    export_log(world.settings, tmp_path / "log")
    assert operations.verify_export(world.settings, tmp_path / "log").journals == 4


@pytest.mark.parametrize(("change", "named"), [
    (lambda lines: lines[:3] + lines[4:], "entry 5"),
    (lambda lines: [lines[1], lines[0], *lines[2:]], "entry 2"),
    (lambda lines: [line.replace('"amount_minor\\\\":10000', '"amount_minor\\\\":10001')
                    .replace('\\"amount_minor\\":10000', '\\"amount_minor\\":10001')
                    for line in lines], "entry "),
    (lambda lines: lines[:-1], "head 2026-09-12"),
    (lambda lines: [*lines[:-1], "rubbish\n"], "is not JSON"),
    (lambda lines: [*lines[:-1], "[1]\n"], "is not an entry"),
])
def test_an_altered_export_is_named(world, exported, change, named):
    path = exported / "entries.jsonl"
    lines = path.read_text("utf-8").splitlines(keepends=True)
    changed = change(lines)
    assert changed != lines
    path.write_text("".join(changed), "utf-8")
    with pytest.raises(NotVerified, match=named):
        operations.verify_export(world.settings, exported)


def test_an_altered_head_is_named(world, exported):
    path = exported / "heads.jsonl"
    head = json.loads(path.read_text("utf-8"))
    head["document"] = head["document"].replace('"journals": 1', '"journals": 2')
    path.write_text(json.dumps(head) + "\n", "utf-8")
    with pytest.raises(NotVerified, match="head 2026-09-12"):
        operations.verify_export(world.settings, exported)


def test_the_stream_goes_on_where_a_consumer_stopped(world, exported):
    lines = (exported / "entries.jsonl").read_bytes().splitlines(keepends=True)
    assert b"".join(stream(world.settings, 0)) == b"".join(lines)
    assert b"".join(stream(world.settings, 70)) == b"".join(lines[70:])
    assert list(stream(world.settings, 10**6)) == []


def test_verify_since_a_head(world, exported):
    assert operations.verify_since(world.settings, DAY.isoformat())["entries"] == 0
    with pytest.raises(UsageFault, match="no head"):
        operations.verify_since(world.settings, "2026-09-01")
