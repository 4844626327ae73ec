"""D0, rules 1 to 12 and 56: books, settlement modes, settlement, trace."""

from __future__ import annotations

import orjson
import pytest

from ledger.domain.chain import GENESIS, entry_digest
from ledger.entrypoints.operations import verify
from ledger.service import queries
from ledger.service.day_close import trial_balance_sm3
from ledger.service.statements import Asked, statement
from paylake.errors import NotVerified
from tests.ledger.conftest import ANN, DAY
from tests.ledger.rules.words import CNY, PLAIN, days, funds, on, posted, refused, run, tenant


@pytest.mark.parametrize("mode", ["institution", "bank", "self"])
def test_d0_01_each_member_of_a_merchants_system_has_a_book_of_its_own(world, mode):
    """Opened, topped up, paid from, withdrawn from and queried by member, in each settlement
    mode; only the first takes a fee out of the book, and moves the reserve."""
    tenant(world, settlement_mode=mode)
    cash, user, pending = (world.ledger.chart.modes[mode][code] for code in
                           ("1001", "2101", "2201"))
    world.open([(cash, None), (pending, "TM"), (user, "TU1"), (user, "TU2")])
    mine = f"{user}:TU1"
    book = world.ledger.state.account(mine, "CNY")
    assert book.tenant == "TM"
    world.register("bind_account", destination_id="DU1", party_id="TU1", bound_account="6222",
                   bound_name="T", bank_code="ICBC")
    posted(world.do("top_up", user_id="TU1", amount_minor=20_000))
    posted(world.do("payment", merchant_id="TM", channel="internal", user_id="TU1",
                    amount_minor=3_000, **PLAIN))
    fee = 25 if mode == "institution" else 0
    asked = {"user_id": "TU1", "destination_id": "DU1", "amount_minor": 5_000}
    other = {"fee_minor": 25 - fee}
    assert refused(world.do("withdrawal", **asked, **other),
                   "fee_not_allowed" if fee == 0 else "fee_differs", "fee_minor")
    for name in ("W", "W2", "W3"):
        posted(world.do("withdrawal", withdrawal_id=name, fee_minor=fee, **asked))
    assert (book.balance, book.held) == (17_000, 3 * (5_000 + fee))
    posted(world.do("withdrawal_result", withdrawal_id="W"))
    posted(world.do("withdrawal_result", withdrawal_id="W2", result="failed"))
    posted(world.do("withdrawal_result", withdrawal_id="W3"))
    posted(world.do("withdrawal_returned", withdrawal_id="W3"))
    assert (book.balance, book.held, world.balance(f"{user}:TU2")) == (12_000 - fee, 0, 0)
    found = statement(world.ledger, mine, "CNY", Asked(), 0, 10)["movements"]
    assert [(line["amount_minor"], line["status"]) for line in found] == [
        (20_000, "posted"), (-3_000, "posted"), (-5_000 - fee, "failed"),
        (-5_000 - fee, "posted"), (-5_000 - fee, "returned"), (5_000 + fee, "posted")]
    moved = {line["account_code"] for line in world.close()["trial_balance"]
             if line["debit_minor"] or line["credit_minor"]}
    assert moved == {cash, user, pending} | ({"2301"} if fee else set())
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("mode", ["bank", "self"])
def test_d0_01_what_memo_books_cannot_do_is_refused_by_name(world, mode):
    """Money of the institution: prepaid cards, wealth products, points, payouts on behalf. A
    customer's loss is made good in the books of every mode."""
    tenant(world, settlement_mode=mode)
    codes = world.ledger.chart.modes[mode]
    world.open([(codes["1001"], None), (codes["2201"], "TM"), (codes["2101"], "TU1"),
                ("2211", "M1"), ("2702", "TU1")])
    for name, owner in (("K1", "TM"), ("K2", "M1")):
        world.register("party", party_id=name, party_kind="card", owner_id=owner,
                       identity_check="ID")
        world.open([("2501", name)])
    posted(world.do("top_up", user_id="TU1", amount_minor=20_000))
    amount = {"amount_minor": 100, **CNY}
    posted(world.send("prepaid_issue", transaction_id="I", card_id="K2", **amount))
    posted(world.send("points_issue", movement_id="PI", user_id="TU1", **amount))
    for type_, field, values in (
        ("prepaid_issue", "card_id", {"transaction_id": "A1", "card_id": "K1"}),
        ("prepaid_load", "card_id", {"transaction_id": "A2", "card_id": "K1"}),
        ("prepaid_spend", "merchant_id", {
            "transaction_id": "A3", "card_id": "K2", "merchant_id": "TM", "acquirer_fee_minor": 0,
            "authorisation": world.authorise("K2", "TM", 100)}),
        ("prepaid_pre_authorisation", "merchant_id", {
            "transaction_id": "A4", "card_id": "K2", "merchant_id": "TM",
            "authorisation": world.authorise("K2", "TM", 100)}),
        ("wealth_purchase", "user_id", {
            "transaction_id": "A5", "user_id": "TU1", "product_id": "F",
            "authorisation": world.authorise("TU1", "F", 100)}),
        ("wealth_purchase_order", "user_id", {
            "transaction_id": "A8", "user_id": "TU1", "product_id": "F",
            "authorisation": world.authorise("TU1", "F", 100)}),
        ("points_spend", "merchant_id",
         {"movement_id": "A6", "user_id": "TU1", "merchant_id": "TM",
          "authorisation": world.authorise("TU1", "TM", 100)}),
        ("payout_on_behalf", "user_id", {
            "transaction_id": "A7", "merchant_id": "M1", "user_id": "TU1", "fee_minor": 0}),
    ):
        assert refused(world.send(type_, **values, **amount), "mode_differs", field), type_
    funds(world)
    posted(world.approved("compensation", movement_id="C", user_id="TU1", case_number="N",
                          finding="this_institution", evidence="E", **amount))
    assert world.balance(f"{codes['2101']}:TU1") == 20_100


