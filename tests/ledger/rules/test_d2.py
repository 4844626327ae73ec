"""D2: payment operations. Mass refusals (rule 10) are in test_breaker_and_import.py."""

from __future__ import annotations

import orjson
import pytest

from ledger.adapters.heads import read_heads
from ledger.domain.chain import GENESIS, entry_digest
from ledger.domain.operations import CLASSES
from ledger.entrypoints.operations import verify
from ledger.service.events import events
from ledger.service.faults import RequestRefused
from ledger.service.statements import Asked, statement
from ledger.service.steps import status_log
from paylake.crypto import PrivateKey
from paylake.errors import PaylakeError
from paylake.keys import Keyring
from tests.ledger.conftest import ANN, DAY, SYSTEM, at
from tests.ledger.rules.words import CNY, INTERNAL, PLAIN, days, on, posted, refused

WHOLE = {"issuer_fee_minor": 35, "network_fee_minor": 3, "acquirer_fee_minor": 22}


def _limit(world, **values):
    world.approved("limit", **{"limit_id": "L", "scene": "top_up", "account_code": "2101",
                               "valid_from": DAY.isoformat(), **CNY, **values})


def _stop(world, scope="all", target=None, mode="everything"):
    posted(world.send("stop", stop_id="S", stop_scope=scope, stop_target=target, stop_mode=mode,
                      reason="abnormal"))


def test_d2_01_way_and_channel_are_attributes_of_the_payment_and_bitcoin_is_refused(world):
    """They stand in the entry; a way that is not one of the list is no payment."""
    for way in ("online_bank", "third_party", "nfc", "qr", "digital_currency", "prepaid_card"):
        for access in ("internet", "mobile", "pos"):
            done = posted(world.do("payment", way=way, access_channel=access))
            content = orjson.loads(world.row(done)[12])
            assert (content["way"], content["access_channel"]) == (way, access)
    result = world.do("payment", way="bitcoin")
    assert (result["status"], result["reason"], result["field"]) == (
        "refused", "invalid_field", "way")
    assert refused(world.do("payment", currency_code="BTC"), "unknown_currency")


def test_d2_02_each_of_the_five_business_types_has_its_template(world):
    """Transfer; payment; mandate debit and payout; agreement payment; the prepaid card's four."""
    world.do("top_up", amount_minor=50_000)
    for name in ("collection", "agreement"):
        world.register("mandate", mandate_id=name, payer_id="U1", payee="M1", method="signature",
                       amount_minor=100, valid_from=DAY.isoformat(), valid_to=DAY.isoformat(),
                       **CNY)
    world.register("receipt", receipt_id="R", amount_minor=1_000, **CNY)
    world.approved("merchant_top_up", application_id="A", merchant_id="M1", receipt_id="R",
                   amount_minor=1_000, **CNY)
    world.register("party", party_id="K1", party_kind="card", identity_check="ID")
    world.open([("2501", "K1")])
    user, card = {"user_id": "U1"}, {"card_id": "K1"}
    to_merchant = {"merchant_id": "M1", "acquirer_fee_minor": 0}
    sent = [
        ("transfer", {**user, "payee_id": "U2", "authorisation": world.authorise("U1", "U2", 100)}),
        ("payment", {**INTERNAL, "merchant_id": "M1",
                     "authorisation": world.authorise("U1", "M1", 100)}),
        ("collection", {**user, **to_merchant, "authorisation": "collection"}),
        ("payout_on_behalf", {"merchant_id": "M1", "user_id": "U2", "fee_minor": 0}),
        ("agreement_payment", {**user, **to_merchant, "authorisation": "agreement"}),
        ("prepaid_issue", card), ("prepaid_load", card),
        ("prepaid_spend", {**card, **to_merchant,
                           "authorisation": world.authorise("K1", "M1", 100)}),
    ]
    for number, (type_, values) in enumerate(sent):
        done = world.send(type_, transaction_id=f"B{number}", amount_minor=100, **CNY, **values)
        assert posted(done)["journal_id"], type_
        assert world.row(done)[2] == type_
    back = world.do("refund", original_transaction_id="B7", amount_minor=100, **PLAIN)
    assert ("2501:K1", "C", 100, "gross", None) in world.legs(back)


def _steps(world, result):
    return [(s["step"], s["result"], s["next"])
            for s in status_log(world.ledger, result["idempotency_key"])]


