"""Random histories over several dates against a model that keeps a list of movements: balances on
both time axes, limits, days that are run and closed, receivables and penalties, books of money that
a bank manages. What happens within one date is :mod:`tests.ledger.test_model`."""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ledger.adapters.tokens import ensure_demo_token
from ledger.domain.fields import utc_text
from ledger.entrypoints.operations import verify
from ledger.service import queries
from ledger.service.day_close import trial_balance_sm3
from ledger.service.day_run import DayRun
from paylake import settings as settings_module
from paylake.dates import is_public_holiday
from paylake.keys import Keyring
from tests.ledger.conftest import ANN, DAY, SHANGHAI, SYSTEM, World

MERCHANTS = st.sampled_from(["M1", "M2"])
USERS = st.sampled_from(["U1", "U2"])
AMOUNTS = st.sampled_from([1, 50, 99, 700, 12_345]) | st.integers(1, 10**5)
PAID = st.sampled_from([5_000, 20_000, 70_001]) | st.integers(1_000, 10**5)
DEBIT_SIDE = {"1001", "1101", "1201", "1202", "1203", "9001"}
PLAIN = {"issuer_fee_minor": 0, "network_fee_minor": 0, "acquirer_fee_minor": 0}
#: Months before the first date are open, as far as a period was not closed.
BACK = st.sampled_from([0, 0, 0, 1, 2, 40])


class Moved:
    """One journal of the model: credit less debit by account."""

    def __init__(self, at: str, day: date, value: date, moves: dict[str, int]) -> None:
        self.at, self.day, self.value, self.moves = at, day, value, moves


