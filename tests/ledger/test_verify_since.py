"""`verify --since` a head: what follows it, its digests and the signatures of whoever signed."""

from __future__ import annotations

import json

import orjson
import pytest

from ledger.entrypoints.operations import verify, verify_since
from paylake.crypto import PrivateKey
from paylake.errors import NotVerified
from tests.ledger.conftest import ANN, DAY
from tests.ledger.rules.words import on
from tests.ledger.test_http import Signed, client, http, token
from tests.ledger.test_verify import _edit, _forge

__all__ = ["client", "http", "token"]
HEAD = DAY.isoformat()


class Since:
    """A caller C1 whose key changes after the head, and a command that waits over it."""

    def __init__(self, world, http) -> None:
        self.world, self.http = world, http
        self.keys = [PrivateKey.generate(), PrivateKey.generate()]
        self.register(self.keys[0])
        waits = world.send("party", ANN, party_id="M9", party_kind="merchant")
        world.close()
        self.when = on(world, 1)
        self.pay("P1", self.keys[0])
        self.register(self.keys[1], **self.when)
        self.pay("P2", self.keys[1])
        world.approve(waits["sequence"], **self.when)

    def register(self, key: PrivateKey, **when) -> None:
        world = self.world
        waits = world.send(
            "caller", ANN, caller_id="C1", party_id="M1", on_behalf=[], enabled=True,
            public_key=key.public.point, rates={"transaction": 1000}, rails=["unionpay"], **when,
        )
        assert world.approve(waits["sequence"], **when)["status"] == "posted"

    def pay(self, name: str, key: PrivateKey) -> None:
        payment = self.world.command("payment", transaction_id=name, **self.when)
        body = orjson.dumps(self.world.of("C1", payment))
        answer = Signed(self.http, "caller:C1", key).send("POST", "/v1/commands", body)
        assert answer.status_code == 201, answer.text

    def broken(self) -> str:
        with pytest.raises(NotVerified) as caught:
            verify_since(self.world.settings, HEAD)
        assert caught.value.exit_code == 16
        return caught.value.what.partition("first broken row: ")[2]

    def entry(self, where: str) -> str:
        store = self.world.ledger.store
        row = store.db.execute(f"select sequence from entry where {where}").fetchone()
        return f"entry {row[0]}: "


@pytest.fixture
def since(http, world) -> Since:
    return Since(world, http)


def test_what_follows_a_head_verifies_with_the_keys_of_its_time(since, settings):
    found = verify_since(settings, HEAD)
    assert (found["requests"], found["approvals"], found["uncovered_requests"]) == (2, 2, 0)
    assert found["entries"] == 5 and verify(settings).requests == 2


def test_a_payment_nobody_signed_is_named_though_the_chain_is_recomputed(since):
    """Its amount and its chain are re-written, but not the caller's signature."""
    row = since.entry("business_key = 'C1.P1'")
    _forge(since.world, "update entry set evidence = json_set(evidence, '$.digest', "
           f"'{'00' * 32}') where business_key = 'C1.P1'")
    assert since.broken() == row + "the signature of caller:C1 over its request does not verify"


def test_a_signature_by_a_key_that_the_caller_never_had_is_named(since):
    other = PrivateKey.generate().public.point
    _forge(since.world, f"update entry set evidence = json_set(evidence, '$.public_key', '{other}')"
           " where business_key = 'C1.P2'")
    assert since.broken().endswith("its request was signed with a key that caller:C1 never had")


@pytest.mark.parametrize(("change", "reason"), [
    ("approval = json_set(approval, '$.signature', '3006020101020101')",
     "the signature of ben does not verify"),
    ("approval = json_set(approval, '$.maker', 'operator:ben')",
     "its approval names another maker"),
    ("approval = json_set(approval, '$.pending', 1)", "its approval names what is not there"),
    ("content = json_set(content, '$.party_id', 'M8')", "it is not what was approved"),
    ("approval = '[]'", "one of its values is not of its form (TypeError)"),
])
def test_an_approval_that_the_checker_did_not_sign_is_named(since, change, reason):
    row = since.entry("type = 'party' and approval like '%ben%' and content like '%M9%'")
    _forge(since.world, f"update entry set {change} where sequence = {row.split()[1][:-1]}")
    assert since.broken() == row + reason


def test_an_edited_row_is_named_by_its_digest_first(since):
    row = since.entry("business_key = 'C1.P2'")
    _edit(since.world, "update entry set content = json_set(content, '$.amount_minor', 1) "
          "where business_key = 'C1.P2'")
    assert since.broken().startswith(row + "its digest")


def test_a_session_after_the_head_is_checked(since, settings, client):
    from ledger.client import Signer

    caller = client.as_signer(Signer("caller:C1", since.keys[1]))
    session = caller.session()
    session.command(since.world.of("C1", since.world.command("payment", **since.when)))
    assert verify_since(settings, HEAD)["uncovered_requests"] == 1
    session.cover()
    assert verify_since(settings, HEAD)["uncovered_requests"] == 0
    row = since.entry("type = 'session_cover'")
    _forge(since.world, "update entry set content = json_set(content, '$.signature', "
           "'3006020101020101') where type = 'session_cover'")
    assert since.broken() == row + "the signature of caller:C1 over its session does not verify"


def test_the_command_line_says_what_it_checked(since, settings):
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "ledger", "verify", "--home", str(settings.home), "--since", HEAD],
        capture_output=True, text=True, check=True,
    )
    assert json.loads(done.stdout)["requests"] == 2
