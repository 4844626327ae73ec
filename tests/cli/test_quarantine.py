"""Corrected values come as a JSON object of texts; all else is said in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import ingestion
from cli.app import paylake
from paylake.errors import UsageFault

CALL = ["quarantine", "replay", "transaction/2026-09-12/1", "7"]


@pytest.mark.parametrize("text", ["", "{", "[]", '"amount"', '{"amount": 12.50}', '{"a": ["b"]}'])
def test_values_that_are_no_object_of_texts_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "values.json"
    file.write_text(text)
    done = CliRunner().invoke(paylake, ["--home", str(tmp_path), *CALL, "--values", str(file)])
    assert isinstance(done.exception, UsageFault), done.output
    assert '{"amount": "12.50"}' in done.exception.next_step


def test_values_and_single_columns_are_put_together(tmp_path, monkeypatch) -> None:
    file = tmp_path / "values.json"
    file.write_text('{"amount": "12.50", "terminal_id": null}')
    seen = []

    def replay(settings, delivery_id, line, corrected, day, *, file_name):
        seen.append((delivery_id, line, corrected))
        raise UsageFault("stop", "here")

    monkeypatch.setattr(ingestion, "replay", replay)
    CliRunner().invoke(
        paylake,
        ["--home", str(tmp_path), *CALL, "--values", str(file), "--set", "status=success=yes"],
    )
    corrected = {"amount": "12.50", "terminal_id": None, "status": "success=yes"}
    assert seen == [("transaction/2026-09-12/1", 7, corrected)]