@pytest.mark.parametrize("first", ["U1", "TU1"])
def test_d0_01_a_payout_goes_by_its_own_users_book_whoever_was_paid_before(world, first):
    """One sender pays for one merchant to a book of the institution and to one of a bank: the
    first is paid, the other refused, in either order and again."""
    tenant(world, settlement_mode="bank")
    world.open([("1001", None), ("2101", "TU1"), ("9101", "TU1")])
    posted(world.send("receipt", receipt_id="R", amount_minor=9_000, **CNY))
    world.approved("merchant_top_up", application_id="A", merchant_id="M1", receipt_id="R",
                   amount_minor=9_000, **CNY)
    for number, user in enumerate([first, "U1", "TU1", "U1"]):
        paid = world.send("payout_on_behalf", transaction_id=f"P{number}", merchant_id="M1",
                          user_id=user, amount_minor=100, fee_minor=0, **CNY)
        assert posted(paid) if user == "U1" else refused(paid, "mode_differs", "user_id")
    assert world.balance("2101:U1") == (300 if first == "U1" else 200)


def test_d0_01_a_book_is_opened_for_a_party_of_its_class_alone(world):
    """No user account for a merchant, no settlement account for a user, nothing of a card's. What
    a provider owes has an account; it does no business of its own, so it has no money here."""
    world.approved("party", party_id="PR", party_kind="provider")
    world.approved("party", party_id="TE", party_kind="tenant")
    world.register("party", party_id="K1", party_kind="card", identity_check="ID")
    world.approved("party", party_id="T1", party_kind="terminal", owner_id="M1")
    mine = {"2101": {"U1"}, "9101": {"U1"}, "2702": {"U1"}, "2501": {"K1"},
            "2201": {"M1", "TE"}, "1201": {"M1", "PR", "TE"}}
    for code, right in mine.items():
        for party in ("U1", "M1", "PR", "TE", "K1", "T1"):
            if party not in right:
                wrong = world.send("open_account", account_code=code, party_id=party, **CNY)
                assert refused(wrong, "register_differs", "party_id"), (code, party)
            elif world.ledger.state.account(f"{code}:{party}", "CNY") is None:
                posted(world.send("open_account", account_code=code, party_id=party, **CNY))


def test_d0_02_the_mode_holds_for_all_books_and_changes_only_when_they_are_empty(world):
    """By maker and checker, from the day on which they are empty; a member's book counts."""
    tenant(world)
    world.open([("2201", "TM"), ("2101", "TU1")])
    mode = {"contract_id": "C2", "merchant_id": "TM", "settlement_mode": "bank",
            "settlement_cycle": "D+1", "minimum_minor": 0, "fee_choice": "bill"}
    day = {"valid_from": days(1).isoformat()}
    posted(world.do("top_up", user_id="TU1", amount_minor=1_000))
    when = on(world, 1)
    assert refused(world.send("contract", ANN, **mode, **day, **when), "mode_differs",
                   "settlement_mode")
    posted(world.do("payment", merchant_id="TM", channel="internal", user_id="TU1",
                    amount_minor=1_000, **PLAIN, **when))
    posted(world.do("settlement", merchant_id="TM", amount_minor=1_000, **when))
    posted(world.send("hold", hold_id="H", hold_kind="suspicious", account_id="2101:TU1",
                      amount_minor=5, case_number="N", **CNY, **when))
    assert refused(world.send("contract", ANN, **mode, **day, **when), "mode_differs")
    waits = world.send("hold_release", ANN, result_id="R", hold_id="H", case_number="N", **when)
    posted(world.approve(waits["sequence"], **when))
    later = {"valid_from": days(2).isoformat()}  # empty today is not empty then
    assert refused(world.send("contract", ANN, **mode, **later, **when), "register_differs",
                   "valid_from")
    waits = world.send("contract", ANN, **mode, **day, **when)
    assert waits["status"] == "pending"
    posted(world.approve(waits["sequence"], **when))
    world.open([("9001", None), ("9101", "TU1")])
    world.do("top_up", user_id="TU1", amount_minor=1_000, **when)
    assert (world.balance("9101:TU1"), world.balance("2101:TU1")) == (1_000, 0)