def test_d2_03_the_steps_are_rows_with_time_actor_result_and_next(world):
    """Read off the append-only log."""
    world.do("top_up", amount_minor=1_000)
    reference = world.authorise("U1", "M1", 1_000)
    done = world.do("payment", amount_minor=1_000, authorisation=reference, **INTERNAL)
    assert _steps(world, done) == [
        ("initiate", "accepted", "verify"), ("verify", reference, "process"),
        ("process", done["journal_id"], "notify"), ("notify", "merchant M1", "query"),
        ("notify", "user U1", "query"),
    ]
    first = status_log(world.ledger, done["idempotency_key"])[0]
    assert (first["time"], first["actor"]) == ("2026-09-12T02:00:00Z", "system:switch")
    with pytest.raises(RequestRefused, match="key_unknown"):
        status_log(world.ledger, "nothing")


def test_d2_03_a_refusal_ends_at_its_step(world):
    """Not verified, or not to be processed: no step follows."""
    unverified = world.do("payment", authorisation="A0", **INTERNAL)
    assert _steps(world, unverified)[-1] == ("verify", "authorisation_unknown", None)
    short = world.do("payment", **INTERNAL)
    assert _steps(world, short)[-1] == ("process", "below_floor", None)


def test_d2_04_of_the_verification_result_and_reference_alone_are_kept(world):
    """A password, code or picture is no field of any operation."""
    reference = world.authorise("U1", "M1", 100)
    kept = world.ledger.state.get("authorisation", reference)
    assert set(kept) == {"payer_id", "payee", "amount_minor", "currency_code"}
    for secret in ("password", "sms_code", "biometrics", "pin"):
        result = world.send("authorise", authorisation_id="X", payer_id="U1", payee="M1",
                            amount_minor=1, method="password", **CNY, **{secret: "123456"})
        assert (result["reason"], result["field"]) == ("unknown_field", secret)
    names = {f.name for o in world.ledger.operations.by_type.values() for f in o.form.fields}
    assert not names & {"password", "sms_code", "biometrics", "pin", "code"}


def test_d2_05_money_goes_from_the_payers_to_the_payees_account(world):
    """Both in one journal."""
    world.do("top_up", amount_minor=1_000)
    done = posted(world.do("payment", amount_minor=1_000, **INTERNAL))
    assert [leg[:3] for leg in world.legs(done)] == [
        ("2101:U1", "D", 1_000), ("2201:M1", "C", 1_000)]


def _told(world, after):
    return [(e["to"], e["party_id"], e["outcome"])
            for e in events(world.ledger.store, after, 1000)["events"] if e["event"] == "result"]


def test_d2_06_user_and_merchant_are_each_told_by_one_event(world):
    """Also of a refund, whose command names neither; a page taken again gives the same keys."""
    world.do("top_up", amount_minor=1_000)
    reference = world.authorise("U1", "M1", 1_000)
    last = events(world.ledger.store, None, 1000)["next"]
    world.do("payment", transaction_id="P", amount_minor=1_000, authorisation=reference,
             **INTERNAL)
    both = [("merchant", "M1", "posted"), ("user", "U1", "posted")]
    assert _told(world, last) == both
    world.do("refund", original_transaction_id="P", amount_minor=1_000, **PLAIN)
    assert _told(world, last) == both * 2
    page = events(world.ledger.store, last, 1000)["events"]
    assert len({e["key"] for e in page}) == len(page)
    assert events(world.ledger.store, last, 1000)["events"] == page


def test_d2_07_both_may_ask_for_amount_time_and_status_at_any_time(world):
    """The same payment on the payer's and the payee's account."""
    world.do("top_up", amount_minor=1_000)
    world.do("payment", transaction_id="P", amount_minor=1_000, **INTERNAL)
    for account, amount in (("2101:U1", -1_000), ("2201:M1", 1_000)):
        (line,) = statement(world.ledger, account, "CNY", Asked(number="P"), 0, 9)["movements"]
        assert (line["amount_minor"], line["time"], line["status"]) == (
            amount, "2026-09-12T02:00:00Z", "posted")


