"""Ten thousand commands at once: answered by name, nothing posted; the client sends parts."""

from __future__ import annotations

import pytest

from ledger.client import LedgerClient
from ledger.entrypoints.operations import verify
from tests.ledger.test_client import Watched
from tests.ledger.test_http import http, token

__all__ = ["http", "token"]
MANY = 10_000


@pytest.mark.parametrize("path", ["/v1/batches", "/v1/dry-runs"])
@pytest.mark.parametrize(("kind", "status", "reason"), [
    ("empty", 422, "batch_too_large"), ("whole", 413, "body_too_large"),
])
def test_ten_thousand_commands_are_refused_by_name(http, world, path, kind, status, reason):
    head = world.ledger.head.sequence
    commands = [
        {} if kind == "empty" else {**world.command("payment"), "metadata": {"note": "n" * 150}}
        for _ in range(MANY)
    ]
    answer = http.post(path, json={"commands": commands})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (status, reason)
    assert world.ledger.head.sequence == head


def test_ten_thousand_accounts_are_refused_by_name(http):
    account = {"account_code": "1001", "party_id": None, "currency_code": "CNY"}
    answer = http.post("/v1/accounts", json={"accounts": [account] * MANY})
    assert (answer.status_code, answer.json()["error"]["reason"]) == (422, "batch_too_large")


def test_the_client_sends_them_in_parts(http, world, settings, token):
    client = LedgerClient("http://testserver", token, transport=Unwatched(http))
    results = client.batch([world.command("payment") for _ in range(MANY)])
    assert [r["status"] for r in results] == ["posted"] * MANY
    assert len({r["sequence"] for r in results}) == MANY
    assert verify(settings).journals == MANY


class Unwatched(Watched):
    """Without holding each of ten thousand commands against the document."""

    def fits(self, value, schema) -> None:
        pass
