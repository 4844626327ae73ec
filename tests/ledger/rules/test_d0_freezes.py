"""D0.17: a freeze or stop between an instruction and the files for the banks."""

from __future__ import annotations

import json

import pytest

from ledger.adapters.instructions import write_instructions
from tests.ledger.conftest import ANN, DAY
from tests.ledger.rules.test_d0_books import _bank_managed, _said
from tests.ledger.rules.words import CNY, days, on, posted, run

FROZEN = {
    "hold": ("hold", {"hold_id": "H", "hold_kind": "authority", "case_number": "O", **CNY}),
    "status": ("account_status", {"status": "frozen", "reason": "x", **CNY}),
    "account": ("stop", {"stop_id": "S", "stop_scope": "account"}),
    "merchant": ("stop", {"stop_id": "S", "stop_scope": "merchant"}),
    "rail": ("stop", {"stop_id": "S", "stop_scope": "rail", "stop_target": "bank"}),
    "all": ("stop", {"stop_id": "S", "stop_scope": "all"}),
}
ENDED = {
    "hold": ("hold_release", {"result_id": "R", "hold_id": "H", "case_number": "O"}),
    "status": ("account_status", {"status": "normal", "reason": "x", **CNY}),
    "stop": ("stop_lift", {"stop_id": "S", "reason": "x"}),
}


@pytest.mark.parametrize("lifted", [False, True])
@pytest.mark.parametrize("account", ["9201:MB", "2101:U1"])
@pytest.mark.parametrize("name", FROZEN)
def test_d0_17_what_was_frozen_or_stopped_since_is_not_in_the_files_for_the_banks(
    world, name, account, lifted
):
    """They are written after the close: the money, of a merchant or of a user's withdrawal, has
    not left. The bank was told nothing, so the payout failed, and is due again later."""
    number = _bank_managed(world)
    posted(world.do("top_up", amount_minor=20_000))
    posted(world.do("withdrawal", withdrawal_id="W", amount_minor=5_000, fee_minor=25))
    mine = {"9201:MB": number, "2101:U1": "W"}
    type_, values = FROZEN[name]
    given = dict(values)
    if type_ == "stop":
        given.update(stop_mode="everything", reason="x")
    if name == "merchant":
        given["stop_target"] = account.partition(":")[2]
    elif name == "account":
        given["stop_target"] = account
    elif name in ("hold", "status"):
        given["account_id"] = account
    posted(world.send(type_, **given))
    if lifted:
        type_, values = ENDED.get(name, ENDED["stop"])
        world.approved(type_, **values, **(
            {"account_id": account} if name == "status" else {}))
    world.close()
    files = write_instructions(world.settings, DAY)
    wide = name in ("rail", "all")
    kept = set() if lifted else (set(mine.values()) if wide else {mine[account]})
    assert sum(file.rows for file in files) == 2 - len(kept)
    told = [json.loads(file.path.with_suffix(".control.json").read_bytes()) for file in files]
    assert {one for control in told for one in control.get("kept_back", ())} == kept


def test_d0_17_what_was_kept_back_is_answered_as_failed_and_is_due_again(world):
    number = _bank_managed(world)
    posted(world.send("hold", account_id="9201:MB", **FROZEN["hold"][1]))
    world.close()
    when = on(world, 1)
    waits = world.send("hold_release", ANN, **ENDED["hold"][1], **when)
    posted(world.approve(waits["sequence"], **when))
    assert run(world, 1).amounts == {}  # it is instructed
    posted(_said(world, number, "failed", **when))
    assert run(world, 1).amounts == {"settlement": 3_000}
    world.close(days(1))
    assert [file.rows for file in write_instructions(world.settings, days(1))] == [1, 0, 0]


def test_d0_17_a_stop_of_new_business_keeps_nothing_back(world):
    """What is under way goes on."""
    _bank_managed(world)
    posted(world.send("stop", stop_id="S", stop_scope="all", stop_mode="new_business", reason="x"))
    world.close()
    assert [file.rows for file in write_instructions(world.settings, DAY)] == [1, 0, 0]