def test_d2_08_a_void_undoes_the_whole_payment_with_its_full_fee_the_same_day(world):
    """Before cut-off and before payout; not of a part; it is no refund in the log."""
    paid = world.do("payment", transaction_id="P")
    part = world.do("void", original_transaction_id="P", amount_minor=1)
    assert part["reason"] == "unknown_field"
    void = posted(world.do("void", original_transaction_id="P"))
    assert set(world.balances().values()) == {0}
    assert sorted(leg[2] for leg in world.legs(void)) == sorted(
        leg[2] for leg in world.legs(paid))
    types = [row[2] for row in world.ledger.store.entries(1) if row[1] is not None]
    assert types == ["payment", "void"]
    assert refused(world.do("void", original_transaction_id="P"), "exceeds_original")
    refund = world.do("refund", original_transaction_id="P", amount_minor=1, **PLAIN)
    assert refused(refund, "exceeds_original")


@pytest.mark.parametrize("after", ["cut-off", "payout", "refund"])
def test_d2_08_afterwards_a_refund_takes_the_place_of_a_void(world, after):
    """The void is refused, the refund posts."""
    world.do("payment", transaction_id="P")
    when, reason = {}, "void_too_late"
    if after == "cut-off":
        world.ledger.set_clock(at(DAY, "23:30:00"))
        when = {"occurred_at": at(DAY, "23:00:00")}
    elif after == "payout":
        world.do("payment", merchant_id="M2")
        world.do("settlement", amount_minor=1)
    else:
        fees = {"issuer_fee_minor": 4, "network_fee_minor": 0, "acquirer_fee_minor": 2}
        posted(world.do("refund", original_transaction_id="P", amount_minor=1_000, **fees))
        reason, when = "exceeds_original", {}
    assert refused(world.do("void", original_transaction_id="P", **when), reason)
    if after != "refund":
        posted(world.do("refund", original_transaction_id="P", **WHOLE, **when))


def test_d2_08_a_prepaid_spend_is_voided_too(world):
    """The card has its money back."""
    world.register("party", party_id="K1", party_kind="card", identity_check="ID")
    world.open([("2501", "K1")])
    card = {"card_id": "K1", "amount_minor": 500, **CNY}
    world.send("prepaid_issue", transaction_id="I", **card)
    posted(world.send("prepaid_spend", transaction_id="P", merchant_id="M1",
                      acquirer_fee_minor=5, authorisation=world.authorise("K1", "M1", 500),
                      **card))
    posted(world.do("void", original_transaction_id="P"))
    assert (world.balance("2501:K1"), world.balance("2201:M1"), world.balance("2301")) == (
        500, 0, 0)


def test_d2_08_a_reversal_is_the_institutions_own_by_two_and_linked(world):
    """No caller sends it; it names the journal."""
    done = posted(world.do("payment", transaction_id="P"))
    back = {"adjustment_id": "A", "incident_number": "N", "reason": "x",
            "journal_id": done["journal_id"]}
    assert refused(world.send("reversal", **back), "no_right")
    reversal = world.approved("reversal", **{**back, "adjustment_id": "B"})
    assert orjson.loads(world.row(reversal)[12])["journal_id"] == done["journal_id"]
    assert set(world.balances().values()) == {0}


@pytest.mark.parametrize(("most", "amounts", "passed"), [
    ({"single_minor": 10_000}, (10_000, 10_100), (True, False)),
    ({"day_minor": 15_000}, (10_000, 5_100, 5_000, 1_000), (True, False, True, False)),
])
def test_d2_09_exactly_the_limit_passes_and_refused_ones_do_not_count(
    world, most, amounts, passed
):
    """Single and cumulated per business date."""
    _limit(world, **most)
    results = [world.do("top_up", amount_minor=amount)["status"] for amount in amounts]
    assert [status == "posted" for status in results] == list(passed)


def test_d2_09_a_limit_is_by_scene_account_kind_grade_and_validity(world):
    """Another scene, grade, date or business day is not touched."""
    world.approved("party", party_id="U3", party_kind="user", identity_check="ID", grade="gold")
    world.open([("2101", "U3")])
    _limit(world, grade="standard", day_minor=1_000, valid_from=days(1).isoformat(),
           valid_to=days(2).isoformat())
    posted(world.do("top_up", amount_minor=2_000))  # not yet
    when = on(world, 1)
    assert refused(world.do("top_up", amount_minor=1_100, **when), "limit_exceeded")
    posted(world.do("top_up", amount_minor=1_100, user_id="U3", **when))
    posted(world.do("payment", amount_minor=2_000, **{**PLAIN, **when}))
    posted(world.do("top_up", amount_minor=1_000, **when))
    when = on(world, 2)
    posted(world.do("top_up", amount_minor=1_000, **when))  # counts anew
    when = on(world, 3)
    posted(world.do("top_up", amount_minor=2_000, **when))  # no longer