@pytest.mark.parametrize("mode", ["bank", "self"])
def test_d0_02_a_first_contract_in_memo_books_finds_none_of_the_institutions_full(world, mode):
    """Without a contract money stands in the institution's books: it would stay there, out of reach
    of the merchant and its users. What is the institution's own does not matter."""
    world.approved("party", party_id="M9", party_kind="merchant")
    world.register("party", party_id="U9", party_kind="user", identity_check="ID", owner_id="M9")
    world.open([("2101", "U9"), ("2201", "M9"), ("2601", "M9")])
    first = {"contract_id": "C9", "merchant_id": "M9", "settlement_cycle": "D+1",
             "minimum_minor": 0, "fee_choice": "bill"}
    posted(world.do("top_up", user_id="U9", amount_minor=1_000))
    today = {"valid_from": days(0).isoformat(), "settlement_mode": mode}
    result = world.send("contract", ANN, **first, **today)
    assert refused(result, "mode_differs", "settlement_mode")
    assert "2101:U9 is not empty" in result["detail"]
    same = {**today, "settlement_mode": "institution"}
    assert world.send("contract", ANN, **first, **same)["status"] == "pending"


@pytest.mark.parametrize("mode", ["bank", "self"])
def test_d0_02_a_first_contract_in_memo_books_is_from_a_day_on_which_they_are_empty(world, mode):
    world.approved("party", party_id="M9", party_kind="merchant")
    world.register("party", party_id="U9", party_kind="user", identity_check="ID", owner_id="M9")
    world.open([("2101", "U9"), ("2601", "M9")])
    first = {"contract_id": "C9", "merchant_id": "M9", "settlement_cycle": "D+1",
             "minimum_minor": 0, "fee_choice": "bill", "settlement_mode": mode}
    later = world.send("contract", ANN, **first, valid_from=days(1).isoformat())
    assert refused(later, "register_differs", "valid_from")
    now = world.send("contract", ANN, **first, valid_from=days(0).isoformat())
    assert now["status"] == "pending"
    posted(world.do("top_up", user_id="U9", amount_minor=1_000))
    assert refused(world.approve(now["sequence"]), "mode_differs")  # full meanwhile


@pytest.mark.parametrize("before", [None, "M1"])
def test_d0_02_a_members_book_changes_its_owner_only_when_it_is_empty(world, settings, before):
    """Its mode is its owner's. Entered anew with the same owner it may be full; one that moved
    counts among its new owner's books, and no more among those of the old."""
    member = {"party_id": "U9", "party_kind": "user", "identity_check": "ID"}
    old, new = {**member, "owner_id": before}, {**member, "owner_id": "M2"}
    world.register("party", **old)
    world.open([("2101", "U9")])
    posted(world.do("top_up", user_id="U9", amount_minor=1_000))
    assert refused(world.send("party", **new), "register_differs", "owner_id")
    world.register("party", **{**old, "identity_check": "ID2"})
    posted(world.do("payment", channel="internal", user_id="U9", amount_minor=1_000, **PLAIN))
    posted(world.do("settlement", amount_minor=1_000))
    held = {"hold_id": "H", "case_number": "N"}
    posted(world.send("hold", hold_kind="suspicious", account_id="2101:U9", amount_minor=5,
                      **held, **CNY))
    assert refused(world.send("party", **new), "register_differs", "owner_id")
    world.approved("hold_release", result_id="R", **held)
    world.register("party", **new)
    posted(world.do("top_up", user_id="U9", amount_minor=1_000))
    mode = {"settlement_mode": "bank", "settlement_cycle": "T+0", "minimum_minor": 0,
            "fee_choice": "bill", "valid_from": days(1).isoformat(), **on(world, 1)}
    assert refused(world.send("contract", ANN, contract_id="C2", merchant_id="M2", **mode),
                   "mode_differs", "settlement_mode")
    waits = world.send("contract", ANN, contract_id="C1", merchant_id="M1", **mode)
    posted(world.approve(waits["sequence"], occurred_at=mode["occurred_at"]))
    assert verify(settings).broken is None


def test_d0_02_an_account_opened_before_its_owner_was_known_counts_as_the_owners(world):
    """Whatever tenant the account was opened for."""
    world.register("party", party_id="U9", party_kind="user", identity_check="ID",
                   owner_id="M2")
    posted(world.send("open_account", account_code="2101", party_id="U9", tenant_id="M1", **CNY))
    posted(world.do("top_up", user_id="U9", amount_minor=1_000))
    mode = {"contract_id": "C2", "merchant_id": "M2", "settlement_mode": "bank",
            "settlement_cycle": "T+0", "minimum_minor": 0, "fee_choice": "bill",
            "valid_from": days(1).isoformat(), **on(world, 1)}
    assert refused(world.send("contract", ANN, **mode), "mode_differs", "settlement_mode")


