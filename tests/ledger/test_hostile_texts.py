"""SQL and HTML in every field of every operation: refused by the field's form, or kept and shown as
the text that it is."""

from __future__ import annotations

import html
import re
import sqlite3
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ledger.adapters.data_files import load_operations
from ledger.adapters.storage import ledger_path
from ledger.adapters.tokens import Tokens
from ledger.domain.fields import COMMON, Field
from ledger.entrypoints.http import create_app
from ledger.entrypoints.openapi import command_schemas, example_of
from ledger.entrypoints.operations import open_ledger, verify
from ledger.service.ledger import Job
from tests.ledger.conftest import ANN, DAY, SYSTEM, at

HOSTILE = "<script>alert(1)</script>'; drop table entry; --\"{{7*7}}<img src=x onerror=alert(2)>"
#: Kinds of fields that take any text, and the text in the form of each.
FREE: dict[str, Any] = {
    "text": HOSTILE, "sentence": HOSTILE, "object": {HOSTILE[:60]: [HOSTILE, {"deep": HOSTILE}]},
    "metadata": {"note": HOSTILE}, "list": [HOSTILE, {HOSTILE: HOSTILE}],
}
EXAMPLES = {
    name.removesuffix("_command"): schema["example"] for name, schema in command_schemas().items()
    if name != "Command"
}
FIELDS = [
    (type_, field) for type_, operation in sorted(load_operations().by_type.items())
    for field in (*COMMON, *operation.form.fields)
    if operation.module != "system"  # of these the ledger alone makes the texts
]


def command(type_: str, field: Field, number: int) -> dict[str, Any]:
    made = {
        **EXAMPLES[type_], "idempotency_key": f"hostile-{number}",
        "occurred_at": at(DAY, "10:00:00"),
    }
    for other in load_operations().by_type[type_].form.fields:
        made.setdefault(other.name, example_of(type_, other))
    return {**made, field.name: FREE.get(field.kind, HOSTILE)}


@pytest.fixture
def answered(world):
    """(field, result) of each field of each operation, from a system and from a person; the
    merchant and the user that the examples name are there."""
    world.merchant("M000001")
    world.register("party", party_id="U000001", party_kind="user", identity_check="ID1")
    world.open([("2201", "M000001"), ("2101", "U000001"), ("1204", "M000001")])
    world.before = world.ledger.head.sequence
    found: list[tuple[Field, dict[str, Any]]] = []
    for turn, actor in enumerate((SYSTEM, ANN)):
        for start in range(0, len(FIELDS), 500):
            part = FIELDS[start:start + 500]
            number = turn * len(FIELDS) + start
            commands = [command(t, f, number + n) for n, (t, f) in enumerate(part)]
            # as the service's own: what it records has texts of senders, too
            (results,) = world.ledger.apply_all([Job(commands, actor, "", recorded=True)])
            found += [(f, r) for (_, f), r in zip(part, results, strict=True)]
    return found


def test_it_is_refused_by_the_form_or_kept(answered, world):
    by_form = kept = 0
    for field, result in answered:
        if field.kind in FREE and result.get("reason") != "invalid_field":
            kept += 1
            continue
        by_form += 1
        assert result["status"] == "refused", (field, result)
        assert result["field"] == field.name, (field, result)
        assert HOSTILE not in result["detail"]
    assert len(load_operations().by_type) > 80 and by_form > 1000 and kept > 100, (by_form, kept)
    db = sqlite3.connect(ledger_path(world.settings))
    (stored,) = db.execute(
        "select count(*) from entry where instr(content, 'drop table entry') > 0").fetchone()
    assert stored > 100
    db.close()
    assert verify(world.settings).broken is None
    world.reopen()
    assert verify(world.settings).broken is None


PAGES = ("", "accounts", "holds", "approvals", "limits", "stops", "parties", "bills", "chain",
         "days", f"days/{DAY}")


def test_no_page_of_the_console_lets_it_be_more_than_text(answered, world, settings):
    token = settings.path("keys", "ledger.token").read_text("ascii")
    app = create_app(settings, world.ledger, Tokens.load(settings))
    shown = 0
    with TestClient(app, raise_server_exceptions=False) as http:
        http.post("/console/login", data={"token": token})
        pages = [f"/console/{name}" for name in PAGES] + [
            f"/console/entries/{n}" for n in range(world.before + 1, world.ledger.head.sequence + 1)
        ]
        for path in pages:
            answer = http.get(path)
            assert answer.status_code == 200, (path, answer.status_code)
            for tag in re.findall(r"<(?:script|img)[^>]*>", answer.text):
                assert "alert" not in tag and "src=x" not in tag, (path, tag)
            assert "<script>alert" not in answer.text and "onerror=alert(2)>" not in answer.text
            shown += html.escape("<script>alert(1)") in answer.text
    world.ledger = open_ledger(settings, simulated=True)
    assert shown > 30, shown
