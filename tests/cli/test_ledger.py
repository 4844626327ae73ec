"""The ledger's commands of `bin/paylake` that the daily proof is made of."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

from cli.app import paylake
from ledger.adapters.export import ledger_path
from ledger.adapters.heads import head_paths
from paylake.errors import NotVerified, PermanentFailure
from tests.ledger.conftest import DAY, settings, world
from tests.ledger.test_verify import _edit

__all__ = ["settings", "world"]


def verify(settings, *options: str):
    return CliRunner().invoke(
        paylake, ["--home", str(settings.home), "ledger", "verify", *options]
    )


def test_the_proof_counts_what_it_checked(world):
    world.do("payment")
    world.close()
    done = verify(world.settings, "--if-present", "--json")
    assert done.exit_code == 0 and '"closed_dates": 1' in done.output


def test_the_proof_fails_and_names_the_broken_row(world):
    world.do("payment", transaction_id="P")
    world.close()
    _edit(world, "update entry set content = '{}' where business_key = 'P'")
    done = verify(world.settings, "--if-present")
    assert isinstance(done.exception, NotVerified) and done.exception.exit_code == 16
    assert "first broken row: entry " in done.exception.what


def test_a_home_without_a_ledger_has_nothing_to_prove(settings):
    assert verify(settings, "--if-present").exit_code == 0
    assert isinstance(verify(settings).exception, PermanentFailure)


@pytest.mark.parametrize("left", ["heads", "database"])
def test_a_ledger_that_lost_a_part_is_no_home_without_one(world, left):
    world.do("payment")
    world.close()
    world.ledger.close()
    if left == "heads":
        ledger_path(world.settings).unlink()
    else:
        shutil.rmtree(head_paths(world.settings.path("ledger", "heads"), str(DAY))[0].parent)
    failed = verify(world.settings, "--if-present").exception
    world.ledger.close = lambda: None
    assert isinstance(failed, PermanentFailure | NotVerified)
