"""D0.24, D0.37: the fees that an operation itself takes are those of the contract, whoever sends
it; what a contract does not name is said by the institution's own systems, by nobody else."""

from __future__ import annotations

import pytest

from ledger.domain.actors import Actor
from ledger.entrypoints.operations import verify
from paylake.errors import NotVerified
from tests.ledger.conftest import ANN, DAY, SYSTEM
from tests.ledger.rules.words import CNY, PLAIN, posted, refused

MERCHANT = Actor("caller", "C1")
PROVIDER = Actor("caller", "PV")
AMOUNT = 1_250
#: Operations that take a fee of the contract: the field, and the item that prices it.
FEES = {
    "collection": ("acquirer_fee_minor", "payment"),
    "agreement_payment": ("acquirer_fee_minor", "payment"),
    "pre_authorisation_completion": ("acquirer_fee_minor", "payment"),
    "prepaid_spend": ("acquirer_fee_minor", "payment"),
    "prepaid_completion": ("acquirer_fee_minor", "payment"),
    "merchant_spend": ("fee_minor", "service"),
    "merchant_spend_order": ("fee_minor", "service"),
    "payout_on_behalf": ("fee_minor", "service"),
}
DATA = ("collection", "agreement_payment", "pre_authorisation_completion", "prepaid_spend",
        "prepaid_completion", "payout_on_behalf", "transfer", "withdrawal", "top_up", "payment")


def _scene(world, **contract):
    """A merchant with members, a card and a balance; its own caller and a provider's, which may
    report of the rails, too."""
    world.merchant("TM", **contract)
    for name, kind in (("TU1", "user"), ("TU2", "user"), ("TK", "card")):
        world.register("party", party_id=name, party_kind=kind, owner_id="TM",
                       identity_check="ID")
    world.open([("2201", "TM"), ("2211", "TM"), ("1204", "TM"), ("2101", "TU1"),
                ("2101", "TU2"), ("2501", "TK")])
    world.approved("party", party_id="PR", party_kind="provider")
    for name, party in (("C1", "TM"), ("PV", "PR")):
        world.approved("caller", caller_id=name, party_id=party, on_behalf=["TM"], rates={},
                       public_key=name.encode().hex().ljust(128, "0"), enabled=True,
                       rails=["unionpay", "bank"])
    posted(world.send("top_up", top_up_id="IN", user_id="TU1", amount_minor=100_000, **CNY))
    posted(world.send("prepaid_load", transaction_id="CARD", card_id="TK", amount_minor=100_000,
                      **CNY))
    posted(world.send("receipt", receipt_id="R", amount_minor=100_000, **CNY))
    world.approved("merchant_top_up", application_id="A", merchant_id="TM", receipt_id="R",
                   amount_minor=100_000, **CNY)
    world.register("mandate", mandate_id="MD", payer_id="TU1", payee="TM", amount_minor=100_000,
                   method="signature", valid_from=DAY.isoformat(), valid_to="2026-12-31", **CNY)
    world.register("bind_account", destination_id="DT", party_id="TU1", bound_account="account",
                   bound_name="name", bank_code="ICBC")


def _send(world, type_, actor=SYSTEM, **fees):
    """One operation with everything that it needs beside its fees."""
    world.number += 1
    number, amount = f"N{world.number}", {"amount_minor": AMOUNT, **CNY}
    held = {"transaction_id": f"H{number}", "merchant_id": "TM", **amount}
    to_user, to_card = {"user_id": "TU1"}, {"card_id": "TK"}
    values = {"transaction_id": number, **amount}
    if type_ in FEES or type_ == "payment":
        values["merchant_id"] = "TM"
    if type_ in ("collection", "agreement_payment"):
        values |= {**to_user, "authorisation": "MD"}
    elif type_ == "pre_authorisation_completion":
        posted(world.send("pre_authorisation", **held, **to_user,
                          authorisation=world.authorise("TU1", "TM", AMOUNT)))
        values |= {**to_user, "original_transaction_id": f"H{number}"}
    elif type_ == "prepaid_completion":
        posted(world.send("prepaid_pre_authorisation", **held, **to_card,
                          authorisation=world.authorise("TK", "TM", AMOUNT)))
        values |= {**to_card, "original_transaction_id": f"H{number}"}
    elif type_ == "prepaid_spend":
        values |= {**to_card, "authorisation": world.authorise("TK", "TM", AMOUNT)}
    elif type_ == "payout_on_behalf":
        values |= {"user_id": "TU2"}
    elif type_ == "transfer":
        values |= {**to_user, "payee_id": "TU2",
                   "authorisation": world.authorise("TU1", "TU2", AMOUNT)}
    elif type_ == "payment":
        values |= {"channel": "unionpay", **PLAIN}
    elif type_ in ("top_up", "withdrawal"):
        del values["transaction_id"]
        values |= {f"{type_}_id": number, **to_user, "amount_minor": 10_000}
        if type_ == "withdrawal":
            values |= {"fee_minor": 50, "destination_id": "DT",
                       "authorisation": world.authorise("TU1", "DT", 10_000)}
    if type_ in FEES:
        values.setdefault(FEES[type_][0], 0)
    return world.send(type_, actor, **{**values, **fees})


@pytest.mark.parametrize("type_", FEES)
def test_d0_24_a_fee_that_the_contract_prices_is_the_contracts_whoever_sends_it(world, type_):
    """A part each time and a part of the amount: 40 and 0.6 % of 1,250, half up."""
    field, item = FEES[type_]
    _scene(world, prices={item: 40, f"{item}_ppm": 6_000})
    for actor in (SYSTEM, ANN, MERCHANT, PROVIDER):
        for wrong in (0, 47, 49):
            assert refused(_send(world, type_, actor, **{field: wrong}), "fee_differs", field)
        done = posted(_send(world, type_, actor, **{field: 48}))
        assert done["status"] == "posted"
    assert verify(world.settings).broken is None


