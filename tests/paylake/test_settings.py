"""Where a setting comes from, and what a wrong one says."""

from __future__ import annotations

import pytest

from paylake import settings
from paylake.errors import UsageFault


def test_argument_beats_environment_beats_file_beats_default(tmp_path):
    (tmp_path / "paylake.toml").write_text("ledger_port = 1\ndays = 5\nseed = 3\n")
    environ = {"PAYLAKE_HOME": str(tmp_path), "PAYLAKE_DAYS": "6", "PAYLAKE_SEED": "4"}
    loaded = settings.load(environ, seed=9)
    assert (loaded.ledger_port, loaded.days, loaded.seed) == (1, 6, 9)
    assert loaded.origin("ledger_port") == f"file {tmp_path / 'paylake.toml'}"
    assert loaded.origin("days") == "environment PAYLAKE_DAYS"
    assert loaded.origin("seed") == "argument"
    assert loaded.origin("zone") == "default"


def test_a_child_process_gets_the_same_settings(tmp_path):
    loaded = settings.load({"PAYLAKE_HOME": str(tmp_path), "PAYLAKE_TXNS": "77"})
    again = settings.load(loaded.as_environment())
    assert again == loaded


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"PAYLAKE_DAYS": "ten"}, "days"),
        ({"PAYLAKE_ENGINE": "oracle"}, "oracle"),
        ({"PAYLAKE_LEDGER_LOG": "xml"}, "xml"),
    ],
)
def test_wrong_values_are_named(environ, word, tmp_path):
    with pytest.raises(UsageFault) as caught:
        settings.load({"PAYLAKE_HOME": str(tmp_path), **environ})
    assert word in caught.value.sentence()


def test_an_unknown_name_in_the_file_is_refused(tmp_path):
    (tmp_path / "paylake.toml").write_text("dayz = 5\n")
    with pytest.raises(UsageFault, match="dayz"):
        settings.load({"PAYLAKE_HOME": str(tmp_path)})


def test_a_secret_setting_is_neither_shown_nor_handed_on():
    address = "postgresql+pg8000://superset:hidden@postgres:5432/superset"
    loaded = settings.load({"PAYLAKE_SUPERSET_DATABASE": address})
    assert loaded.superset_database == address
    assert loaded.shown("superset_database") == "(set, not shown)"
    assert loaded.shown("superset_cache") == "" and loaded.shown("listen") == "127.0.0.1"
    assert "hidden" not in repr(loaded) + str(loaded.as_environment())