def _bank_managed(world, amount: int = 3_000, **contract) -> str:
    """A payout of bank-managed money, instructed by the run; its number."""
    world.merchant("MB", settlement_mode="bank", **{"settlement_cycle": "T+0", **contract})
    world.open([("9001", None), ("9201", "MB")])
    world.do("payment", merchant_id="MB", amount_minor=amount, **PLAIN)
    assert run(world, 0).booked == {"settlement": 1}
    return f"settlement-{DAY}-MB-CNY"


def _said(world, number: str, result: str, **values):
    return world.send("settlement_result", result_id=f"R{world.number}", payout_id=number,
                      result=result, **values)


def test_d0_03_bank_managed_money_is_final_only_by_the_banks_result(world):
    """Held when the bank is instructed, booked when it says so; memo books alone move."""
    number = _bank_managed(world)
    hold = world.ledger.state.holds[number]
    assert (hold["kind"], hold["placed"], hold["account_id"]) == ("payout", 3_000, "9201:MB")
    assert (world.balance("9201:MB"), world.balance("9001")) == (3_000, 3_000)
    early = world.send("settlement_returned", return_id="B", payout_id=number)
    assert refused(early, "not_paid")
    assert posted(_said(world, number, "unknown"))["journal_id"] is None
    assert world.ledger.state.holds[number]["placed"] == 3_000  # until another result
    done = posted(_said(world, number, "succeeded"))
    assert world.legs(done) == [
        ("9201:MB", "D", 3_000, "payout", None), ("9001", "C", 3_000, "payout", number),
    ]
    assert (world.balance("9201:MB"), world.balance("9001"), world.balance("1001")) == (0, 0, 0)
    assert number not in world.ledger.state.holds
    for result in ("failed", "succeeded"):
        assert refused(_said(world, number, result), "already_decided")
    posted(world.send("settlement_returned", return_id="C", payout_id=number))
    assert (world.balance("9201:MB"), world.balance("9001")) == (3_000, 3_000)
    world.close()
    assert verify(world.settings).broken is None


@pytest.mark.parametrize("result", ["succeeded", "failed"])
def test_d0_03_what_was_refunded_since_the_instruction_keeps_no_result_out(world, result):
    """The bank has paid, or not, whatever came of the payments since: what it paid too much is a
    negative net, as after a payout of the institution's own (rule D0.9)."""
    number = _bank_managed(world, settlement_cycle="T+0")
    world.open([("9202", "MB")])
    first = world.ledger.store.find_journals(DAY.isoformat(), None, 0, 1)[0][6]
    posted(world.do("refund", original_transaction_id=first, amount_minor=1_000, **PLAIN))
    posted(world.do("dispute", original_transaction_id=first, amount_minor=500))
    posted(_said(world, number, result))
    assert world.balance("9201:MB") == (-1_500 if result == "succeeded" else 1_500)
    assert (world.ledger.state.holds, world.ledger.state.instructed) == ({}, {})
    on(world, 1)
    assert run(world, 1).amounts == ({} if result == "succeeded" else {"settlement": 1_500})
    world.do("payment", merchant_id="MB", amount_minor=1_600, **PLAIN, **on(world, 2))
    if result == "succeeded":
        assert run(world, 2).amounts == {"settlement": 100}
    assert verify(world.settings).broken is None


def test_d0_03_what_the_bank_did_not_pay_is_pending_again(world):
    """And is due in the next run; the failed payout is over."""
    number = _bank_managed(world)
    posted(_said(world, number, "failed"))
    assert (world.balance("9201:MB"), world.ledger.state.instructed) == (3_000, {})
    assert refused(_said(world, number, "succeeded"), "already_decided")
    assert refused(world.send("settlement_returned", return_id="B", payout_id=number), "not_paid")
    on(world, 1)
    assert run(world, 1).amounts == {"settlement": 3_000}


def test_d2_08_what_a_bank_was_instructed_to_pay_is_not_voided(world):
    """The bank calls no file back: a void would pay the merchant for a payment that it undid. Not
    paid, or of a later date than what was instructed, it is voided."""
    number = _bank_managed(world)
    world.do("payment", transaction_id="P", merchant_id="MB", amount_minor=500, **PLAIN)
    first = world.ledger.store.find_journals(DAY.isoformat(), None, 0, 1)[0][6]
    for payment in (first, "P"):  # as after a payout in the institution's own books
        assert refused(world.do("void", original_transaction_id=payment), "void_too_late")
    world.ledger.checkpoint()
    world.reopen()
    assert refused(world.do("void", original_transaction_id="P"), "void_too_late")
    when = on(world, 1)
    world.do("payment", transaction_id="Q", merchant_id="MB", amount_minor=70, **PLAIN, **when)
    posted(world.do("void", original_transaction_id="Q", **when))
    world.do("payment", transaction_id="Q2", merchant_id="MB", amount_minor=70, **PLAIN, **when)
    posted(_said(world, number, "failed", **when))
    posted(world.do("void", original_transaction_id="Q2", **when))
    assert world.balance("9201:MB") == 3_500