def test_d2_09_a_grade_is_changed_by_two_with_the_rating_behind_it(world):
    """Entered anew a party keeps its grade, and nobody gives another one alone."""
    _limit(world, grade="standard", single_minor=1_000)
    user = {"party_id": "U1", "party_kind": "user", "identity_check": "ID1"}
    for actor in (SYSTEM, ANN):
        assert refused(world.send("party", actor, grade="gold", **user), "register_differs",
                       "grade")
    new = world.send("party", party_id="U9", party_kind="user", grade="gold")
    assert refused(new, "no_right")  # a graded newcomer needs a checker as well
    assert refused(world.do("top_up", amount_minor=2_000), "limit_exceeded")
    change = {"party_id": "U1", "grade": "gold", "evidence": "RATING-7"}
    assert refused(world.send("grade_change", **change), "no_right")
    waits = world.send("grade_change", ANN, **change)
    assert refused(world.approve(waits["sequence"], "ann"), "maker_is_checker")
    assert refused(world.do("top_up", amount_minor=2_000), "limit_exceeded")
    posted(world.approve(waits["sequence"]))
    posted(world.do("top_up", amount_minor=2_000))
    assert refused(world.send("grade_change", ANN, **change), "register_differs", "grade")
    world.register("party", **user)
    document = world.ledger.state.get("party", "U1")
    assert (document["grade"], document["grade_evidence"], document["grade_since"]) == (
        "gold", "RATING-7", DAY.isoformat())
    posted(world.do("top_up", amount_minor=2_000))


def test_d2_09_what_debits_a_customer_can_be_limited(world):
    """Whatever asks the payer's consent, but a refund: it gives back what was limited before."""
    operations = world.ledger.operations.by_type.values()
    asks = {o.type for o in operations if "legs = []" in o.text and "authorisation" in o.form.names}
    assert {o.type for o in operations if o.type in asks and not o.scenes} == {"transfer_refund"}
    assert len(asks) > 10


def test_d2_09_points_are_limited_on_their_own_account(world):
    world.send("own_funds", movement_id="O", amount_minor=200, **CNY)
    world.send("points_issue", movement_id="I", user_id="U1", amount_minor=200, **CNY)
    _limit(world, scene="points_spend", account_code="2702", day_minor=100, day_count=2)
    spend = {"user_id": "U1", "merchant_id": "M1", **CNY}
    for number, (amount, passes) in enumerate(((60, True), (41, False), (39, True), (1, False))):
        done = world.send("points_spend", movement_id=f"S{number}", amount_minor=amount,
                          authorisation=world.authorise("U1", "M1", amount), **spend)
        assert posted(done) if passes else refused(done, "limit_exceeded", "amount_minor")
    assert verify(world.settings).broken is None


def test_d2_09_a_refund_gives_nothing_of_a_limit_back(world):
    """What was used stays used."""
    _limit(world, scene="payment", day_minor=2_000)
    world.do("top_up", amount_minor=9_000)
    posted(world.do("payment", transaction_id="P", amount_minor=2_000, **INTERNAL))
    posted(world.do("refund", original_transaction_id="P", amount_minor=2_000, **PLAIN))
    assert refused(world.do("payment", amount_minor=100, **INTERNAL), "limit_exceeded")


@pytest.mark.parametrize(("scope", "target", "free"), [
    ("all", None, None), ("merchant", "M1", {"merchant_id": "M2"}),
    ("rail", "unionpay", {"channel": "netsunion"}),
    ("account", "2201:M1", {"merchant_id": "M2"}),
])
def test_d2_10_a_stop_covers_an_account_a_merchant_a_rail_or_all(world, scope, target, free):
    """Placed by one, lifted by two; what it does not cover goes on."""
    _stop(world, scope, target)
    assert refused(world.do("payment"), "stopped")
    if free is not None:
        posted(world.do("payment", **free))
    assert refused(world.send("stop_lift", stop_id="S", reason="over"), "no_right")
    waits = world.send("stop_lift", ANN, stop_id="S", reason="over")
    assert refused(world.approve(waits["sequence"], "ann"), "maker_is_checker")
    assert refused(world.do("payment"), "stopped")
    posted(world.approve(waits["sequence"]))
    posted(world.do("payment"))


