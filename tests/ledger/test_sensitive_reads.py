"""Who may read what stands in the log as a commitment: a person who may review it; each read and
each try is recorded."""

from __future__ import annotations

import orjson
import pytest

from ledger.client import LedgerRefusal, Signer
from ledger.entrypoints.operations import verify
from tests.ledger.conftest import ANN, BEN, DAY, SYSTEM
from tests.ledger.test_http import Signed, client, http, token
from tests.ledger.test_own_reads import make_caller

__all__ = ["client", "http", "token"]

NUMBER, NAME = "6222021234567890128", "鑫源商贸"


@pytest.fixture
def people(world, http):
    return {name: Signed(http, f"operator:{name}", key) for name, key in world.keys.items()}


def reads(world) -> list[tuple]:
    return [
        (row[7], row[4], content["interface"], content["asked"])
        for row in world.ledger.store.entries(1) if row[2] == "sensitive_read"
        for content in [orjson.loads(row[12])]
    ]


def entered(world) -> int:
    """A bound account that waits for its checker; its entry."""
    waits = world.send(
        "destination", ANN, destination_id="NEW", party_id="M1", bound_account=NUMBER,
        bound_name=NAME, bank_code="B1",
    )
    assert waits["status"] == "pending"
    return waits["sequence"]


def without_right(world) -> None:
    """Nobody may review bound accounts any more."""
    world.approved("right", group_id="staff", module="destinations", duty="review", allowed=False)


def test_d0_42_a_checker_sees_the_account_that_he_approves(people, world, settings):
    """And only then signs for it; the read stands in the log before his approval."""
    sequence = entered(world)
    answer = people["ben"].send("GET", f"/v1/pending/{sequence}/values")
    assert (answer.status_code, answer.json()) == (200, {
        "sequence": sequence, "type": "destination",
        "values": {"bound_account": NUMBER, "bound_name": NAME},
    })
    assert answer.headers["cache-control"] == "no-store"
    assert reads(world) == [("operator:ben", "posted", "waiting", str(sequence))]
    assert world.approve(sequence)["status"] == "posted"
    assert verify(settings).requests == 1
    log = b"".join(orjson.dumps(row[:16]) for row in world.ledger.store.entries(1))
    assert NUMBER.encode() not in log and NAME.encode() not in log


def test_d0_42_a_person_with_the_right_reads_a_bound_account(people, world):
    """Recorded with the signed request; nothing is booked."""
    world.approve(entered(world))
    before = world.balances()
    answer = people["ann"].send("GET", "/v1/destinations/NEW")
    assert (answer.status_code, answer.json()) == (200, {
        "destination_id": "NEW", "party_id": "M1", "bank_code": "B1", "bound_account": NUMBER,
        "bound_name": NAME,
    })
    assert reads(world) == [("operator:ann", "posted", "destination", "NEW")]
    (row,) = [row for row in world.ledger.store.entries(1) if row[2] == "sensitive_read"]
    assert orjson.loads(row[8])["path"] == "/v1/destinations/NEW"
    assert (row[13], world.balances()) == ("[]", before)


def test_d2_17_a_try_without_the_right_is_refused_and_recorded(people, world):
    """Of a bound account and of what waits."""
    sequence = entered(world)
    without_right(world)
    for path in ("/v1/destinations/S-M1", f"/v1/pending/{sequence}/values"):
        answer = people["ann"].send("GET", path)
        assert (answer.status_code, answer.json()["error"]["reason"]) == (403, "no_right"), path
        assert b"account of M1" not in answer.content
    assert [row[:2] for row in reads(world)] == [("operator:ann", "refused")] * 2


def test_d2_17_systems_and_callers_read_no_sensitive_values(world, http, client, people):
    """A token does not, whatever its rights; nor does a merchant, of its own account."""
    caller = make_caller(world, http, "C", "M1")
    sequence = entered(world)
    for path in ("/v1/destinations/S-M1", f"/v1/pending/{sequence}/values"):
        assert http.get(path).json()["error"]["reason"] == "forbidden"
        assert caller.send("GET", path).json()["error"]["reason"] == "forbidden"
    with pytest.raises(LedgerRefusal, match="right to reveal"):
        client.destination("S-M1")
    assert reads(world) == []


@pytest.mark.parametrize(("path", "status", "reason"), [
    ("/v1/destinations/NONE", 409, "destination_unknown"),
    ("/v1/destinations/%E5%BC%A0%E4%B8%89", 404, "destination_unknown"),
    ("/v1/pending/999999/values", 404, "pending_unknown"),
    ("/v1/pending/x/values", 404, "pending_unknown"),
    ("/v1/pending/0/values", 404, "pending_unknown"),
])
def test_what_is_not_there_is_named(people, path, status, reason):
    answer = people["ben"].send("GET", path)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (status, reason)


def test_what_has_nothing_sensitive_shows_nothing(people, world):
    waits = world.send(
        "right", ANN, group_id="staff", module="limits", duty="review", allowed=False
    )
    answer = people["ben"].send("GET", f"/v1/pending/{waits['sequence']}/values")
    assert answer.json()["values"] == {}


def test_the_client_reads_them_for_a_person(world, client):
    sequence = entered(world)
    person = client.as_signer(Signer("operator:ben", world.keys["ben"]))
    assert person.pending_values(sequence)["bound_account"] == NUMBER
    assert person.destination("S-M1")["bound_account"] == "account of M1"


def test_the_record_cannot_be_had_by_a_system(world):
    """The entry says a person's name or is refused."""
    asked = {"interface": "destination", "asked": "S-M1", "module": "destinations"}

    def record(actor, **values):
        return world.ledger.record(world._keyed("sensitive_read", {**asked, **values}), actor)

    assert record(SYSTEM)["reason"] == "no_right"
    assert record(BEN)["status"] == "posted"
    assert record(BEN, interface="holds")["reason"] == "register_differs"
    other = record(BEN, asked_by="operator:ann")
    assert (other["reason"], other["field"]) == ("register_differs", "asked_by")


def test_d2_17_the_files_for_the_banks_are_recorded_too(world, http):
    """Before they are written, of a closed date alone."""
    path = f"/v1/days/{DAY}/instructions"
    assert http.post(path).json()["error"]["reason"] == "date_open"
    assert reads(world) == []
    world.close()
    assert http.post(path).status_code == 200
    assert reads(world) == [("system:ledger", "posted", "instructions", DAY.isoformat())]
    (row,) = [row for row in world.ledger.store.entries(1) if row[2] == "sensitive_read"]
    assert orjson.loads(row[12])["asked_by"] == "system:demo"  # whose token it was