def test_d0_03_what_is_instructed_is_not_paid_again(world):
    """Not by a later run, nor by hand, nor out of money that is not due yet; also after a start
    from what was written down, and by the replay of the log."""
    number = _bank_managed(world)
    world.ledger.checkpoint()
    world.reopen()
    assert world.ledger.state.instructed == {("9201:MB", "CNY"): 3_000}
    when = on(world, 1)
    assert run(world, 1).booked == {}
    hand = {"merchant_id": "MB", "amount_minor": 1, **when}
    assert refused(world.do("settlement", **hand), "below_floor")
    world.approved("contract", contract_id="C2", merchant_id="MB", settlement_mode="bank",
                   settlement_cycle="D+1", minimum_minor=0, fee_choice="bill",
                   access_fee_minor=0, use_fee_minor=0, valid_from=days(1).isoformat())
    world.do("payment", merchant_id="MB", amount_minor=500, **PLAIN, **when)
    assert refused(world.do("settlement", **{**hand, "amount_minor": 500}), "not_due")
    assert run(world, 1).booked == {}
    posted(_said(world, number, "succeeded", **when))
    assert world.balance("9201:MB") == 500
    assert verify(world.settings).broken is None


def test_d0_03_a_freeze_that_came_later_does_not_undo_what_the_bank_paid(world):
    """The result is booked; what is left stays frozen."""
    number = _bank_managed(world)
    posted(world.send("hold", hold_id="H", hold_kind="suspicious", account_id="9201:MB",
                      case_number="C", **CNY))
    posted(_said(world, number, "succeeded"))
    assert world.balance("9201:MB") == 0


def test_d0_03_a_result_is_of_an_instruction_alone(world):
    """Money of the institution's own mode is booked when it is paid."""
    world.do("payment", amount_minor=1_000, **PLAIN)
    posted(world.do("settlement", payout_id="S", amount_minor=1_000))
    assert refused(_said(world, "S", "succeeded"), "already_decided")
    assert refused(_said(world, "NONE", "succeeded"), "original_unknown", "payout_id")
    assert refused(world.send("hold_release", result_id="X", hold_id="S", case_number="C"),
                   "hold_unknown")


def test_d0_06_each_kind_of_books_balances_and_no_journal_crosses_kinds(world):
    """Debit is credit by kind and currency in the trial balance of the close; a crossing is
    refused."""
    world.merchant("MB", settlement_mode="bank")
    world.merchant("MS", settlement_mode="self")
    world.open([("9001", None), ("9011", None), ("9201", "MB"), ("9211", "MS")])
    for merchant, amount in (("M1", 100), ("MB", 200), ("MS", 300)):
        world.do("payment", merchant_id=merchant, amount_minor=amount, **PLAIN)
    world.register("own_funds", movement_id="OF", amount_minor=700, **CNY)
    leg = {"amount_minor": 1, "component": "correction", **CNY}
    for other in ("9201:MB", "9211:MS", "3001"):
        crossing = world.send("adjustment", ANN, adjustment_id=f"A{other[:4]}",
                              incident_number="N", reason="x", legs=[
            {"account_id": "1001", "direction": "D", **leg},
            {"account_id": other, "direction": "C", **leg}])
        assert refused(crossing, "books_crossed")
    totals: dict[str, list[int]] = {}
    for line in world.close()["trial_balance"]:
        total = totals.setdefault(line["books"], [0, 0])
        total[0] += line["debit_minor"]
        total[1] += line["credit_minor"]
    assert totals == {"reserve": [100, 100], "own": [700, 700], "bank_memo": [200, 200],
                      "self_memo": [300, 300]}


def _mode(world, mode, number=0, **values):
    """The merchant TM enters another settlement mode, its books empty."""
    world.number += 1
    waits = world.send("contract", ANN, contract_id=f"C{world.number}", merchant_id="TM",
                       settlement_mode=mode, settlement_cycle="T+0", minimum_minor=0,
                       fee_choice="bill", valid_from=days(number).isoformat(), **values)
    posted(world.approve(waits["sequence"], **values))


MEMO = [("1001", None), ("9001", None), ("9011", None),
        *((code, "TM") for code in ("2201", "2202", "9201", "9202", "9211", "9212", "1201")),
        *((code, "TU1") for code in ("2101", "9101", "9111"))]


@pytest.mark.parametrize(("first", "then"), [("institution", "bank"), ("bank", "self"),
                                             ("self", "institution")])
