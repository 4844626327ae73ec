"""Handlers of the operations whose legs a template cannot say: holds and compensations; and of
limits and rights, which refer to scenes and modules of the templates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ledger.domain import grades, people, shards
from ledger.domain.chart import SHARD
from ledger.domain.holds import HoldKind, ends_on, left, reduced
from ledger.domain.operations import Context, Leg, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

Values = Mapping[str, Any]
#: Kind of the holds on denied payments, and what a payment keeps: the date of its first one. It is
#: no counter of the templates, for it does not keep a payment from being reversed.
DENIED, FIRST_DENIED = "denied", "denied_on"


class Movements:
    """The handlers, over the kinds of holds, the scenes of limits and the modules of rights.

    :param scenes: interface class by scene
    :param scene_codes: by scene the codes of the accounts that it counts for
    """

    def __init__(
        self, kinds: Mapping[str, HoldKind], scenes: Mapping[str, str], modules: Collection[str],
        scene_codes: Mapping[str, Collection[str]],
    ) -> None:
        self.kinds = kinds
        self.scenes = scenes
        self.modules = modules
        self.scene_codes = scene_codes

    def place(
        self, state: State, kind_name: str, hold_id: str, account_id: str, currency: str,
        amount: int | None, case: str, c: Context, expires_on: str | None = None,
    ) -> dict[str, Any] | Refusal:
        """The document of a new hold, or why it cannot be placed."""
        kind = self.kinds[kind_name]
        account = state.account(account_id, currency)
        if account is None:
            return Refusal(
                "account_not_open", f"account {account_id} in {currency} is not open",
                "account_id",
            )
        if SHARD in account_id or any(shards.shards_of(state, account)):
            return Refusal(
                "hold_not_allowed", f"account {account_id} is kept in shards", "account_id"
            )
        modes = state.chart.modes.values()
        if kind.codes and account.code not in {m[code] for m in modes for code in kind.codes}:
            return Refusal(
                "hold_not_allowed", f"a {kind_name} hold is not for {account.code}", "account_id"
            )
        scope = "account" if amount is None else "amount"
        if kind.scope not in ("either", scope):
            return Refusal(
                "hold_not_allowed", f"a {kind_name} hold is on an {kind.scope}", "amount_minor"
            )
        if expires_on is not None and kind.no_expiry:
            return Refusal(
                "hold_not_allowed", f"a {kind_name} hold takes no date of its own", "expires_on"
            )
        if amount is not None and not kind.exceeds and account.floor is not None and (
            account.available - amount < account.floor
        ):
            return Refusal(
                "below_floor",
                f"account {account_id} may not go below {account.floor} minor units",
            )
        return {
            "kind": kind_name, "scope": scope, "account_id": account_id,
            "currency_code": currency, "placed": amount or 0, "captured": 0, "released": 0,
            "case": case, "placed_on": c.booking_date,
            "expires_on": ends_on(kind, c.booking_date, expires_on), "ended": False,
        }

    def hold(self, state: State, v: Values, c: Context) -> Plan | Refusal:
        """A hold on an amount, or on the whole account (rules D0.10, D0.15, D0.16)."""
        kind = self.kinds[v["hold_kind"]]
        if kind.released_by == "operation":
            return Refusal(
                "hold_not_allowed", f"a {kind.name} hold is placed by its operation", "hold_kind"
            )
        if kind.name == DENIED:
            return Refusal(
                "hold_not_allowed", "a denied payment is frozen by denied_payment, which names it",
                "hold_kind",
            )
        ends = v.get("expires_on")
        if ends is not None and ends < c.booking_date:
            return Refusal("hold_not_allowed", f"it would have ended on {ends}", "expires_on")
        document = self.place(
            state, v["hold_kind"], v["hold_id"], v["account_id"], v["currency_code"],
            v.get("amount_minor"), v["case_number"], c, ends,
        )
        if isinstance(document, Refusal):
            return document
        return Plan([], effects=[["hold", v["hold_id"], document]])

    def denied_payment(self, state: State, v: Values, c: Context) -> Plan | Refusal:
        """Exactly the amount of the payment, or what is left of it and not frozen by an earlier
        denial, on pending settlement; if less is there the rest is filled by later settlements,
        for the hold may exceed the balance and nothing is paid out while it does (rule D0.13).
        However often it is denied, its days count from the first freeze (rule D0.15)."""
        original = c.original
        assert original is not None
        frozen = state.frozen.get(v["original_transaction_id"], 0)
        amount = (
            original["amount_minor"] - original["refunded"] - original["charged_back"]
            - original["disputed"] - frozen
        )
        if amount <= 0:
            return Refusal("exceeds_original", "nothing is left of the payment that is not frozen")
        document = self.place(
            state, DENIED, v["hold_id"], f"{c.codes['2201']}:{original['merchant_id']}",
            original["currency_code"], amount, v["case_number"], c,
        )
        if isinstance(document, Refusal):
            return document
        first = original.get(FIRST_DENIED)
        if not first and frozen:  # the template of before left the date in the hold alone
            first = min(
                hold["placed_on"] for hold in state.holds.values()
                if hold.get("original") == v["original_transaction_id"]
            )
        first = first or c.booking_date
        ends = ends_on(self.kinds[DENIED], first, None)
        if ends is not None and ends < c.booking_date:
            return Refusal(
                "hold_not_allowed",
                f"the payment was frozen on {first} first, so until {ends} at the latest",
                "original_transaction_id",
            )
        return Plan([], {FIRST_DENIED: first}, effects=[
            ["hold", v["hold_id"], {
                **document, "expires_on": ends, "original": v["original_transaction_id"],
                "route": _route(original, c.codes),
            }]
        ])

    def _part(self, v: Values, hold: Mapping[str, Any]) -> int | Refusal:
        amount = v.get("amount_minor")
        if hold["scope"] == "account":
            return 0 if amount is None else Refusal(
                "hold_not_allowed", "the hold is on the whole account", "amount_minor"
            )
        if amount is None:
            return left(hold)
        if amount > left(hold):
            return Refusal(
                "exceeds_hold", f"{left(hold)} minor units are left of the hold", "amount_minor"
            )
        return amount

    def hold_release(self, state: State, v: Values, c: Context) -> Plan | Refusal:
        """Whole or in part, by who may release this kind (rules D0.15, D0.16)."""
        hold = c.hold
        assert hold is not None
        kind = self.kinds[hold["kind"]]
        if kind.released_by == "operation":
            return Refusal("hold_not_allowed", "its operation's result releases it", "hold_id")
        amount = _of_its_order(kind, v, hold) or self._part(v, hold)
        if isinstance(amount, Refusal):
            return amount
        return Plan([], effects=[["hold", v["hold_id"], reduced(hold, "released", amount)]])

    def hold_capture(self, state: State, v: Values, c: Context) -> Plan | Refusal:
        """Held money goes to another account of the same books; that of a denied payment goes
        the original's route back and counts against the original (rule D0.14), as it does where an
        authority that took it over has it given back to the payer's own account."""
        hold = c.hold
        assert hold is not None
        kind = self.kinds[hold["kind"]]
        if hold["scope"] == "account" or kind.released_by == "operation":
            return Refusal("hold_not_allowed", f"a {hold['kind']} hold is not captured here")
        amount = _of_its_order(kind, v, hold) or self._part(v, hold)
        if isinstance(amount, Refusal):
            return amount
        counters, route = None, hold.get("route")
        effects: list[list] = [["hold", v["hold_id"], reduced(hold, "captured", amount)]]
        own = hold["kind"] == DENIED and route is not None
        if own and v["to_account_id"] != route:
            return Refusal("hold_not_allowed", f"the payment came from {route}", "to_account_id")
        # an order may take the money anywhere; out of the reserve it need not be to the payer
        if own or (v["to_account_id"] == route and ":" in route):
            original = c.original
            assert original is not None
            given_back = original["refunded"] + original["disputed"] + original["charged_back"]
            if amount > original["amount_minor"] - given_back:
                return Refusal(
                    "exceeds_original",
                    f"{original['amount_minor'] - given_back} minor units are left",
                    "amount_minor",
                )
            counters = {"charged_back": original["charged_back"] + amount}
            rested = min(original["rests"], amount)
            if rested:  # what is given back rests no more (rule D0.11)
                effects.append([
                    "quiet", hold["account_id"], hold["currency_code"], hold["original"], -rested,
                    original["rests_until"],
                ])
        currency = hold["currency_code"]
        reference = v["result_id"] if v["to_account_id"] == c.codes["1001"] else None
        return Plan(
            [
                [hold["account_id"], currency, "D", amount, "capture", None],
                [v["to_account_id"], currency, "C", amount, "capture", reference],
            ],
            counters, effects=effects,
        )

    def hold_takeover(self, state: State, v: Values, c: Context) -> Plan | Refusal:
        """An authority's order takes the hold over; its own end applies (rule D0.15). Money under
        an order waits for that authority's release (rule D0.16): no other takes its place."""
        hold = c.hold
        assert hold is not None
        released_by, ends = self.kinds[hold["kind"]].released_by, v.get("expires_on")
        if released_by == "operation":
            return Refusal(
                "hold_not_allowed", "money that is under way to the bank cannot be taken over",
                "hold_id",
            )
        if released_by == "authority":
            return Refusal(
                "hold_not_allowed",
                f"it is under order {hold['case']}; another order is a hold of its own", "hold_id",
            )
        if ends is not None and ends < c.booking_date:
            return Refusal("hold_not_allowed", f"the order ended on {ends}", "expires_on")
        return Plan([], effects=[["hold", v["hold_id"], {
            **hold, "kind": "authority", "case": v["case_number"], "expires_on": ends,
        }]])

    def hold_expiry(self, state: State, v: Values, c: Context) -> Plan | Refusal:
        """Released by the system on its last date, without interest (rule D0.15)."""
        hold = c.hold
        assert hold is not None
        if hold["expires_on"] is None or hold["expires_on"] > c.booking_date:
            return Refusal("hold_not_allowed", "it has not come to its end", "hold_id")
        return Plan([], effects=[["hold", v["hold_id"], reduced(hold, "released", left(hold))]])

    def limit(self, state: State, v: Values, c: Context) -> Plan | Refusal:
        """A limit by scene, account kind and grade, with validity (rules D0.45, D2.9); its
        interface class is that of its scene (rule D2.24)."""
        if v["scene"] not in self.scenes:
            return Refusal(
                "register_differs", "a scene is one of: " + ", ".join(sorted(self.scenes)),
                "scene",
            )
        if v["account_code"] not in state.chart.classes:
            return Refusal(
                "register_differs", f"{v['account_code']} is not in the chart of accounts",
                "account_code",
            )
        counted = {
            codes.get(code, code) for codes in state.chart.modes.values()
            for code in self.scene_codes[v["scene"]]
        }
        if v["account_code"] not in counted:  # it would limit nothing
            return Refusal(
                "register_differs",
                f"{v['scene']} counts for accounts of " + ", ".join(sorted(counted)),
                "account_code",
            )
        names = (
            "scene", "account_code", "grade", "currency_code", "single_minor", "batch_minor",
            "batch_count", "day_minor", "day_count", "month_minor", "month_count", "valid_from",
            "valid_to",
        )
        return Plan([], effects=[["put", "limit", v["limit_id"], {
            "id": v["limit_id"], "interface_class": self.scenes[v["scene"]],
            **{n: v[n] for n in names if n in v},
        }]])

    def right(self, state: State, v: Values, c: Context) -> Plan | Refusal:
        """A right of a group in one of the modules (rule D4a.6)."""
        return people.right(state, v, c, self.modules)

    def grade_terms(self, state: State, v: Values, c: Context) -> Plan | Refusal:
        """What a grade entails beside its limits; it bars scenes of the templates."""
        return grades.grade_terms(state, v, c, self.scenes)

    def compensation(self, state: State, v: Values, c: Context) -> Plan | Refusal:
        """A customer's loss, in full: out of the provision as far as it goes, the rest an expense
        of own funds (rule D0.61). The shares come of the provision alone: what is available above
        its floor. It goes to the customer's book, whoever manages the money behind it."""
        amount, currency, user = v["amount_minor"], v["currency_code"], v["user_id"]
        provision = state.account("2701", currency)
        # no provision was ever formed: own funds bear the whole
        there = 0 if provision is None else (
            shards.balance(state, provision) - provision.held - (provision.floor or 0)
        )
        covered = max(0, min(amount, there))
        legs: list[Leg] = []
        if covered:
            legs.append(["2701", currency, "D", covered, "compensation", None])
        if covered < amount:
            legs.append(["6401", currency, "D", amount - covered, "compensation", None])
        return Plan([
            *legs, ["1101", currency, "C", amount, "compensation", None],
            [c.codes["1001"], currency, "D", amount, "deposit", v["movement_id"]],
            [f"{c.codes['2101']}:{user}", currency, "C", amount, "compensation", None],
        ])


def _route(original: Mapping[str, Any], codes: Mapping[str, str]) -> str:
    """The account that a payment came from."""
    for code, name in (("2101", "user_id"), ("2501", "card_id")):
        if original.get(name) is not None:
            return f"{codes[code]}:{original[name]}"
    return codes["1001"]


def _of_its_order(kind: HoldKind, v: Values, hold: Mapping[str, Any]) -> Refusal | None:
    """What an authority holds moves by that authority's own order alone (rule D0.16)."""
    if kind.released_by != "authority" or v["case_number"] == hold["case"]:
        return None
    return Refusal("hold_not_allowed", f"only order {hold['case']} itself frees it", "case_number")