@pytest.mark.parametrize(("prices", "fee"), [
    ({"payment": 40}, 40), ({"payment_ppm": 6_000}, 8), ({"payment": 0}, 0), ({"service": 9}, None),
])
def test_d0_24_a_price_is_each_time_or_of_the_amount_or_both(world, prices, fee):
    """Of the item alone: a price of another one says nothing."""
    _scene(world, prices=prices)
    for sent in (0, 8, 39, 40):
        result = _send(world, "collection", acquirer_fee_minor=sent)
        if fee in (None, sent):
            posted(result)
        else:
            assert refused(result, "fee_differs", "acquirer_fee_minor")


@pytest.mark.parametrize("type_", FEES)
def test_d0_37_nobody_but_the_institutions_systems_says_a_fee_that_has_no_price(world, type_):
    """A merchant chooses no fee of its own, nor does the provider on its behalf."""
    field, _ = FEES[type_]
    _scene(world)
    for actor in (MERCHANT, PROVIDER, ANN):
        assert refused(_send(world, type_, actor, **{field: 1}), "fee_not_allowed", field)
        posted(_send(world, type_, actor))
    posted(_send(world, type_, **{field: 7}))
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("type_", DATA)
def test_d0_37_nobody_but_the_institutions_systems_says_a_data_fee_without_a_rate(world, type_):
    """Where the contract has no rate its orders have no data fee, unless the institution says
    so; of a withdrawal, which may need a checker, its people too."""
    _scene(world)
    if type_ == "withdrawal":
        posted(_send(world, type_, ANN, data_fee_minor=1))
    for actor in (MERCHANT, PROVIDER) if type_ == "withdrawal" else (MERCHANT, PROVIDER, ANN):
        assert refused(_send(world, type_, actor, data_fee_minor=1), "fee_not_allowed",
                       "data_fee_minor")
        posted(_send(world, type_, actor))
    posted(_send(world, type_, data_fee_minor=7))
    assert verify(world.settings).broken is None


def test_d0_24_a_card_payments_acquirer_fee_is_the_contracts_where_it_is_priced(world):
    """Else it is as whoever reports of the rail says: two people gave the caller the rail."""
    _scene(world, prices={"payment_ppm": 6_000})
    for actor in (SYSTEM, MERCHANT):
        for wrong in (0, 7, 9):
            assert refused(_send(world, "payment", actor, acquirer_fee_minor=wrong),
                           "fee_differs", "acquirer_fee_minor")
        posted(_send(world, "payment", actor, acquirer_fee_minor=8, issuer_fee_minor=3))
    posted(world.do("payment", acquirer_fee_minor=22))  # M1 has no price
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("mode", ["bank", "self"])
def test_d0_24_memo_books_carry_no_fee_whatever_its_price(world, mode):
    """It is charged to the fee account, or billed."""
    world.merchant("TM", settlement_mode=mode, prices={"payment": 40})
    world.register("party", party_id="TU1", party_kind="user", owner_id="TM", identity_check="ID")
    world.register("mandate", mandate_id="MD", payer_id="TU1", payee="TM", amount_minor=AMOUNT,
                   method="signature", valid_from=DAY.isoformat(), valid_to="2026-12-31", **CNY)
    asked = {"merchant_id": "TM", "user_id": "TU1", "amount_minor": AMOUNT, "authorisation": "MD",
             **CNY}
    assert refused(world.send("collection", transaction_id="X", acquirer_fee_minor=40, **asked),
                   "fee_not_allowed")
    free = world.send("collection", transaction_id="Y", acquirer_fee_minor=0, **asked)
    assert free.get("reason") != "fee_differs"


@pytest.mark.usefixtures("currencies")
def test_d0_24_a_price_in_the_base_currency_is_none_in_another(world):
    """Forty fen say nothing of cents; a share does."""
    _scene(world, prices={"payment": 40, "payment_ppm": 6_000})
    world.open_in("USD")
    world.register("mandate", mandate_id="MU", payer_id="TU1", payee="TM", amount_minor=AMOUNT,
                   method="signature", valid_from=DAY.isoformat(), valid_to="2026-12-31",
                   currency_code="USD")
    for code in ("2101", "2201"):
        posted(world.send("open_account", account_code=code, currency_code="USD",
                          party_id="TU1" if code == "2101" else "TM"))
    posted(world.send("top_up", top_up_id="IU", user_id="TU1", amount_minor=9_000,
                      currency_code="USD"))
    pay = {"currency_code": "USD", "authorisation": "MU"}
    for wrong in (0, 40, 48):
        assert refused(_send(world, "collection", acquirer_fee_minor=wrong, **pay), "fee_differs")
    posted(_send(world, "collection", acquirer_fee_minor=8, **pay))


@pytest.mark.usefixtures("older_after_newer")
def test_d0_24_a_collection_of_before_with_a_fee_of_the_merchants_own_still_verifies(world):
    """Its template did not ask."""
    _scene(world)
    plan = world.ledger.operations.by_type["collection"].plan

    def trusting(v, c):
        c.actor = SYSTEM.name
        return plan(v, c)

    with world.of_before("collection", 6, plan=trusting):
        posted(_send(world, "collection", MERCHANT, acquirer_fee_minor=9))
    assert verify(world.settings).broken is None
    with world.of_before("collection", 7, plan=trusting):
        done = posted(_send(world, "collection", MERCHANT, acquirer_fee_minor=9))
    with pytest.raises(NotVerified, match=f"entry {done['sequence']} .*fee_not_allowed"):
        verify(world.settings)
