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
from tests.ledger.conftest import World

MERCHANTS = st.sampled_from(["M1", "M2"])
USERS = st.sampled_from(["U1", "U2"])
AMOUNTS = st.one_of(st.integers(1, 300), st.integers(1, 10**9))
MAY_GO_BELOW = {"2201": {"refund", "dispute", "fee"}}


class LedgerModel(RuleBasedStateMachine):
    """The model: balances by account as credit less debit, and what each payment has left."""

    payments = Bundle("payments")
    disputes = Bundle("disputes")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        found = settings_module.load({}, home=Path(self.folder.name) / "home")
        Keyring(found).ensure_demo()
        ensure_demo_token(found)
        self.world = World(found)
        self.world.start()
        self.net: dict[str, int] = {}
        self.sent: list[tuple[dict, dict]] = []
        self.left: dict[str, dict] = {}
        self.open: dict[str, tuple[str, int]] = {}

    def teardown(self) -> None:
        try:
            found = verify(self.world.settings)  # reads beside the writer
            assert found.journals == self.world.ledger.head.sequence
        finally:
            self.world.ledger.store.close()
            self.folder.cleanup()

    def attempt(self, type_: str, moves: dict[str, int], allowed: bool = True, **values) -> bool:
        """Post, and check that the model agrees whether it may."""
        command = self.world.command(type_, **values)
        result = self.world.ledger.apply([command])[0]
        self.sent.append((command, result))
        journal_type = "dispute" if type_ == "dispute_release" else type_
        for account, change in moves.items():
            after = self.net.get(account, 0) + change
            lowered = change > 0 if account == "1001" else change < 0
            below = after > 0 if account == "1001" else after < 0
            if lowered and below and journal_type not in MAY_GO_BELOW.get(account[:4], set()):
                allowed = False
        assert (result["status"] == "posted") == allowed, (command, result)
        if allowed:
            for account, change in moves.items():
                self.net[account] = self.net.get(account, 0) + change
        return allowed

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
            }
        return key

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
            state["returned"] = [a + b for a, b in zip(state["returned"], due, strict=True)]
            if state["refunded"] == state["gross"]:
                assert tuple(state["returned"]) == state["fees"]

    @rule(target=disputes, payment=payments, amount=AMOUNTS)
    def dispute(self, payment, amount):
        state = self.left.get(payment)
        key = f"D{self.world.number}"
        may = state is not None and amount <= state["left"]
        moves = {}
        if may:
            moves = {f"2201:{state['merchant']}": -amount, f"2202:{state['merchant']}": amount}
        if self.attempt("dispute", moves, may, transaction_id=key,
                        original_transaction_id=payment, amount_minor=amount):
            state["left"] -= amount
            self.open[key] = (payment, amount)
        return key

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
            del self.open[dispute]

    @rule(merchant=MERCHANTS, amount=AMOUNTS, type_=st.sampled_from(["fee", "settlement"]))
    def take(self, merchant, amount, type_):
        other = "2301" if type_ == "fee" else "1001"
        self.attempt(type_, {f"2201:{merchant}": -amount, other: amount},
                     merchant_id=merchant, amount_minor=amount)

    @rule(user=USERS, amount=AMOUNTS)
    def top_up(self, user, amount):
        self.attempt("top_up", {"1001": -amount, f"2101:{user}": amount}, user_id=user,
                     amount_minor=amount)

    @rule(user=USERS, amount=AMOUNTS, fee=st.integers(0, 50))
    def withdraw(self, user, amount, fee):
        moves = {f"2101:{user}": -(amount + fee), "1001": amount, "2301": fee}
        self.attempt("withdrawal", moves, user_id=user, amount_minor=amount, fee_minor=fee)

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
        for account, net in self.net.items():
            assert balances[account] == (-net if account == "1001" else net)
        assert balances["1001"] == sum(v for k, v in balances.items() if k != "1001")


TestLedgerModel = LedgerModel.TestCase
TestLedgerModel.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None,
    suppress_health_check=list(HealthCheck),
)