@pytest.mark.parametrize("what", ["refund", "dispute", "chargeback", "denied"])
def test_d0_06_what_refers_to_an_original_stays_in_its_books(world, first, then, what):
    """The mode changed since, a day later: the money came through the books of the payment. A
    payment of the new mode beside it takes the new books, in the same batch."""
    tenant(world, settlement_mode=first)
    world.open(MEMO)
    old, new = world.ledger.chart.modes[first], world.ledger.chart.modes[then]
    world.do("payment", **PLAIN)  # other money of the reserve
    posted(world.do("payment", transaction_id="P", merchant_id="TM", amount_minor=900, **PLAIN))
    posted(world.do("settlement", payout_id="S", merchant_id="TM", amount_minor=900))
    if first == "bank":
        posted(world.send("settlement_result", result_id="SR", payout_id="S", result="succeeded"))
    when = on(world, 1)
    _mode(world, then, 1, **when)
    world.do("payment", transaction_id="Q", merchant_id="TM", amount_minor=70, **PLAIN, **when)
    part = {"amount_minor": 50, **when}
    commands = {
        "refund": [world.command("refund", transaction_id=f"R{of}", original_transaction_id=of,
                                 **part, **PLAIN) for of in ("Q", "P")],
        "dispute": [world.command("dispute", transaction_id=f"R{of}", original_transaction_id=of,
                                  **part) for of in ("Q", "P")],
        "chargeback": [world.command("dispute", transaction_id=f"R{of}", case_number="N",
                                     original_transaction_id=of, **part) | {"type": "chargeback"}
                       for of in ("Q", "P")],
        "denied": [world.command("denied_payment", hold_id=f"R{of}", original_transaction_id=of,
                                 **when) for of in ("Q", "P")],
    }[what]
    for result in world.ledger.apply(commands):
        posted(result)
    if what == "denied":
        held = [hold["account_id"] for hold in world.ledger.state.holds.values()]
        assert held == [f"{new['2201']}:TM", f"{old['2201']}:TM"]
        return
    assert world.balance(f"{new['2201']}:TM") == 20
    assert world.balance(f"{old['2201']}:TM") == -50
    if what == "dispute":
        posted(world.do("dispute_release", original_transaction_id="RP", **part))
        assert (world.balance(f"{old['2201']}:TM"), world.balance(f"{old['2202']}:TM")) == (0, 0)
        posted(world.do("dispute", transaction_id="R2", original_transaction_id="P", **part))
        waits = world.send("dispute_capture", ANN, transaction_id="R3", case_number="N",
                           original_transaction_id="R2", **when)
        posted(world.approve(waits["sequence"], **when))
    world.close()
    assert verify(world.settings).broken is None


def test_d0_06_a_change_of_mode_on_the_day_of_the_payment_itself(world):
    """The booking date has both modes: what was booked decides."""
    tenant(world)
    world.open(MEMO)
    world.do("payment", **PLAIN)  # other money of the reserve
    posted(world.do("payment", transaction_id="P", merchant_id="TM", amount_minor=900, **PLAIN))
    posted(world.do("settlement", payout_id="S", merchant_id="TM", amount_minor=900))
    when = on(world, 1)
    posted(world.do("payment", transaction_id="Q", merchant_id="TM", amount_minor=7, **PLAIN,
                    **when))
    posted(world.do("settlement", payout_id="S2", merchant_id="TM", amount_minor=7, **when))
    _mode(world, "bank", 1, **when)
    posted(world.do("refund", original_transaction_id="Q", amount_minor=7, **PLAIN, **when))
    assert (world.balance("2201:TM"), world.balance("9201:TM")) == (-7, 0)


def test_d0_06_what_came_back_to_the_books_that_were_left_is_offset_and_paid_out_of_them(world):
    """A payout of the old mode comes back from the bank: the run takes what is owed and pays the
    rest, each in the books that it stands in."""
    tenant(world)
    world.open([*MEMO, ("1101", None), ("3001", None)])
    funds(world)
    world.do("payment", merchant_id="M2", **PLAIN)  # other money of the reserve
    world.do("payment", transaction_id="P", merchant_id="TM", amount_minor=900, **PLAIN)
    posted(world.do("settlement", payout_id="S", merchant_id="TM", amount_minor=900))
    when = on(world, 1)
    _mode(world, "bank", 1, **when)
    world.do("refund", original_transaction_id="P", amount_minor=100, **PLAIN, **when)
    assert run(world, 1).amounts == {"shortfall": 100, "settlement": 10_000}  # M2's too
    posted(world.send("settlement_returned", return_id="B", payout_id="S", **when))
    world.do("payment", merchant_id="TM", amount_minor=70, **PLAIN, **when)
    assert (world.balance("2201:TM"), world.balance("9201:TM")) == (900, 70)
    when = on(world, 2)
    assert run(world, 2).amounts == {"offset": 100, "settlement": 870}
    assert run(world, 2).amounts == {}
    (instructed,) = world.ledger.state.holds  # 70 are the bank's to pay
    posted(world.send("settlement_result", result_id="SR", payout_id=instructed,
                      result="succeeded", **when))
    assert (world.balance("2201:TM"), world.balance("9201:TM"), world.balance("1201:TM")) == (
        0, 0, 0)


