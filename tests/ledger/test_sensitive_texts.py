"""`metadata` and `reason` stand in the log in clear: no number of a person is in them, and honest
numbers of orders are not refused for looking like one."""

from __future__ import annotations

import random
from datetime import date, timedelta

import pytest

from ledger.domain.sensitive_texts import in_metadata, in_text
from tests.ledger.conftest import ANN
from tests.ledger.rules.words import CNY
from tests.ledger.test_sensitive_details import CARD, IDENTITY, MOBILE

#: Numbers of the tests: of UnionPay, Visa, Mastercard, American Express.
CARDS = (CARD, "4111111111111111", "5555555555554444", "378282246310005", "6222 0212 3456 7890 128")
METADATA = [
    ({"phone": "x"}, "phone", "phone"), ({"contactName": "张三"}, "contactName", "name"),
    ({"card_no": "1"}, "card_no", "card"), ({"id_card_no": 1}, "id_card_no", "document"),
    ({"payee_account": "x"}, "payee_account", "account"),
    ({"order_phone": 7}, "order_phone", "phone"),
    ({"note": MOBILE}, "note", "phone"), ({"member_id": int(MOBILE)}, "member_id", "phone"),
    ({"note": f"+86 {MOBILE}"}, "note", "phone"),
    ({"a": 1, "note": "138 0013 8000"}, "note", "phone"),
    ({"note": "１３８００１３８０００"}, "note", "phone"),
    ({"id": IDENTITY.lower()}, "id", "document"),
    ({"order_no": IDENTITY}, "order_no", "document"),
    *(({"note": f"paid by {card}"}, "note", "card") for card in CARDS),
    ({"remark": f"客户{MOBILE}来电"}, "remark", "phone"),
]
REASONS = [
    (f"the customer asked by {MOBILE}", "phone"), (f"身份证{IDENTITY}核对无误", "document"),
    (f"order of card {CARD} paid twice", "card"), ("card no. 4111-1111-1111-1111", "card"),
    ("card no. 4111 1111 1111 1111", "card"), (f"order {CARD} paid twice", None),
    (f"订单号{CARD}重复入账", None), (f"transaction no. {MOBILE}: booked twice", None),
    (f"ORD-{CARD} paid twice", None), ("incident 20260912000017", None),
    ("agreed on 2026-09-12 10:11:12 with the bank", None), ("paid twice", None),
]
HONEST = [
    {"order": "20260912101112000001"}, {"order_no": CARD}, {"trace_no": MOBILE},
    {"device_id": CARD},
    {"outTradeNo": "4200001234202609121234567890"}, {"card_token": "tok_1"}, {"card_type": "debit"},
    {"card_order_no": "17"}, {"amount_minor": 15_000_000_000}, {"paid_at": 13_800_138_000},
    {"product_name": "tea"}, {"store_name": "1"}, {"drill_number": "DR-2026-1"}, {"id": "A-1"},
    {"request_id": "550e8400-e29b-41d4-a716-446655440000"}, {"order": "310115202609120015"},
    {"imei": "861234567890123"}, {"phone_verified": "yes"}, {"identity_check": "passed"},
]


@pytest.mark.parametrize(("metadata", "where", "kind"), METADATA)
def test_d1_23_a_persons_number_in_metadata_is_refused_with_its_place(world, metadata, where, kind):
    """Never what it is, and nothing of it is kept."""
    result = world.do("payment", metadata=metadata)
    assert (result["reason"], result["field"]) == ("invalid_field", "metadata")
    assert result["detail"].startswith(f"metadata.{where} holds a sensitive {kind}, ")
    assert world.ledger.store.find_by_key([f"k{world.number}"]) == {}
    assert all(value not in result["detail"] for value in (CARD, MOBILE, IDENTITY))


@pytest.mark.parametrize(("reason", "kind"), REASONS)
def test_d1_23_a_persons_number_in_a_reason_is_refused(world, reason, kind):
    result = world.send("account_status", ANN, account_id="2101:U1", status="frozen",
                        reason=reason, **CNY)
    if kind is None:
        assert result["status"] == "posted", result
        return
    assert (result["reason"], result["field"]) == ("invalid_field", "reason")
    assert result["detail"].startswith(f"reason holds a sensitive {kind}, ")
    assert world.ledger.store.find_by_key([f"k{world.number}"]) == {}


@pytest.mark.parametrize("metadata", HONEST)
def test_what_is_no_persons_number_is_kept(world, metadata):
    result = world.do("payment", metadata=metadata)
    assert result["status"] == "posted", result


def numbers(count, seed=20260912):
    """Numbers of orders and references as senders make them, one form after the other."""
    draw = random.Random(seed)

    def digits(n):
        return "".join(draw.choices("0123456789", k=n))

    def day():
        return f"{date(2021, 1, 1) + timedelta(draw.randrange(2_200)):%Y%m%d}"

    def region():
        return draw.choice(("110105", "310115", "440305", "510104", "898310"))

    forms = (
        lambda: day() + f"{draw.randrange(24):02}5959" + digits(6), lambda: day() + digits(8),
        lambda: digits(11), lambda: digits(12), lambda: digits(16), lambda: digits(18),
        lambda: digits(19), lambda: "4200" + digits(6) + day() + digits(10),
        lambda: day() + "22001" + digits(15), lambda: region() + day() + digits(4),
        lambda: f"ORD-{digits(16)}", lambda: f"{day()}-{digits(6)}", lambda: f"T{digits(11)}",
        lambda: "6" + digits(17),
    )
    for number in range(count):
        yield forms[number % len(forms)]()


@pytest.mark.parametrize("name", ["order", "outTradeNo", "trace_number"])
def test_numbers_of_orders_under_their_names_are_hardly_ever_refused(name):
    """Of a hundred thousand at most those that have the whole form of an identity number of before
    2012: one or none."""
    refused = sum(in_metadata({name: number}) is not None for number in numbers(100_000))
    assert refused <= 3


def test_a_sentence_that_says_what_its_number_is_is_hardly_ever_refused():
    refused = sum(in_text(f"order {number} paid twice") is not None for number in numbers(100_000))
    assert refused <= 3


def test_a_number_of_which_nobody_says_what_it_is_is_refused_by_its_form_alone():
    """One in eighty of these; the check of `details` would refuse one in four."""
    refused = sum(in_metadata({"note": number}) is not None for number in numbers(100_000))
    assert 500 < refused < 2_000