@pytest.mark.parametrize(("mode", "refund"), [("everything", False), ("new_business", True)])
def test_d2_10_a_stop_is_of_everything_or_of_new_business(world, mode, refund):
    """In the second mode a refund of before still posts."""
    world.do("payment", transaction_id="P")
    _stop(world, "merchant", "M1", mode)
    assert refused(world.do("payment"), "stopped")
    result = world.do("refund", original_transaction_id="P", **WHOLE)
    assert posted(result) if refund else refused(result, "stopped")


def test_d2_12_an_instruction_needs_signature_and_authorisation_and_may_name_its_device(
    caller, world
):
    """Each alone does not do; the device's number is an attribute of the entry."""
    world.register("party", party_id="U3", party_kind="user", identity_check="I", owner_id="M1")
    world.open([("2101", "U3")])
    world.do("top_up", user_id="U3", amount_minor=2_000)
    pay = world.command("payment", **{**INTERNAL, "user_id": "U3", "amount_minor": 2_000,
                                      "metadata": {"device_id": "D-77"}})
    pay = world.of("C1", pay)
    bare = caller.send("POST", "/v1/commands", orjson.dumps(pay))
    assert bare.json()["reason"] == "authorisation_missing"
    pay |= {"authorisation": world.authorise("U3", "M1", 2_000), "idempotency_key": "C1.z1"}
    forged = caller.send("POST", "/v1/commands", orjson.dumps(pay), signature="00" * 70)
    assert forged.status_code == 401
    done = caller.send("POST", "/v1/commands", orjson.dumps(pay))
    assert done.status_code == 201, done.text
    content = orjson.loads(world.row(done.json())[12])
    assert content["metadata"] == {"device_id": "D-77"}


def test_d2_17_each_action_of_an_operator_is_a_chained_entry(world, settings):
    """Entered, approved, rejected, refused: all stand in the chain with the person."""
    waits = world.send("stop_lift", ANN, stop_id="S", reason="x")
    assert refused(waits, "register_differs")
    world.approved("right", group_id="staff", module="stops", duty="enter", allowed=False)
    assert refused(world.send("stop", ANN, stop_id="S", stop_scope="all",
                              stop_mode="everything", reason="x"), "no_right")
    done = [(row[2], row[4], row[7], bool(row[15])) for row in world.ledger.store.entries(1)
            if row[7].startswith("operator:")][-4:]
    assert done == [
        ("stop_lift", "refused", "operator:ann", False), ("right", "pending", "operator:ann",
        False), ("right", "posted", "operator:ben", True), ("stop", "refused", "operator:ann",
        False)]
    digest = GENESIS
    for row in world.ledger.store.entries(1):
        digest = entry_digest(digest, row)
        assert row[16] == digest
    assert digest == world.ledger.head.digest


def test_d2_18_the_chain_is_sm3_heads_are_signed_with_sm2_values_sealed_with_sm4(world):
    """And nothing like a payment password is stored."""
    world.close()
    (head,) = world.ledger.store.heads()
    key = Keyring(world.settings).trust()[head["key_id"]].public
    assert key.verify(head["document"], head["signature"])
    assert not key.verify(head["document"] + b" ", head["signature"])
    assert len(world.ledger.head.digest) == 32 and read_heads(world.settings)
    bound = world.ledger.state.get("destination", "D1")["bound_name"]
    sealed, number = world.ledger.store.secret(bound)
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    assert world.ledger.vault.reveal(bound, sealed, number) == "name of U1"
    with pytest.raises(PaylakeError):
        world.ledger.vault.reveal(bound, changed, number)
    assert verify(world.settings).entries == world.ledger.head.sequence


def test_d2_24_class_is_an_attribute_of_each_operation_and_of_a_callers_rights(caller, world):
    """User, merchant, transaction, data, risk; a class without a rate is closed to a caller."""
    by_type = world.ledger.operations.by_type
    assert set(CLASSES) == {"user", "merchant", "transaction", "data", "risk"}
    assert {o.interface_class for o in by_type.values()} == set(CLASSES)
    fee = orjson.dumps(world.command("fee"))  # class merchant; the caller has the first two
    answer = caller.send("POST", "/v1/commands", fee)
    assert (answer.status_code, answer.json()["error"]["reason"]) == (403, "forbidden")
    assert caller.send("POST", "/v1/commands",
                       orjson.dumps(world.of("C1", world.command("payment")))).status_code == 201