def test_d0_10_an_objection_defers_one_payment_and_the_rest_settles(world):
    """What was settled already is frozen with the same sum from pending settlement."""
    world.do("payment", transaction_id="P", amount_minor=8_000, **PLAIN)
    world.do("payment", transaction_id="Q", amount_minor=500, **PLAIN)
    world.do("dispute", transaction_id="D", original_transaction_id="P", amount_minor=8_000)
    on(world, 1)
    assert run(world, 1).amounts == {"settlement": 500}
    when = on(world, 1, "20:00:00")
    world.send("hold", hold_id="H", hold_kind="objection", account_id="2201:M1",
               amount_minor=500, case_number="OBJ-1", **CNY, **when)  # to Q, paid out before
    world.do("payment", amount_minor=900, **PLAIN, **when)
    on(world, 2)
    assert run(world, 2).amounts == {"settlement": 400}
    assert world.balance("2201:M1") == 500 and world.balance("2202:M1") == 8_000


def test_d0_11_the_count_begins_on_the_day_the_dispute_ended(world):
    """Ended on day d: first run after day d + 30."""
    world.do("payment", transaction_id="P", amount_minor=100, **PLAIN)
    world.do("dispute", transaction_id="D", original_transaction_id="P", amount_minor=100)
    world.do("dispute_release", original_transaction_id="D", amount_minor=100)
    found = []
    for number in (29, 30, 31):
        on(world, number)
        found.append(run(world, number).amounts)
    assert found == [{}, {}, {"settlement": 100}]


def test_d0_12_yield_is_the_institutions_and_touches_no_customers_book(world):
    """Interest on the reserve account stands in the institution's own books alone."""
    world.do("top_up", amount_minor=10_000)
    world.do("payment", **PLAIN)
    before = world.balances()
    result = posted(world.send("reserve_yield", movement_id="Y", amount_minor=77, **CNY))
    changed = {name for name, amount in world.balances().items() if amount != before[name]}
    assert changed == {"1101", "6003"}
    assert [leg[0] for leg in world.legs(result)] == ["1101", "6003"]


def test_d0_17_a_bank_managed_freeze_stays_out_of_what_the_bank_is_told(world):
    """The frozen amount is not in the instruction; the rest is."""
    world.merchant("MB", settlement_mode="bank", settlement_cycle="T+0")
    world.open([("9001", None), ("9201", "MB")])
    world.do("payment", transaction_id="P", merchant_id="MB", amount_minor=2_000, **PLAIN)
    world.do("payment", merchant_id="MB", amount_minor=700, **PLAIN)
    posted(world.send("denied_payment", hold_id="H", original_transaction_id="P",
                      case_number="C"))
    assert run(world, 0).amounts == {"settlement": 700}
    posted(_said(world, f"settlement-{DAY}-MB-CNY", "succeeded"))
    assert world.balance("9201:MB") == 2_000


def test_d0_17_a_self_managed_freeze_blocks_the_book_and_moves_no_money(world):
    """Nothing leaves the blocked book and no journal is made by the freeze."""
    world.merchant("MS", settlement_mode="self", settlement_cycle="T+0")
    world.open([("9011", None), ("9211", "MS")])
    world.do("payment", merchant_id="MS", amount_minor=2_000, **PLAIN)
    frozen = posted(world.send("hold", hold_id="H", hold_kind="suspicious",
                               account_id="9211:MS", case_number="C", **CNY))
    assert frozen["journal_id"] is None
    assert refused(world.do("settlement", merchant_id="MS", amount_minor=1), "account_status")
    assert world.balance("9211:MS") == 2_000


def test_d0_42_payouts_go_to_the_bound_account_alone_and_a_change_needs_two(world):
    """The old account stays until the change is approved; any other destination is refused."""
    world.merchant("MT", settlement_cycle="T+0")
    world.open([("2201", "MT")])
    account = {"party_id": "MT", "bound_account": "6222", "bound_name": "M", "bank_code": "ICBC"}
    world.approved("destination", destination_id="OLD", **account)
    waits = world.send("destination", ANN, destination_id="NEW", **account)
    assert waits["status"] == "pending"
    world.do("payment", merchant_id="MT", amount_minor=1_000, **PLAIN)
    run(world, 0)
    row = next(row for row in world.ledger.store.entries(1) if row[2] == "settlement")
    assert orjson.loads(row[12])["destination_id"] == "OLD"
    world.do("payment", merchant_id="MT", amount_minor=1_000, **PLAIN)
    for other in ("NEW", "D1"):
        result = world.do("settlement", merchant_id="MT", amount_minor=1, destination_id=other)
        assert refused(result, "destination_unknown", "destination_id")
    posted(world.approve(waits["sequence"]))
    old = world.do("settlement", merchant_id="MT", amount_minor=1, destination_id="OLD")
    assert refused(old, "destination_unknown")
    posted(world.do("settlement", merchant_id="MT", amount_minor=1, destination_id="NEW"))
    assert refused(world.send("destination", **account, destination_id="X"), "no_right")