class Dates(RuleBasedStateMachine):
    """The model: movements with their time, booking and value date; limits with what was used."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        found = settings_module.load({}, home=Path(self.folder.name) / "home")
        Keyring(found).ensure_demo()
        ensure_demo_token(found)
        self.world = World(found)
        self.world.start()
        self.world.merchant("MB", settlement_mode="bank")
        self.world.open([("9001", None), ("9201", "MB"), ("9202", "MB"), ("1204", "MB")])
        self.today, self.minutes = DAY, 0
        self.closed = DAY - timedelta(1)
        self.period: date | None = None
        self.moved: list[Moved] = []
        self.used: Counter[tuple[str, date]] = Counter()
        self.times: Counter[tuple[str, date]] = Counter()
        self.limits: dict[str, dict[str, int]] = {}
        self.left: dict[str, tuple[str, int]] = {}
        self.post("own_funds", {"1101": -10**9, "3001": 10**9}, movement_id="OF",
                  amount_minor=10**9)

    def teardown(self) -> None:
        try:
            self.world.reopen()
            found = verify(self.world.settings)
            assert found.entries == self.world.ledger.head.sequence
        finally:
            self.world.ledger.close()
            self.folder.cleanup()

    # the model

    def now(self) -> datetime:
        """The time of the next command; the clock stands there."""
        self.minutes += 1
        moment = datetime(self.today.year, self.today.month, self.today.day, 8, tzinfo=SHANGHAI)
        moment += timedelta(minutes=self.minutes)
        self.world.ledger.set_clock(moment.isoformat())
        return moment

    def balance(self, account: str) -> int:
        """On its normal side."""
        net = sum(m.moves.get(account, 0) for m in self.moved)
        return -net if account[:4] in DEBIT_SIDE else net

    def after(self, account: str, change: int) -> int:
        return self.balance(account) + (-change if account[:4] in DEBIT_SIDE else change)

    def floors(self, moves: dict[str, int], *free: str, back: int = 0) -> bool:
        """Whether none falls below zero, on the value date or any date since; `free` are those that
        may, and so is what has no floor."""
        then = [self.today - timedelta(number) for number in range(1, back + 1)]
        for account, change in moves.items():
            side = -1 if account[:4] in DEBIT_SIDE else 1
            if side * change >= 0 or account[:4] in (*free, "3001", "6001", "6002", "9001"):
                continue
            past = [side * self.as_of(account, day, "9999") for day in then]
            if min([self.balance(account), *past]) + side * change < 0:
                return False
        return True

    def post(self, type_: str, moves: dict[str, int], may: bool = True, back: int = 0,
             **values: Any) -> bool:
        """Send a command; whether the model says that it may must be what the ledger says."""
        moment = self.now()
        value = self.today - timedelta(back)
        if self.period is not None and value <= self.period and back:
            may = False
        result = self.world.send(
            type_, SYSTEM, occurred_at=moment.isoformat(), currency_code="CNY",
            value_date=value.isoformat() if back else None, **values,
        )
        assert (result["status"] == "posted") == may, (type_, values, result)
        if may and moves:
            self.book(moment, value, moves)
        return may

    def reviewed(self, type_: str, **values: Any) -> None:
        """Entered by Ann, approved by Ben."""
        at = self.now().isoformat()
        waits = self.world.send(type_, ANN, occurred_at=at, **values)
        assert waits["status"] == "pending", waits
        done = self.world.approve(waits["sequence"], occurred_at=at)
        assert done["status"] == "posted", done

    def book(self, moment: datetime, value: date, moves: dict[str, int]) -> None:
        self.moved.append(Moved(utc_text(moment), self.today, value, moves))

    def within(self, merchant: str, amount: int) -> bool:
        """Whether no limit of a merchant's payments is crossed; they are for 2201 alone."""
        day = (merchant, self.today)
        return all(
            amount <= bounds.get("single_minor", amount)
            and self.used[day] + amount <= bounds.get("day_minor", 10**15)
            and self.times[day] < bounds.get("day_count", 10**9)
            for bounds in self.limits.values() if merchant != "MB"
        )

    # what people do

    @rule(merchant=st.sampled_from(["M1", "M2", "MB"]), amount=PAID,
          fee=st.sampled_from([0, 0, 7]), back=BACK)
    def pay(self, merchant, amount, fee, back):
        key = f"P{self.world.number}"
        bank = merchant == "MB"
        fee = 0 if bank else fee
        moves = (
            {"9001": -amount, "9201:MB": amount} if bank else
            {"1001": -amount, f"2201:{merchant}": amount - fee, "2301": fee}
        )
        may = self.within(merchant, amount)
        if self.post(
            "payment", moves, may, back, transaction_id=key, merchant_id=merchant,
            channel="unionpay", amount_minor=amount, **{**PLAIN, "acquirer_fee_minor": fee},
        ):
            self.used[merchant, self.today] += amount
            self.times[merchant, self.today] += 1
            if not fee:
                self.left[key] = (merchant, amount)

    @rule(amount=AMOUNTS, data=st.data(), back=BACK)
    def refund(self, amount, data, back):
        if not self.left:
            return
        payment = data.draw(st.sampled_from(sorted(self.left)))
        merchant, left = self.left[payment]
        pending, source = ("9201", "9001") if merchant == "MB" else ("2201", "1001")
        moves = {f"{pending}:{merchant}": -amount, source: amount}
        may = amount <= left and self.floors(moves, "2201", "9201", back=back)
        if self.post("refund", moves, may, back, transaction_id=f"R{self.world.number}",
                     original_transaction_id=payment, amount_minor=amount, **PLAIN):
            self.left[payment] = (merchant, left - amount)

    @rule(user=USERS, yuan=st.integers(5, 10**4), back=BACK)
    def top_up(self, user, yuan, back):
        self.post("top_up", {"1001": -100 * yuan, f"2101:{user}": 100 * yuan}, yuan >= 10, back,
                  top_up_id=f"I{self.world.number}", user_id=user, amount_minor=100 * yuan)

    @rule(user=USERS, amount=AMOUNTS, back=BACK)
    def transfer(self, user, amount, back):
        other = "U2" if user == "U1" else "U1"
        name = f"A{self.world.number}"
        self.post("authorise", {}, authorisation_id=name, payer_id=user, payee=other,
                  amount_minor=amount, method="password")
        moves = {f"2101:{user}": -amount, f"2101:{other}": amount}
        self.post("transfer", moves, self.floors(moves, back=back), back, user_id=user,
                  payee_id=other,
                  transaction_id=f"T{self.world.number}", amount_minor=amount,
                  authorisation=name)

    @rule(merchant=MERCHANTS, amount=AMOUNTS, weights=st.tuples(st.integers(1, 9),
                                                                  st.integers(1, 9)))
    def split(self, merchant, amount, weights):
        other = "M2" if merchant == "M1" else "M1"
        whole = sum(weights)
        first = amount * weights[0] // whole
        over = amount - first - amount * weights[1] // whole
        rests = [amount * weight % whole for weight in weights]
        first += over if rests[0] >= rests[1] else 0  # of equal remainders the earlier
        moves = {f"2201:{merchant}": -(amount - first), f"2201:{other}": amount - first}
        # its own part comes back in the same journal: what leaves is what it needs
        self.post("split", moves, self.floors(moves),
                  transaction_id=f"X{self.world.number}", merchant_id=merchant, amount_minor=amount,
                  parts=[{"merchant_id": merchant, "weight": weights[0]},
                         {"merchant_id": other, "weight": weights[1]}])

    @rule(merchant=MERCHANTS, amount=AMOUNTS)
    def fee(self, merchant, amount):
        moves = {f"2201:{merchant}": -amount, "2301": amount}
        self.post("fee", moves, True, fee_id=f"F{self.world.number}", merchant_id=merchant,
                  amount_minor=amount, notice_number="N")

    @rule(merchant=MERCHANTS, amount=AMOUNTS)
    def advance(self, merchant, amount):
        self.post("advance", {f"1202:{merchant}": -amount, "1101": amount},
                  movement_id=f"V{self.world.number}", merchant_id=merchant, amount_minor=amount,
                  case_number="CASE")

    @rule(merchant=MERCHANTS, claim=st.sampled_from(["1201", "1202", "1203"]), amount=AMOUNTS)
    def claim_paid(self, merchant, claim, amount):
        moves = {"1101": -amount, f"{claim}:{merchant}": amount}
        self.post("claim_payment", moves, self.floors(moves), merchant_id=merchant, claim=claim,
                  movement_id=f"C{self.world.number}", amount_minor=amount)

    @rule(single=st.none() | st.integers(20_000, 10**5), day=st.none() | st.integers(50_000, 10**6),
          count=st.none() | st.integers(2, 5), number=st.integers(1, 2))
    def limit(self, single, day, count, number):
        bounds = {"single_minor": single, "day_minor": day, "day_count": count}
        given = {name: value for name, value in bounds.items() if value is not None}
        if not given:
            return
        self.reviewed("limit", limit_id=f"L{number}", scene="payment", account_code="2201",
                      currency_code="CNY", valid_from=DAY.isoformat(), **given)
        self.limits[f"L{number}"] = given

    # what the ledger does of its own

    @rule(days=st.integers(1, 3))
    def days_go_by(self, days):
        """Each date is run at its end."""
        for _ in range(days):
            self.run()
            self.today += timedelta(1)
            self.minutes = 0

    def run(self) -> None:
        moment = datetime(
            self.today.year, self.today.month, self.today.day, 22, 55, tzinfo=SHANGHAI
        )
        self.world.ledger.set_clock(moment.isoformat())
        booked: Counter[str] = Counter()

        def book(kind: str, moves: dict[str, int]) -> None:
            booked[kind] += 1
            self.book(moment, self.today, moves)

        before = self.today - timedelta(1)
        for merchant in ("M1", "M2"):
            unpaid = -self.as_of(f"1202:{merchant}", before, "9999")
            if (amount := (2 * unpaid + 100) // 200) > 0:  # one per cent, half up
                book("penalty", {f"1203:{merchant}": -amount, "6002": amount})
        pays = not is_public_holiday(self.today)
        for merchant in ("M1", "M2"):
            owed, due = self.balance(f"1201:{merchant}"), self.balance(f"2201:{merchant}")
            if (amount := min(owed, due)) > 0 and pays:
                book("offset", {f"2201:{merchant}": -amount, "1001": amount, "1101": -amount,
                                f"1201:{merchant}": amount})
        for merchant in ("M1", "M2"):
            if (short := -self.balance(f"2201:{merchant}")) > 0:
                book("shortfall", {"1001": -short, f"2201:{merchant}": short, "1101": short,
                                   f"1201:{merchant}": -short})
        for account in ("2201:M1", "2201:M2"):
            if (due := self.balance(account)) > 0 and pays:
                book("settlement", {account: -due, "1001": due})
        instructed = self.balance("9201:MB") if pays else 0
        booked["settlement"] += instructed > 0
        assert DayRun(self.world.ledger, self.today).run().booked == dict(+booked)
        assert not DayRun(self.world.ledger, self.today).run().booked
        holds = list(self.world.ledger.state.holds)
        assert len(holds) == (instructed > 0)
        for name in holds:  # the bank pays at once
            done = self.world.send("settlement_result", SYSTEM, occurred_at=moment.isoformat(),
                                   result_id=f"B{self.world.number}", payout_id=name,
                                   result="succeeded")
            assert done["status"] == "posted", done
            self.book(moment, self.today, {"9201:MB": -instructed, "9001": instructed})

    @rule()
    def close_what_is_over(self):
        """Every date before today, in order; the trial balances are the model's."""
        while (day := self.closed + timedelta(1)) < self.today:
            self.now()
            head = self.world.ledger.close_day(day)
            books: Counter[str] = Counter()
            closing: Counter[str] = Counter()
            for line in head["trial_balance"]:
                side = 1 if line["account_code"][:4] in DEBIT_SIDE else -1
                books[line["books"]] += side * line["closing_minor"]
                closing[line["account_code"]] = line["closing_minor"]
            assert not any(books.values()), books
            wanted: Counter[str] = Counter()
            for moved in self.moved:
                if moved.day <= day:
                    for account, change in moved.moves.items():
                        code = account[:4]
                        wanted[code] += -change if code in DEBIT_SIDE else change
            assert {code: closing[code] for code in wanted} == dict(wanted)
            self.closed = day

    @rule(back=st.integers(0, 2))
    def close_a_period(self, back):
        through = self.closed - timedelta(back)
        if through < DAY or (self.period is not None and through <= self.period):
            return
        signed = trial_balance_sm3(self.world.ledger.close_day(through))
        self.reviewed("period_close", valid_to=through.isoformat(), reason="month end",
                      trial_balance_sm3=signed)
        self.period = through

    @rule()
    def checkpoint(self):
        self.world.ledger.checkpoint()

    @rule()
    def restart(self):
        self.world.reopen()

    # what holds

    def as_of(self, account: str, value: date, known: str) -> int:
        return sum(
            m.moves.get(account, 0) for m in self.moved if m.value <= value and m.at <= known
        )

    @rule(data=st.data(), back=st.integers(-1, 45))
    def a_balance_on_both_axes(self, data, back):
        accounts = sorted({account for m in self.moved for account in m.moves})
        account = data.draw(st.sampled_from(accounts))
        known = data.draw(st.sampled_from(sorted({m.at for m in self.moved})))
        value = self.today - timedelta(back)
        net = self.as_of(account, value, known)
        found = queries.balance_at(
            self.world.ledger, account, "CNY", value.isoformat(), known
        )
        assert found["balance_minor"] == (-net if account[:4] in DEBIT_SIDE else net), found

    @invariant()
    def balances_agree(self):
        balances = self.world.balances()
        for account in {account for m in self.moved for account in m.moves}:
            assert balances[account] == self.balance(account), account

    @invariant()
    def each_kind_of_books_balances(self):
        sums: Counter[str] = Counter()
        for account in self.world.ledger.state.all_accounts():
            sums[account.sum_key] += account.balance * account.debit_sign
        assert set(sums.values()) == {0}


TestDates = Dates.TestCase
TestDates.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None,
    suppress_health_check=list(HealthCheck),
)
