"""What is on file beside the fields: nothing sensitive in clear, that as commitments."""

from __future__ import annotations

import pytest

from ledger.domain.sensitive import looks, named
from tests.ledger.conftest import ANN
from tests.ledger.test_http import Signed, client, http, token

__all__ = ["client", "http", "token"]

CARD, IDENTITY, MOBILE = "6222021234567890128", "11010519491231002X", "13800138000"


@pytest.mark.parametrize(("details", "where"), [
    ({"account_name": "张三"}, "details.account_name"),
    ({"legalRepresentative": "张三"}, "details.legalRepresentative"),
    ({"name": "张三"}, "details.name"),
    ({"户名": "张三"}, "details.户名"),
    ({"bank": {"account_number": "12"}}, "details.bank.account_number"),
    ({"SETTLEMENT_ACCOUNT": "x"}, "details.SETTLEMENT_ACCOUNT"),
    ({"id_card_no": "x"}, "details.id_card_no"),
    ({"contacts": [{"phone": "x"}]}, "details.contacts[0].phone"),
    ({"note": f"pay to {CARD}"}, "details.note"),
    ({"note": "6222 0212 3456 7890 128"}, "details.note"),
    ({"note": 4111111111111111 // 10}, None),
    ({"note": f"证件 {IDENTITY}"}, "details.note"),
    ({"note": IDENTITY.lower()}, "details.note"),
    ({"note": [["call", MOBILE]]}, "details.note[0][1]"),
    ({"note": "+86 138-0013-8000"}, "details.note"),
    ({"note": "１３８００１３８０００"}, "details.note"),
    ({"note": "138–0013—8000"}, "details.note"),
    ({"note": "١٣٨٠٠١٣٨٠٠٠"}, "details.note"),
    ({"note": "１１０１０５１９４９１２３１００２Ｘ"}, "details.note"),
    ({"ｐｈｏｎｅ": "x"}, "details.ｐｈｏｎｅ"),
    ({f"k {CARD}": "x"}, "details"),
])
def test_sensitive_content_is_refused_by_name_or_form(world, details, where):
    """The refusal says where it stands, never what it is; nothing of it is kept."""
    result = world.send("party", ANN, party_id="M3", party_kind="merchant", details=details)
    if where is None:
        assert result["status"] == "pending"
        return
    assert (result["reason"], result["field"]) == ("invalid_field", "details")
    assert result["detail"].startswith(f"{where} holds a sensitive ")
    assert CARD not in str(result) and MOBILE not in str(result)
    assert world.ledger.store.find_by_key([f"k{world.number}"]) == {}


@pytest.mark.parametrize("details", [
    {"merchant_name": "商户三", "opening_bank": "ICBC", "trade": "餐饮", "capital_minor": 10**13},
    {"account_type": "basic", "card_scheme": "unionpay", "document_type": "licence"},
    {"licence": "91310000MA1FL0000X", "merchant_number": "898310148160568", "since": "20260912"},
    {"name_checked": True, "phone": None, "order": "20260912101112000001"[:16]},
])
def test_what_is_not_sensitive_is_kept_as_it_is(world, details):
    waits = world.send("party", ANN, party_id="M3", party_kind="merchant", details=details)
    assert waits["status"] == "pending", waits
    world.approve(waits["sequence"])
    assert world.ledger.state.get("party", "M3")["details"] == dict(sorted(details.items()))


def test_forms_and_names():
    assert [looks(text) for text in (CARD, IDENTITY, MOBILE, "1" * 25, "6222021234567890129")] == [
        "card", "document", "phone", "account", None,
    ]
    assert looks("110105194912310021") is None and looks("110105194913310028") is None
    assert [named(key) for key in ("mobile", "bank_name", "accounting_period", "ownerName")] == [
        "phone", None, None, "name",
    ]


def test_sensitive_details_are_compared_though_only_commitments_are_kept(world, http):
    """Sent again they are the same command; a checker reads them; another text is another."""
    given = {"account_name": "张三", "account_number": CARD}
    command = world._keyed("party", {
        "party_id": "M3", "party_kind": "merchant", "sensitive_details": given,
    })
    first = world.ledger.apply([command], ANN)[0]
    assert first["status"] == "pending"
    assert world.ledger.apply([command], ANN)[0] == {**first, "replayed": True}
    other = {**command, "sensitive_details": {**given, "account_name": "李四"}}
    again = world.ledger.apply([other], ANN)[0]
    assert (again["reason"], again["field"]) == ("idempotency_key_reused", "sensitive_details")
    ben = Signed(http, "operator:ben", world.keys["ben"])
    answer = ben.send("GET", f"/v1/pending/{first['sequence']}/values").json()
    assert answer["values"] == {"sensitive_details": given}


@pytest.mark.parametrize("given", [
    {}, {"a": 1}, {"a": {"b": "c"}}, {"": "x"}, {"a": ""}, ["a"], "a",
    {f"k{n}": "x" for n in range(33)},
])
def test_sensitive_details_are_names_and_texts(world, given):
    result = world.send(
        "party", ANN, party_id="M3", party_kind="merchant", sensitive_details=given
    )
    assert (result["reason"], result["field"]) == ("invalid_field", "sensitive_details")