def test_d0_42_a_merchant_without_a_bound_account_is_not_paid(world):
    """Neither by hand nor by the run, which lists it; the money stays pending until then."""
    world.merchant("MT", bound=False, settlement_mode="self")  # which needs none to start
    when = on(world, 1)
    waits = world.send("contract", ANN, contract_id="C-2", merchant_id="MT", minimum_minor=0,
                       settlement_mode="institution", settlement_cycle="T+0", fee_choice="bill",
                       valid_from=days(1).isoformat(), **when)
    posted(world.approve(waits["sequence"], **when))
    world.open([("2201", "MT")])
    world.do("payment", merchant_id="MT", amount_minor=1_000, **PLAIN, **when)
    result = world.do("settlement", merchant_id="MT", amount_minor=1_000, destination_id=None,
                      **when)
    assert refused(result, "destination_unknown", "destination_id")
    ran = run(world, 1)
    assert (ran.booked, ran.not_paid) == ({}, [
        {"account_id": "2201:MT", "due_minor": 1_000, "reason": "destination_unknown"}
    ])
    assert world.balance("2201:MT") == 1_000
    world.bind("MT")
    assert run(world, 1).amounts == {"settlement": 1_000}


def test_d0_05_a_self_managed_payout_moves_books_alone_and_needs_no_account(world):
    """The money is between acquirer and merchant."""
    world.merchant("MS", bound=False, settlement_mode="self", settlement_cycle="T+0")
    world.open([("9011", None), ("9211", "MS")])
    world.do("payment", merchant_id="MS", amount_minor=2_000, **PLAIN)
    assert run(world, 0).amounts == {"settlement": 2_000}


def test_d0_52_journals_are_never_purged(world):
    """The storage refuses to delete or change an entry, of whatever age."""
    from paylake.errors import PaylakeError

    world.do("payment")
    for statement_ in ("delete from entry", "update entry set content = '{}'"):
        with pytest.raises(PaylakeError, match="append-only"), world.ledger.store.transaction():
            world.ledger.store._many(statement_, [()])
    assert world.ledger.store.last_entry()[2] == "payment"


def test_d0_56_each_transaction_is_double_entry_traceable_and_undeniable(world):
    """Legs balance, business key and journal lead to each other, the chain proves the rows."""
    result = posted(world.do("payment", transaction_id="P"))
    found = queries.journals(world.ledger, None, "P", None, 10)["journals"]
    assert [j["journal_id"] for j in found] == [result["journal_id"]]
    sides = {"D": 0, "C": 0}
    for leg in found[0]["legs"]:
        sides[leg["direction"]] += leg["amount_minor"]
    assert sides["D"] == sides["C"] == 10_022
    digest = GENESIS
    for row in world.ledger.store.entries(1):
        digest = entry_digest(digest, row)
        assert digest == row[16]
    world.close()
    assert verify(world.settings).journals == 1


def test_d0_56_a_closed_period_takes_nothing_dated_back(world):
    """Two people close a period; what belongs into it is booked today."""
    head = world.close()
    when = on(world, 1)
    waits = world.send("period_close", ANN, valid_to=DAY.isoformat(), reason="month",
                       trial_balance_sm3=head["trial_balance_sm3"], **when)
    posted(world.approve(waits["sequence"], **when))
    assert refused(world.do("fee", value_date=DAY.isoformat(), **when), "value_date_closed")


def test_d0_56_a_period_is_closed_with_the_trial_balance_that_two_people_sign(world):
    """Of its last date, by currency and kind of books; a third one's figures close nothing."""
    world.do("payment")
    head = world.close()
    when = on(world, 1)
    asked = {"valid_to": DAY.isoformat(), "reason": "month", **when}
    assert refused(world.send("period_close", ANN, **asked), "missing_field", "trial_balance_sm3")
    for other in ("00" * 32, head["chain_digest"]):
        assert refused(world.send("period_close", ANN, trial_balance_sm3=other, **asked),
                       "register_differs", "trial_balance_sm3")
    digest = head["trial_balance_sm3"]
    assert digest == trial_balance_sm3(queries.head(world.ledger, DAY))
    assert {(line["currency_code"], line["books"]) for line in head["trial_balance"]} >= {
        ("CNY", "reserve"), ("CNY", "own")}
    waits = world.send("period_close", ANN, trial_balance_sm3=digest, **asked)
    posted(world.approve(waits["sequence"], **when))
    content = orjson.loads(world.ledger.store.last_entry()[12])
    assert content["trial_balance_sm3"] == digest
    assert verify(world.settings).approvals > 0


def test_d0_56_verify_names_a_period_closed_with_another_trial_balance(world):
    """A program that took any digest."""
    world.close()
    when = on(world, 1)
    world.ledger.state.trial_balance = lambda _: "00" * 32
    waits = world.send("period_close", ANN, valid_to=DAY.isoformat(), reason="month",
                       trial_balance_sm3="00" * 32, **when)
    row = posted(world.approve(waits["sequence"], **when))["sequence"]
    with pytest.raises(NotVerified, match=f"entry {row}: .* another trial balance"):
        verify(world.settings)
