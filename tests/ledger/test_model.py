"""Random histories against a model that knows nothing but dictionaries."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from ledger.adapters.tokens import ensure_demo_token
from ledger.entrypoints.operations import verify
from paylake import settings as settings_module
from paylake.keys import Keyring
from tests.ledger.conftest import ANN, World

MERCHANTS = st.sampled_from(["M1", "M2"])
USERS = st.sampled_from(["U1", "U2"])
AMOUNTS = st.one_of(st.integers(1, 300), st.integers(1, 10**9))
#: For top-ups and withdrawals: mostly whole yuan, about the least amounts.
YUAN = st.one_of(st.integers(1, 300), st.integers(1, 10**7)).map(lambda n: n * 100) | AMOUNTS
RESULTS = st.sampled_from(["succeeded", "failed", "unknown"])
MAY_GO_BELOW = {"2201": {"refund", "dispute", "fee", "void"}}


class LedgerModel(RuleBasedStateMachine):
    """The model: balances by account as credit less debit, what is held of them, and what each
    payment has left."""

    payments = Bundle("payments")
    disputes = Bundle("disputes")
    withdrawals = Bundle("withdrawals")
    denials = Bundle("denials")
    orders = Bundle("orders")
    redemptions = Bundle("redemptions")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        found = settings_module.load({}, home=Path(self.folder.name) / "home")
        Keyring(found).ensure_demo()
        ensure_demo_token(found)
        self.world = World(found)
        self.world.start()
        self.net: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.sent: list[tuple[dict, dict]] = []
        self.left: dict[str, dict] = {}
        self.open: dict[str, tuple[str, int]] = {}
        self.paid_out: set[str] = set()
        self.rests: dict[str, int] = {}  # of each payment, after a dispute of it was released
        self.asked: dict[str, dict] = {}
        self.denied: dict[str, tuple[str, int]] = {}
        self.ordered: dict[str, dict] = {}  # wealth products: their result, and who redeems them
        self.redeemed: dict[str, dict] = {}

    def teardown(self) -> None:
        try:
            verify(self.world.settings)  # reads beside the writer, before and after a checkpoint
            self.world.reopen()
            found = verify(self.world.settings)
            assert found.journals == self.world.ledger.head.journal
            assert found.entries == self.world.ledger.head.sequence
        finally:
            self.world.ledger.close()
            self.folder.cleanup()

    def attempt(
        self, type_: str, moves: dict[str, int], allowed: bool = True, *,
        hold: dict[str, int] | None = None, **values,
    ) -> bool:
        """Post, and check that the model agrees whether it may.

        :param hold: what becomes held (or free again) of an account
        """
        hold = hold or {}
        if type_ in ("payment", "withdrawal") and values.get("user_id") and (
            "authorisation" not in values
        ):
            payee = values.get("merchant_id") or "D" + values["user_id"][1:]
            values["authorisation"] = self.world.authorise(
                values["user_id"], payee, values["amount_minor"]
            )
        command = self.world.command(type_, **values)
        result = self.world.ledger.apply([command])[0]
        self.sent.append((command, result))
        may = allowed and self.may(type_, moves, hold)
        assert (result["status"] == "posted") == may, (command, result)
        if may:
            self.moved(moves, hold)
        return may

    def may(self, type_: str, moves: dict[str, int], hold: dict[str, int]) -> bool:
        """Whether no floor is crossed."""
        journal_type = "dispute" if type_ == "dispute_release" else type_
        for account in {*moves, *hold}:
            if journal_type in MAY_GO_BELOW.get(account[:4], set()):
                continue
            change, more = moves.get(account, 0), hold.get(account, 0)
            if account == "1001":
                change = -change
            after = self.balance(account) + change
            if (change < 0 or more > 0) and after - self.held.get(account, 0) - more < 0:
                return False
        return True

    def balance(self, account: str) -> int:
        net = self.net.get(account, 0)
        return -net if account == "1001" else net

    def moved(self, moves: dict[str, int], hold: dict[str, int]) -> None:
        for account, change in moves.items():
            self.net[account] = self.net.get(account, 0) + change
        for account, more in hold.items():
            self.held[account] = self.held.get(account, 0) + more

    @rule(target=payments, merchant=MERCHANTS, amount=AMOUNTS, issuer=st.integers(0, 50),
          acquirer=st.integers(0, 80), network=st.integers(0, 9),
          user=st.one_of(st.none(), USERS))
    def pay(self, merchant, amount, issuer, acquirer, network, user):
        if user is not None:
            issuer = network = 0
        key = f"P{self.world.number}"
        source = f"2101:{user}" if user else "1001"
        moves = {
            source: -(amount - issuer - network),
            f"2201:{merchant}": amount - issuer - network - acquirer, "2301": acquirer,
        }
        posted = self.attempt(
            "payment", moves, issuer + network + acquirer <= amount, transaction_id=key,
            merchant_id=merchant, amount_minor=amount, issuer_fee_minor=issuer,
            network_fee_minor=network, acquirer_fee_minor=acquirer, user_id=user,
            channel="internal" if user else "netsunion",
        )
        if posted:
            self.left[key] = {
                "left": amount, "gross": amount, "source": source, "merchant": merchant,
                "fees": (issuer, network, acquirer), "refunded": 0, "returned": [0, 0, 0],
                "moves": moves, "journal": self.sent[-1][1]["journal_id"],
            }
        return key

    @rule(user=USERS, merchant=MERCHANTS, amount=st.integers(1, 300),
          wrong=st.sampled_from(["none", "unknown", "payer", "payee", "amount", "used"]))
    def pay_without_consent(self, user, merchant, amount, wrong):
        other = {"U1": "U2", "U2": "U1", "M1": "M2", "M2": "M1"}
        reference = {
            "none": lambda: None, "unknown": lambda: "nothing",
            "payer": lambda: self.world.authorise(other[user], merchant, amount),
            "payee": lambda: self.world.authorise(user, other[merchant], amount),
            "amount": lambda: self.world.authorise(user, merchant, amount + 1),
            "used": lambda: next(
                (c["authorisation"] for c, r in self.sent
                 if r["status"] == "posted" and "authorisation" in c), None
            ),
        }[wrong]()
        self.attempt("payment", {}, False, user_id=user, merchant_id=merchant,
                     amount_minor=amount, channel="internal", issuer_fee_minor=0,
                     network_fee_minor=0, acquirer_fee_minor=0, authorisation=reference)

    @rule(payment=payments, amount=AMOUNTS, whole=st.booleans())
    def refund(self, payment, amount, whole):
        state = self.left.get(payment)
        if state is None:
            self.attempt("refund", {}, False, original_transaction_id=payment)
            return
        if whole and state["left"]:
            amount = state["left"]
        may = amount <= state["left"]
        due = [0, 0, 0]
        if may:
            done, gross = state["refunded"] + amount, state["gross"]
            due = [
                (2 * fee * done + gross) // (2 * gross) - back
                for fee, back in zip(state["fees"], state["returned"], strict=True)
            ]
        moves = {
            state["source"]: amount - due[0] - due[1],
            f"2201:{state['merchant']}": -(amount - sum(due)), "2301": -due[2],
        }
        if self.attempt(
            "refund", moves if may else {}, may, original_transaction_id=payment,
            amount_minor=amount, issuer_fee_minor=due[0], network_fee_minor=due[1],
            acquirer_fee_minor=due[2],
        ):
            state["left"] -= amount
            state["refunded"] += amount
            self._rests_no_more(payment, amount)
            state["returned"] = [a + b for a, b in zip(state["returned"], due, strict=True)]
            if state["refunded"] == state["gross"]:
                assert tuple(state["returned"]) == state["fees"]

    @rule(target=disputes, payment=payments, amount=AMOUNTS)
    def dispute(self, payment, amount):
        state = self.left.get(payment)
        key = f"D{self.world.number}"
        may = state is not None and amount <= state["left"] - self._frozen(payment)
        moves = {}
        if may:
            moves = {f"2201:{state['merchant']}": -amount, f"2202:{state['merchant']}": amount}
        if self.attempt("dispute", moves, may, transaction_id=key,
                        original_transaction_id=payment, amount_minor=amount):
            state["left"] -= amount
            self.open[key] = (payment, amount)
            self._rests_no_more(payment, amount)
        return key

    def _rests_no_more(self, payment, amount):
        """What is disputed again, or given back, does not rest."""
        self.rests[payment] = max(0, self.rests.get(payment, 0) - amount)

    def _frozen(self, payment):
        """What denials of a payment hold of it."""
        return sum(left for of, left in self.denied.values() if of == payment)

    @rule(dispute=disputes)
    def release(self, dispute):
        payment, amount = self.open.get(dispute, (None, 1))
        moves = {}
        if payment:
            merchant = self.left[payment]["merchant"]
            moves = {f"2202:{merchant}": -amount, f"2201:{merchant}": amount}
        if self.attempt("dispute_release", moves, payment is not None,
                        original_transaction_id=dispute, amount_minor=amount):
            self.left[payment]["left"] += amount
            self.rests[payment] = self.rests.get(payment, 0) + amount
            del self.open[dispute]

    @rule(payment=payments)
    def void(self, payment):
        state = self.left.get(payment)
        may = state is not None and state["left"] == state["gross"] and (
            state["merchant"] not in self.paid_out
        ) and not state["refunded"]
        moves = {account: -change for account, change in state["moves"].items()} if may else {}
        if self.attempt("void", moves, may, original_transaction_id=payment):
            state.update(left=0, refunded=state["gross"], returned=list(state["fees"]))
            self._rests_no_more(payment, state["gross"])

    @rule(payment=payments)
    def reverse(self, payment):
        """The institution's own error: whole, as long as nothing was done to the payment."""
        state = self.left.get(payment)
        if state is None:
            return
        frozen = self._frozen(payment)
        may = state["left"] == state["gross"] and not state["refunded"] and not frozen
        moves = {account: -change for account, change in state["moves"].items()}
        may = may and self.may("reversal", moves, {})
        waits = self.world.send(
            "reversal", ANN, adjustment_id=f"B{self.world.number}", incident_number="N",
            reason="x", journal_id=state["journal"],
        )
        assert waits["status"] == ("pending" if may else "refused"), waits
        if may:
            assert self.world.approve(waits["sequence"])["status"] == "posted"
            self.moved(moves, {})
            state["left"] = 0  # nothing refers to it any more

    def due(self, merchant: str, amount: int) -> bool:
        """Whether a payout leaves what rests; the quiet days of a history are never over."""
        resting = sum(
            left for payment, left in self.rests.items()
            if self.left[payment]["merchant"] == merchant
        )
        return not resting or self.balance(f"2201:{merchant}") - amount >= resting

    @rule(merchant=MERCHANTS, amount=AMOUNTS, type_=st.sampled_from(["fee", "settlement"]))
    def take(self, merchant, amount, type_):
        other = "2301" if type_ == "fee" else "1001"
        posted = self.attempt(
            type_, {f"2201:{merchant}": -amount, other: amount},
            type_ == "fee" or self.due(merchant, amount), merchant_id=merchant,
            amount_minor=amount,
        )
        if posted and type_ == "settlement":
            self.paid_out.add(merchant)

    @rule(user=USERS, amount=YUAN)
    def top_up(self, user, amount):
        self.attempt("top_up", {"1001": -amount, f"2101:{user}": amount},
                     amount % 100 == 0 and amount >= 1000, user_id=user, amount_minor=amount)

    @rule(target=withdrawals, user=USERS, amount=YUAN, other_fee=st.integers(-1, 9))
    def withdraw(self, user, amount, other_fee):
        key, account = f"W{self.world.number}", f"2101:{user}"
        fee = (amount + 100) // 200 + max(0, other_fee - 8)  # 5 in a thousand, half up
        may = amount % 100 == 0 and amount >= 5000 and other_fee < 9
        if self.attempt("withdrawal", {}, may, hold={account: amount + fee}, withdrawal_id=key,
                        user_id=user, amount_minor=amount, fee_minor=fee):
            self.asked[key] = {"account": account, "amount": amount, "fee": fee, "result": None}
        return key

    @rule(withdrawal=withdrawals, result=st.sampled_from(["succeeded", "failed", "unknown"]))
    def withdrawal_result(self, withdrawal, result):
        asked = self.asked.get(withdrawal)
        may = asked is not None and asked["result"] in (None, "unknown")
        moves: dict[str, int] = {}
        hold: dict[str, int] = {}
        if may and result != "unknown":
            whole = asked["amount"] + asked["fee"]
            hold = {asked["account"]: -whole}
            if result == "succeeded":
                moves = {asked["account"]: -whole, "1001": asked["amount"], "2301": asked["fee"]}
        if self.attempt("withdrawal_result", moves, may, hold=hold, withdrawal_id=withdrawal,
                        result=result):
            asked["result"] = result

    @rule(withdrawal=withdrawals)
    def withdrawal_returned(self, withdrawal):
        asked = self.asked.get(withdrawal)
        may = asked is not None and asked["result"] == "succeeded"
        moves = {}
        if may:
            moves = {"1001": -asked["amount"], "2301": -asked["fee"],
                     asked["account"]: asked["amount"] + asked["fee"]}
        if self.attempt("withdrawal_returned", moves, may, withdrawal_id=withdrawal):
            asked["result"] = "returned"

    def answered(
        self, type_: str, by_person: bool, moves: dict[str, int], may: bool,
        hold: dict[str, int], **values,
    ) -> bool:
        """A result that a system of the house sends, or a person, whose checker approves it."""
        if not by_person:
            return self.attempt(type_, moves, may, hold=hold, **values)
        command = self.world.command(type_, evidence="E", **values)
        waits = self.world.ledger.apply([command], ANN)[0]
        may = may and self.may(type_, moves, hold)
        assert waits["status"] == ("pending" if may else "refused"), waits
        if may:
            assert self.world.approve(waits["sequence"])["status"] == "posted"
            self.moved(moves, hold)
        return may

    @rule(target=orders, user=USERS, amount=AMOUNTS)
    def order_a_product(self, user, amount):
        return self.ordering(user, amount)

    def ordering(self, user, amount):
        key, account = f"B{self.world.number}", f"2101:{user}"
        if self.attempt(
            "wealth_purchase_order", {}, hold={account: amount}, transaction_id=key, user_id=user,
            amount_minor=amount, authorisation=self.world.authorise(user, "F", amount),
        ):
            self.ordered[key] = {
                "account": account, "amount": amount, "result": None, "redeemed": None,
            }
        return key

    @rule(order=orders, result=RESULTS, by_person=st.booleans())
    def answer_an_order(self, order, result, by_person):
        state = self.ordered.get(order)
        may = state is not None and state["result"] in (None, "unknown")
        moves: dict[str, int] = {}
        hold: dict[str, int] = {}
        if may and result != "unknown":
            hold = {state["account"]: -state["amount"]}
            if result == "succeeded":
                moves = {state["account"]: -state["amount"], "1001": state["amount"]}
        if self.answered("wealth_purchase_result", by_person, moves, may, hold,
                         original_transaction_id=order, result=result):
            state["result"] = result

    def buyer(self, order: str | None) -> str:
        return self.ordered.get(order, {}).get("account", "2101:U1").partition(":")[2]

    @rule(target=redemptions, order=orders)
    def order_a_redemption(self, order):
        state, key = self.ordered.get(order), f"Q{self.world.number}"
        may = state is not None and state["result"] == "succeeded" and state["redeemed"] is None
        if self.attempt("wealth_redemption_order", {}, may, transaction_id=key,
                        user_id=self.buyer(order), original_transaction_id=order):
            state["redeemed"] = key
            self.redeemed[key] = {"order": order, "result": None}
        return key

    @rule(redemption=redemptions, amount=AMOUNTS, by_person=st.booleans(), result=RESULTS)
    def answer_a_redemption(self, redemption, amount, by_person, result):
        state = self.redeemed.get(redemption)
        may = state is not None and state["result"] in (None, "unknown")
        moves = {}
        if may and result == "succeeded":
            moves = {"1001": -amount, self.ordered[state["order"]]["account"]: amount}
        if self.answered("wealth_redemption_result", by_person, moves, may, {},
                         original_transaction_id=redemption, result=result,
                         user_id=self.buyer((state or {}).get("order")),
                         amount_minor=amount if result == "succeeded" else None):
            state["result"] = result
            if result == "failed":
                self.ordered[state["order"]]["redeemed"] = None

    @rule(target=orders, user=USERS, amount=st.integers(1, 300), by_person=st.booleans(),
          bought=st.lists(RESULTS, min_size=1, max_size=3),
          redeemed=st.lists(st.tuples(RESULTS, st.integers(1, 2)), min_size=1, max_size=3))
    def life_of_a_product(self, user, amount, by_person, bought, redeemed):
        """Its steps one after the other, which rules drawn one by one seldom come to."""
        self.attempt("top_up", {"1001": -1000, f"2101:{user}": 1000}, user_id=user,
                     amount_minor=1000)
        order = self.ordering(user, amount)
        for result in bought:
            LedgerModel.answer_an_order(self, order, result, by_person)
        for result, times in redeemed:
            redemption = LedgerModel.order_a_redemption(self, order)
            for _ in range(times):
                LedgerModel.answer_a_redemption(self, redemption, amount, by_person, result)
        return order

    @rule(target=denials, payment=payments)
    def deny(self, payment):
        state, key = self.left.get(payment), f"H{self.world.number}"
        frozen = self._frozen(payment)
        amount = 0 if state is None else state["left"] - frozen
        may = amount > 0  # what is frozen already is not frozen again
        hold = {f"2201:{state['merchant']}": amount} if may else {}
        command = self.world.command("denied_payment", hold_id=key,
                                     original_transaction_id=payment)
        result = self.world.ledger.apply([command])[0]
        self.sent.append((command, result))
        assert (result["status"] == "posted") == may, result
        if may:  # it may be more than what is there
            self.moved({}, hold)
            self.denied[key] = (payment, amount)
        return key

    @rule(denial=denials, part=AMOUNTS, capture=st.booleans())
    def end_denial(self, denial, part, capture):
        payment, left = self.denied.get(denial, (None, 0))
        state = self.left.get(payment, {"merchant": "M1", "source": "1001", "left": 0})
        account, source = f"2201:{state['merchant']}", state["source"]
        part = min(part, left) or 1
        type_ = "hold_capture" if capture else "hold_release"
        waits = self.world.send(
            type_, ANN, result_id=f"E{self.world.number}", hold_id=denial, amount_minor=part,
            case_number="N", to_account_id=source if capture else None,
        )
        may = left > 0 and not (capture and part > state["left"])
        moves = {account: -part, source: part} if capture and may else {}
        after = {name: self.balance(name) + (change if name != "1001" else -change)
                 for name, change in moves.items()}
        may = may and min(after.values(), default=0) >= 0
        assert waits["status"] == ("pending" if may else "refused"), waits
        if may:
            assert self.world.approve(waits["sequence"])["status"] == "posted"
            self.moved(moves, {account: -part})
            self.denied[denial] = (payment, left - part)
            if capture:  # it went back to where the payment came from
                state["left"] -= part
                self._rests_no_more(payment, part)

    @rule(user=USERS, merchant=MERCHANTS, amount=YUAN, taken=AMOUNTS)
    def linked(self, user, merchant, amount, taken):
        """A top-up and a payout that stand or fall together."""
        moves = {"1001": -amount, f"2101:{user}": amount}
        both = {**moves, f"2201:{merchant}": -taken, "1001": taken - amount}
        commands = [
            self.world.command("top_up", user_id=user, amount_minor=amount, linked=True),
            self.world.command("settlement", merchant_id=merchant, amount_minor=taken),
        ]
        results = self.world.ledger.apply(commands)
        balance = self.balance("1001") + amount - taken
        may = amount % 100 == 0 and amount >= 1000 and balance >= 0 and self.may(
            "settlement", {f"2201:{merchant}": -taken}, {}
        ) and self.due(merchant, taken)
        assert {r["status"] for r in results} == {"posted" if may else "refused"}, results
        if may:
            self.moved(both, {})
            self.paid_out.add(merchant)

    @rule(data=st.data())
    def replay(self, data):
        if self.sent:
            command, result = data.draw(st.sampled_from(self.sent))
            assert self.world.ledger.apply([command])[0] == {**result, "replayed": True}

    @rule()
    def restart(self):
        self.world.reopen()

    @invariant()
    def balances_agree(self):
        balances = self.world.balances()
        for account in self.net:
            assert balances[account] == self.balance(account)
        assert balances["1001"] == sum(v for k, v in balances.items() if k != "1001")

    @invariant()
    def what_is_held_agrees_and_users_never_owe(self):
        for account in self.world.ledger.state.all_accounts():
            assert account.held == self.held.get(account.account_id, 0)
            if account.line.floor is not None and account.code != "2201":
                assert account.available >= account.line.floor

    @invariant()
    def each_kind_of_books_balances(self):
        sums: dict[str, int] = {}
        for account in self.world.ledger.state.all_accounts():
            signed = account.balance * account.debit_sign
            sums[account.sum_key] = sums.get(account.sum_key, 0) + signed
        assert set(sums.values()) == {0}


TestLedgerModel = LedgerModel.TestCase
TestLedgerModel.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None,
    suppress_health_check=list(HealthCheck),
)
