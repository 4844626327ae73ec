"""Two dates of the real ledger on which nearly everything happens that it can book: in four
currencies, in the books of all three settlement modes, undone and corrected.

The ledger's own export brings them; what other senders say of the same dates is made here from
its journal: a transaction for each sum that the switch saw, the bank's statement of the reserve.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson

from ledger.adapters.export import export_day
from paylake.deliveries import DeliveryFile, read_control, write_delivery
from paylake.settings import Settings
from tests.ingestion import world as senders
from tests.ledger.conftest import DAY, SCALES, SHANGHAI, World
from tests.ledger.rules.words import CNY, PLAIN, ended, funds, on, posted, run
from tests.ledger.test_operations_legs import OWN_FUNDS

FOREIGN = ("USD", "JPY", "KWD")
#: In one there are own funds alone, in the other what a bank manages: neither has a reserve.
BESIDE = {"HKD": 2, "EUR": 2}
CURRENCIES = {**SCALES, **BESIDE}
MODES = {"institution": "institution_managed", "bank": "bank_managed", "self": "self_managed"}
#: The merchants, each with the mode of its money.
MERCHANTS = {"M1": "institution", "M2": "institution", "M4": "institution", "TB": "bank",
             "TS": "self"}
PENDING = ("2201", "9201", "9211")
TRADED = ("gross", "dispute", "chargeback")
#: Journals of the switch's kinds that have another name in the ledger.
KINDS = {"collection": "payment", "agreement_payment": "payment", "prepaid_spend": "payment"}


def amount(minor: int, currency: str) -> Decimal:
    """Minor units as an amount of the lake."""
    return Decimal(minor).scaleb(-CURRENCIES[currency])


@dataclass
class Books:
    """The ledger's world, and what other senders know of it."""

    world: World
    bank: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    late: list[tuple[str, str, int]] = field(default_factory=list)
    legs: dict[date, list[dict[str, Any]]] = field(default_factory=dict)
    balances: dict[date, dict[tuple[str, str], int]] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return self.world.settings

    def prepare(self) -> None:
        """Merchants, users, cards and accounts."""
        world = self.world
        world.start()
        world.open_in("CNY", *FOREIGN)
        world.merchant("M4", fee_choice="prepaid")
        world.open([(code, "M4") for code in ("2201", "2601", "2602")])
        for name, mode in (("TB", "bank"), ("TS", "self")):
            world.merchant(name, settlement_mode=mode)
            users = [f"{name}{n}" for n in (1, 2)]
            codes = world.ledger.chart.modes[mode]
            for number, user in enumerate(users):
                world.register("party", party_id=user, party_kind="user", owner_id=name,
                               identity_check="ID")
                world.register("bind_account", destination_id=f"D{name[1]}{number}",
                               party_id=user, bound_account=f"card of {user}", bound_name=user,
                               bank_code="ICBC")
            for code, party in ((codes["1001"], None), (codes["2201"], name)):
                world.register("open_account", account_code=code, party_id=party,
                               currency_code="EUR")
            world.open([(codes["1001"], None), (codes["2201"], name), (codes["2202"], name),
                        *((codes["2101"], user) for user in users)])
        for code in ("1101", "3001"):
            world.register("open_account", account_code=code, currency_code="HKD")
        world.register("party", party_id="K1", party_kind="card", identity_check="ID")
        world.register("bind_account", destination_id="DK", party_id="K1", bound_account="6222",
                       bound_name="K", bank_code="ICBC")
        world.open([("2501", "K1")])

    def send(self, type_: str, **values: Any) -> Any:
        return posted(self.world.send(type_, **values))

    def do(self, type_: str, **values: Any) -> Any:
        return posted(self.world.do(type_, **values))

    # What happens ----------------------------------------------------------------------------

    def first_date(self) -> None:
        funds(self.world)
        for currency in SCALES:
            for user in ("U1", "U2"):
                self.do("top_up", user_id=user, amount_minor=500_000, currency_code=currency)
        self._payments()
        self._accounts()
        self._own_funds()
        self._memo_books()
        self._currencies()
        self._corrections()

    def _payments(self) -> None:
        world, user = self.world, {"merchant_id": "M1", "user_id": "U1", **CNY}
        for name in ("P1", "P2", "P3", "P4", "P5", "P6", "P7"):
            self.do("payment", transaction_id=name, data_fee_minor=5)
        self.do("payment", transaction_id="P8", channel="internal", user_id="U1",
                merchant_id="M2", issuer_fee_minor=0, network_fee_minor=0)
        world.register("mandate", mandate_id="MD", payer_id="U1", payee="M1", amount_minor=10000,
                       method="signature", valid_from=str(DAY), valid_to=str(DAY), **CNY)
        for type_ in ("collection", "agreement_payment"):
            self.send(type_, transaction_id=f"T-{type_}", amount_minor=7000, authorisation="MD",
                      acquirer_fee_minor=22, **user)
        self.send("pre_authorisation", transaction_id="PA", amount_minor=9000,
                  authorisation=world.authorise("U1", "M1", 9000), **user)
        self.send("pre_authorisation_completion", transaction_id="PC", amount_minor=8000,
                  original_transaction_id="PA", acquirer_fee_minor=30, **user)
        self.do("refund", original_transaction_id="P1", amount_minor=5000, issuer_fee_minor=18,
                network_fee_minor=2, acquirer_fee_minor=11)
        self.do("void", original_transaction_id="P2")
        self.do("dispute", transaction_id="DP1", original_transaction_id="P3", amount_minor=4000)
        self.do("dispute_release", original_transaction_id="DP1", amount_minor=4000)
        self.do("dispute", transaction_id="DP2", original_transaction_id="P4", amount_minor=3000)
        world.approved("dispute_capture", transaction_id="DC", original_transaction_id="DP2",
                       case_number="N")
        self.send("chargeback", transaction_id="CB", original_transaction_id="P5",
                  amount_minor=9000, case_number="N", **CNY)
        self.send("split", transaction_id="SP", merchant_id="M1", amount_minor=4000, **CNY,
                  original_transaction_id="P6",
                  parts=[{"merchant_id": "M2", "weight": 1}, {"merchant_id": "M4", "weight": 2}])
        self.do("refund", transaction_id="RS", original_transaction_id="P6", amount_minor=1000,
                issuer_fee_minor=4, network_fee_minor=0, acquirer_fee_minor=2)
        self.send("denied_payment", hold_id="H", original_transaction_id="P7", case_number="N")
        world.approved("hold_capture", result_id="HC", hold_id="H", to_account_id="1001",
                       amount_minor=2500, case_number="N")
        world.approved("hold_release", result_id="HR", hold_id="H", case_number="N")
        self.do("fee", amount_minor=300)

    def _accounts(self) -> None:
        world = self.world
        for name in ("W1", "W2"):
            self.do("withdrawal", withdrawal_id=name, amount_minor=5000, fee_minor=25)
            self.do("withdrawal_result", withdrawal_id=name)
        self.do("withdrawal_returned", withdrawal_id="W2")
        self.send("transfer", transaction_id="TR", user_id="U1", payee_id="U2", amount_minor=700,
                  authorisation=world.authorise("U1", "U2", 700), **CNY)
        world.approved("transfer_refund", transaction_id="TB", original_transaction_id="TR",
                       amount_minor=200, ground="wrong_amount",
                       authorisation=world.authorise("U2", "U1", 200), **CNY)
        for name in ("R1", "R2", "R3"):
            self.send("receipt", receipt_id=name, amount_minor=5000, **CNY)
        self.send("receipt_returned", return_id="RR", receipt_id="R2")
        world.approved("merchant_top_up", application_id="MT", merchant_id="M1", receipt_id="R1",
                       amount_minor=5000, **CNY)
        self.send("merchant_spend", transaction_id="MS", merchant_id="M1", amount_minor=1000,
                  fee_minor=10, **CNY)
        self.send("payout_on_behalf", transaction_id="PB", merchant_id="M1", user_id="U2",
                  amount_minor=1000, fee_minor=5, **CNY)
        self.send("wealth_purchase", transaction_id="WP", user_id="U1", product_id="F1",
                  amount_minor=3000, authorisation=world.authorise("U1", "F1", 3000), **CNY)
        self.send("wealth_redemption", transaction_id="WR", original_transaction_id="WP",
                  amount_minor=3010, **CNY)
        card = {"card_id": "K1", **CNY}
        self.send("prepaid_issue", transaction_id="KI", amount_minor=8000, **card)
        self.send("prepaid_load", transaction_id="KL", amount_minor=17000, **card)
        for name in ("KP", "KV"):
            self.send("prepaid_spend", transaction_id=name, merchant_id="M1", amount_minor=4000,
                      acquirer_fee_minor=20, authorisation=world.authorise("K1", "M1", 4000),
                      **card)
        self.do("void", original_transaction_id="KV")
        self.send("prepaid_pre_authorisation", transaction_id="KA", merchant_id="M1",
                  amount_minor=5000, authorisation=world.authorise("K1", "M1", 5000), **card)
        self.send("prepaid_completion", transaction_id="KC", original_transaction_id="KA",
                  merchant_id="M1", amount_minor=4000, acquirer_fee_minor=30, **card)
        self.send("prepaid_redeem", transaction_id="KR", amount_minor=6000, destination_id="DK",
                  authorisation=world.authorise("K1", "DK", 6000), **card)

    def _own_funds(self) -> None:
        """Those of the legs' own test, and what is left once a merchant has gone."""
        world = self.world
        world.register("authorise", authorisation_id="P", payer_id="U1", payee="M1",
                       amount_minor=60, method="password", **CNY)
        for number, (type_, values, approval, _) in enumerate(OWN_FUNDS):
            if type_ == "deposit_returned":
                continue
            command = {"movement_id": f"X{number}", "amount_minor": 1000, **CNY, **values}
            posted(world.approved(type_, **command) if approval else world.send(type_, **command))
        for name, owed in (("M1", 50), ("M2", 90)):
            self.send("claim_payment", movement_id=f"CP-{name}", merchant_id=name, claim="1201",
                      amount_minor=owed, **CNY)
        self.send("fee_prepayment", movement_id="FP", merchant_id="M4", amount_minor=500, **CNY)
        self.send("fee_charge", fee_id="FC", merchant_id="M4", fee_item="service",
                  amount_minor=200, **CNY)
        self.send("deposit_received", movement_id="DR", merchant_id="M4", amount_minor=800, **CNY)
        ended(world, "M4")
        self.send("fees_unused", movement_id="FU", merchant_id="M4", **CNY)
        self.send("deposit_returned", movement_id="DB", merchant_id="M4", amount_minor=300, **CNY)

    def _memo_books(self) -> None:
        world = self.world
        for name, number in (("TB", "B"), ("TS", "S")):
            for user in (f"{name}1", f"{name}2"):
                self.do("top_up", user_id=user, amount_minor=20_000)
            self.send("transfer", transaction_id=f"MT{number}", user_id=f"{name}1",
                      payee_id=f"{name}2", amount_minor=700,
                      authorisation=world.authorise(f"{name}1", f"{name}2", 700), **CNY)
            for n in range(3):
                self.do("payment", transaction_id=f"M{number}{n}", merchant_id=name,
                        amount_minor=10_000, **PLAIN)
            self.do("payment", transaction_id=f"M{number}I", merchant_id=name, channel="internal",
                    user_id=f"{name}1", amount_minor=2_000, **PLAIN)
            self.do("refund", original_transaction_id=f"M{number}I", amount_minor=500, **PLAIN)
            self.do("void", original_transaction_id=f"M{number}1")
            self.do("dispute", transaction_id=f"M{number}D", original_transaction_id=f"M{number}0",
                    amount_minor=1_000)
            self.send("chargeback", transaction_id=f"M{number}C", case_number="N",
                      original_transaction_id=f"M{number}2", amount_minor=3_000, **CNY)
            self.do("settlement", payout_id=f"M{number}S", merchant_id=name, amount_minor=4_000)
            self.do("payment", transaction_id=f"M{number}E", merchant_id=name,
                    currency_code="EUR", amount_minor=777, **PLAIN)
        self.send("own_funds", movement_id="OH", amount_minor=1_234, currency_code="HKD")
        self.send("settlement_result", result_id="MBR", payout_id="MBS", result="succeeded")
        self.do("withdrawal", withdrawal_id="MBW", user_id="TB2", amount_minor=5_000, fee_minor=0,
                destination_id="DB1")
        self.do("withdrawal_result", withdrawal_id="MBW")
        world.approved("compensation", movement_id="MBX", user_id="TB1", case_number="N",
                       finding="this_institution", evidence="E", amount_minor=100, **CNY)

    def _currencies(self) -> None:
        for currency in FOREIGN:
            self.do("payment", transaction_id=f"P-{currency}", currency_code=currency,
                    amount_minor=1999, acquirer_fee_minor=7, issuer_fee_minor=0,
                    network_fee_minor=0)
            self.do("refund", original_transaction_id=f"P-{currency}", currency_code=currency,
                    amount_minor=1000, acquirer_fee_minor=4, issuer_fee_minor=0,
                    network_fee_minor=0)
        self._exchange("user_id", "U1", "USD", 10_005, "CNY", 71_061, "7.10255")
        self._exchange("user_id", "U2", "KWD", 2_345, "JPY", 1_172, "499.787")
        self._exchange("merchant_id", "M1", "CNY", 1_000, "JPY", 209, "20.9")
        for number, gave in ((1, 720_05), (2, 690_00)):
            self._exchange("user_id", "U1", "USD", 10_000, "CNY", 71_000, "7.1")
            self.world.approved("exchange_settled", movement_id=f"DEAL{number}",
                                amount_minor=10_000, currency_code="USD", bought_minor=gave,
                                bought_currency_code="CNY")
        self.world.approved("exchange_result", movement_id="ER", **CNY)
        self._exchange("user_id", "U1", "USD", 5_000, "CNY", 35_500, "7.1")
        self.world.approved("exchange_settled", movement_id="DEAL3", amount_minor=5_000,
                            currency_code="USD", bought_minor=35_111, bought_currency_code="CNY")

    def _exchange(
        self, payer: str, name: str, sold: str, given: int, bought: str, gets: int, rate: str
    ) -> None:
        consent = self.world.authorise(
            name, "Q", given, sold, bought_minor=gets, bought_currency_code=bought
        )
        self.send(
            "merchant_exchange" if payer == "merchant_id" else "exchange", amount_minor=given,
            exchange_id=f"X-{self.world.number}", currency_code=sold, bought_minor=gets,
            bought_currency_code=bought, rate=rate, quote_id="Q", authorisation=consent,
            **{payer: name},
        )

    def _corrections(self) -> None:
        world = self.world
        self.do("settlement", payout_id="S1", amount_minor=6000)
        self.do("settlement", payout_id="S2", amount_minor=2000)
        self.send("settlement_returned", return_id="SR", payout_id="S2")
        why = {"incident_number": "N", "reason": "why"}
        leg = {**CNY, "amount_minor": 40, "component": "goodwill_of_a_person"}
        adjusted = [
            world.approved("adjustment", adjustment_id=name, **why, legs=[
                {"account_id": "2201:M1", "direction": "C", **leg},
                {"account_id": "1001", "direction": "D", **leg},
            ])
            for name in ("A1", "A2")
        ]
        wrong = [
            adjusted[0], self.do("payment", transaction_id="PW", amount_minor=1_000, **PLAIN),
            self.do("settlement", payout_id="SW", amount_minor=1_500),
            self.do("payment", transaction_id="PB9", merchant_id="TB", amount_minor=60, **PLAIN),
            self.do("top_up", top_up_id="TW", user_id="U1", currency_code="JPY", amount_minor=77),
        ]
        for number, done in enumerate(wrong):
            world.approved("reversal", adjustment_id=f"B{number}", journal_id=done["journal_id"],
                           **why)

    def second_date(self) -> None:
        """The day's own run pays what is due; a few movements that refer to the date before."""
        when = on(self.world, 1)
        self.do("payment", transaction_id="P20", merchant_id="M2", **when)
        self.do("void", original_transaction_id="P20", **when)
        self.do("refund", original_transaction_id="P8", amount_minor=2_000, issuer_fee_minor=0,
                network_fee_minor=0, acquirer_fee_minor=4, **when)
        self.do("dispute_release", original_transaction_id="MSD", amount_minor=1_000, **when)
        self.do("payment", transaction_id="P21", currency_code="JPY", amount_minor=12_345,
                **PLAIN, **when)
        run(self.world, 1)

    def third_date(self) -> None:
        when = on(self.world, 2)
        self.do("payment", transaction_id="P30", **when)
        self.do("void", original_transaction_id="P30", **when)
        self.do("payment", transaction_id="P31", **when)
        run(self.world, 2)

    # What is sent ----------------------------------------------------------------------------

    def close(self, number: int, *, keeps_back: bool = False) -> date:
        """Close a date, export it, and send what the others say of it.

        :param keeps_back: whether the bank books the clearing of the date on the next one
        """
        day = DAY + timedelta(number)
        self.world.close(day)
        done = export_day(self.settings, day, sent_at=_sent(day))
        control = read_control(done.journal_path)
        data = (done.journal_path / control.files[0].name).read_bytes()
        self.legs[day] = [orjson.loads(line) for line in data.splitlines()]
        self.balances[day] = {
            (account.account_id, account.currency_code): account.balance
            for account in self.world.ledger.state.all_accounts()
        }
        senders.send(self.settings, "transaction", self._transactions(day), day=day)
        senders.send(self.settings, "custodian_statement", self._statement(day, keeps_back),
                     day=day)
        senders.send(self.settings, "merchant", [
            senders.merchant(n, day, merchant_id=name, settlement_mode=MODES[mode],
                             settlement_cycle="T+0", minimum_payout="0.00")
            for n, (name, mode) in enumerate(MERCHANTS.items(), 1)
        ], day=day)
        senders.send(self.settings, "terminal", [senders.terminal(1, day, merchant_id="M1")],
                     day=day)
        return day

    def _transactions(self, day: date) -> list[dict[str, Any]]:
        sums: dict[tuple, int] = defaultdict(int)
        for leg in self.legs[day]:
            if leg["account_code"] in PENDING and leg["component"] in TRADED and (
                leg["journal_type"] not in ("adjustment", "reversal")
            ):
                key = (leg["business_key"], leg["journal_type"], leg["currency_code"])
                sums[key] += leg["amount_minor"] * (1 if leg["direction"] == "C" else -1)
        return [
            senders.transaction(
                number, day, transaction_id=key, transaction_type=KINDS.get(kind, kind),
                merchant_id="M1", currency_code=currency,
                amount=format(amount(abs(minor), currency), "f"), cvn2=None,
            )
            for number, ((key, kind, currency), minor) in enumerate(sums.items(), 1)
        ]

    def _statement(self, day: date, keeps_back: bool) -> list[dict[str, Any]]:
        moved: dict[tuple[str, str], int] = defaultdict(int)
        for reference, currency, minor in self.late:
            moved[reference, currency] += minor
        self.late = []
        for leg in self.legs[day]:
            if leg["account_code"] == "1001":
                key = (leg["custodian_reference"], leg["currency_code"])
                moved[key] += leg["amount_minor"] * (1 if leg["direction"] == "D" else -1)
        rows = []
        for currency in SCALES:
            lines = [("OPENING", "", self.bank[currency])]
            for (reference, kept), minor in moved.items():
                if kept != currency or not minor:
                    continue
                if keeps_back and reference.startswith("CLR-"):
                    self.late.append((reference, currency, minor))
                    continue
                lines.append(("MOVEMENT", reference, minor))
                self.bank[currency] += minor
            lines.append(("CLOSING", "", self.bank[currency]))
            rows += [
                senders.entry(
                    len(rows) + n, day, entry_type=kind, reference=reference or None,
                    direction="C" if minor >= 0 else "D", currency_code=currency,
                    amount=f"{amount(abs(minor), currency):f}", counterparty_account=None,
                    summary=None,
                )
                for n, (kind, reference, minor) in enumerate(lines, 1)
            ]
        return rows

    def sent_otherwise(
        self, day: date, sequence: int, rows: Iterable[dict[str, Any]]
    ) -> None:
        """Another journal of a date, as a faulty exporter would send it: signed, with honest
        totals. It takes the place of what is in the inbox."""
        folder = self.settings.path("landing", "inbox", "ledger_journal", str(day), "1")
        if folder.is_dir():
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
        rows = list(rows)
        totals: dict[str, Decimal] = defaultdict(Decimal)
        for row in rows:
            totals[row["currency_code"]] += amount(row["amount_minor"], row["currency_code"])
        data = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
        write_delivery(
            self.settings, "ledger_journal", day, sequence,
            [DeliveryFile("journal.jsonl", data, len(rows))], _sent(day), "ledger-1", totals,
        )


def _sent(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 23, 50, tzinfo=SHANGHAI)
