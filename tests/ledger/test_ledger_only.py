"""What the ledger alone records is taken from nobody: what the service has asked before it records
such an entry is not asked again of what is posted."""

from __future__ import annotations

import json

import orjson
import pytest

from ledger.adapters.tokens import Tokens
from ledger.client.signers import SessionSigner
from ledger.domain.actors import LEDGERS_OWN, RECORDED
from ledger.domain.chain import sm3
from ledger.entrypoints.operations import verify
from ledger.sessions import CallerHalf
from paylake.crypto import PrivateKey
from paylake.errors import EnvironmentFault
from tests.ledger.conftest import ANN, DAY, SYSTEM, at
from tests.ledger.test_http import Signed, ann, http, token
from tests.ledger.wire import wire

__all__ = ["ann", "http", "token", "wire"]

OWN = {
    "session_cover": {
        "idempotency_key": "cover-S-1-1", "session_id": "S-1", "first_number": 1,
        "digests": ["00" * 32], "signature": "ab" * 70,
    },
    "session_open": {"idempotency_key": "C1.S", "session_id": "C1.S", "caller_id": "C1"},
    "foreign_read": {"idempotency_key": "foreign-1", "interface": "holds", "asked": "M2"},
    "sensitive_read": {
        "idempotency_key": "read-1", "interface": "destination", "asked": "S-M1",
        "module": "destinations",
    },
    "hold_expiry": {"idempotency_key": "C1.E", "hold_id": "H"},
    "reconciliation": {"idempotency_key": "C1.R"},
}


def own(type_: str, **values: object) -> dict:
    return {"type": type_, "occurred_at": at(DAY, "10:00:00"), **OWN[type_], **values}


def test_these_are_all(world):
    modules = {type_: of.module for type_, of in world.ledger.operations.by_type.items()}
    assert {type_ for type_, module in modules.items() if module in LEDGERS_OWN} == set(OWN)
    assert {"system", *RECORDED} == LEDGERS_OWN


@pytest.fixture
def caller(http, world):
    key = PrivateKey.generate()
    world.approved("caller", caller_id="C1", party_id="M1", on_behalf=[], enabled=True,
                   public_key=key.public.point, rates={"transaction": 1000, "data": 1000,
                                                       "risk": 1000}, rails=["unionpay"])
    return Signed(http, "caller:C1", key)


@pytest.fixture
def senders(http, ann, caller, token):
    """Ways to post a body to a path: a token, a person, a caller, a caller in a session."""
    half = CallerHalf()
    opened = caller.send("POST", "/v1/sessions", orjson.dumps({"key_half": half.public})).json()
    session = Signed(http, "caller:C1", caller.signer.key)
    session.signer = SessionSigner(
        opened["session_id"], half.key(opened["session_id"], opened["sealed_key"]), 10**6
    )
    bearer = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    return opened["session_id"], {
        "token": lambda path, body: http.post(path, content=body, headers=bearer),
        **{name: lambda path, body, by=by: by.send("POST", path, body)
           for name, by in (("person", ann), ("caller", caller), ("session", session))},
    }


def test_d2_17_nobody_sends_what_the_ledger_records(world, senders, settings):
    """Alone, in a batch, linked, in a trial; and nothing is left of it."""
    session_id, ways = senders
    half = {**OWN["session_cover"], "session_id": session_id}
    before = world.ledger.head.sequence
    for way, post in ways.items():
        for type_ in OWN:
            command = own(type_, **(half if type_ == "session_cover" else {}))
            answer = post("/v1/commands", orjson.dumps(command))
            said = answer.json()
            assert (answer.status_code, said.get("reason"), said.get("field")) == (
                403, "ledger_only", "type"
            ), (way, said)
            assert type_ in said["detail"]
            for path in ("/v1/batches", "/v1/dry-runs"):
                answer = post(path, orjson.dumps({"commands": [command]}))
                assert [r["reason"] for r in answer.json()["results"]] == ["ledger_only"], way
    assert world.ledger.head.sequence == before
    assert verify(settings).broken is None


def test_a_group_with_one_of_them_posts_nothing(world, senders):
    session_id, ways = senders
    for number, (way, post) in enumerate(ways.items()):
        if way == "person":
            continue
        payment = world.of("C1", world.command("payment", linked=True))
        cover = own("session_cover", session_id=session_id, idempotency_key=f"cover-{number}")
        answer = post("/v1/batches", orjson.dumps({"commands": [payment, cover]}))
        assert [r["reason"] for r in answer.json()["results"]] == ["linked_failed", "ledger_only"]


def test_a_single_command_past_the_framework_is_none_of_them_either(wire):
    _, said = wire.ask(*wire.request(orjson.dumps(own("session_cover"))))
    assert len(wire.direct) == 1 and orjson.loads(said)["reason"] == "ledger_only"


def test_a_sender_within_the_process_sends_none_of_them(world):
    for actor in (SYSTEM, ANN):
        assert world.ledger.apply([own("foreign_read")], actor)[0]["reason"] == "ledger_only"


def test_the_ledgers_name_is_no_tokens(settings):
    """Its entries would say that the ledger made them."""
    settings.path("keys", "ledger_tokens.json").write_text(json.dumps(
        {"ledger": {"sm3": sm3(b"r").hex(), "rights": ["post"]}}
    ))
    with pytest.raises(EnvironmentFault, match="the ledger's own name"):
        Tokens.load(settings)