def test_d2_24_class_is_an_attribute_of_endpoint_limit_and_indicator(http, world):
    """Of each command in the interface document, of a limit by its scene, of the counts."""
    by_type = world.ledger.operations.by_type
    document = http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    ends = {said["x-interface-class"] for methods in document["paths"].values()
            for said in methods.values()}
    assert ends == {"of the command", "of each command", "merchant", "transaction", "data"}
    assert {name: schemas[f"{name}_command"]["x-interface-class"] for name in by_type} == {
        name: operation.interface_class for name, operation in by_type.items()}
    _limit(world)
    assert world.ledger.state.get("limit", "L")["interface_class"] == "user"
    other = world.send("limit", ANN, limit_id="L2", scene="top_ups", account_code="2101",
                       valid_from=DAY.isoformat(), **CNY)
    assert refused(other, "register_differs", "scene")  # it would limit nothing
    for scene, code, counted in (("top_up", "2201", "2101, 9101, 9111"),
                                 ("collection", "2201", "2101, 9101, 9111"),
                                 ("merchant_spend", "2101", "2211")):
        other = world.send("limit", ANN, limit_id="L3", scene=scene, account_code=code,
                           valid_from=DAY.isoformat(), **CNY)
        assert refused(other, "register_differs", "account_code")  # nor would this one
        assert other["detail"].endswith(f"accounts of {counted}")
    _limit(world, limit_id="L4", account_code="9101")
    http.post("/v1/commands", content=orjson.dumps(world.command("payment")))
    counted = 'ledger_commands_total{interface_class="transaction",operation="payment",outcome="'
    assert counted in http.get("/metrics").text


def test_d2_24_rates_hold_by_class_each_for_itself(http, world):
    """One used up leaves the other; a batch counts each command in its class."""
    from tests.ledger.test_http import Signed

    key = PrivateKey.generate()
    said = {"caller_id": "C9", "party_id": "M1", "on_behalf": [], "enabled": True,
            "public_key": key.public.point}
    for rates in ({"payments": 5}, {"user": 0}, {"user": "5"}):
        wrong = world.send("caller", ANN, rates=rates, **said)
        assert refused(wrong, "register_differs", "rates"), rates
    world.approved("caller", rates={"transaction": 3, "user": 1}, **said)
    world.register("party", party_id="U8", party_kind="user", owner_id="M1", identity_check="I")
    world.open([("2101", "U8")])
    signed = Signed(http, "caller:C9", key)

    def batch(payments, top_ups):
        commands = [world.command("payment") for _ in range(payments)]
        commands += [world.command("top_up", user_id="U8") for _ in range(top_ups)]
        commands = [world.of("C9", command) for command in commands]
        return signed.send("POST", "/v1/batches", orjson.dumps({"commands": commands}))

    assert batch(2, 0).status_code == 200
    over = batch(2, 0)
    assert (over.status_code, over.json()["error"]["reason"]) == (429, "rate_exceeded")
    assert batch(1, 1).status_code == 200
    assert [batch(1, 0).status_code, batch(0, 1).status_code] == [429, 429]


def test_d2_25_requests_are_signed_with_a_nonce_and_time_limited_in_rate_with_named_errors(
    caller, http, world
):
    """REST and JSON; replayed, stale, too many: each has its code."""
    body = orjson.dumps(world.of("C1", world.command("payment")))
    headers = {**caller.signer.headers("POST", "/v1/commands", body), "authorization": ""}
    assert http.post("/v1/commands", content=body, headers=headers).status_code == 201
    again = http.post("/v1/commands", content=body, headers=headers)
    stale = caller.send("POST", "/v1/commands", body, timestamp="2026-09-12T02:00:00Z")
    top_up = orjson.dumps(world.of("C1", world.command("top_up")))
    often = [caller.send("POST", "/v1/commands", top_up) for _ in range(3)][-1]
    wrong = caller.send("POST", "/v1/commands", b"{")
    assert [(a.status_code, a.json()["error"]["reason"]) for a in (again, stale, often, wrong)] == [
        (401, "request_replayed"), (401, "request_stale"), (429, "rate_exceeded"),
        (400, "not_json")]


def test_d2_26_the_interface_document_describes_every_operation_and_answer(http, world):
    """Addresses, parameters and answers; test_openapi_fuzz.py sends what it allows and not."""
    document = http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.") and document["info"]["version"]
    schemas = document["components"]["schemas"]
    for name, operation in world.ledger.operations.by_type.items():
        listed = set(schemas[f"{name}_command"]["properties"])
        assert {field.name for field in operation.form.fields} <= listed, name
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            assert said["summary"] and len(said["responses"]) >= 1, (method, path)
