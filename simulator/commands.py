"""A date's operations as commands of the ledger."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np

from simulator import reference as ref
from simulator.population import Population
from simulator.records import (
    DISPUTE,
    FEE,
    KINDS,
    PAYMENT,
    REFUND,
    SETTLEMENT,
    TOP_UP,
    WITHDRAWAL,
    Day,
    Operations,
)
from simulator.shape import CUTOFF_HOUR

CURRENCY = "CNY"
_UTC_OFFSET_HOURS = 8  # Asia/Shanghai has no summer time
_KEY_FIELD = {
    PAYMENT: "transaction_id", REFUND: "transaction_id", FEE: "fee_id", SETTLEMENT: "payout_id",
    TOP_UP: "top_up_id", WITHDRAWAL: "withdrawal_id", DISPUTE: "transaction_id",
}


def utc_texts(day: date, second: np.ndarray) -> list[str]:
    """Seconds of a business date as the ledger writes times: UTC, `2026-09-12T02:11:12Z`."""
    begin = np.datetime64(day - timedelta(days=1), "s")
    begin = begin + np.timedelta64(CUTOFF_HOUR - _UTC_OFFSET_HOURS, "h")
    texts = np.datetime_as_string(begin + second.astype("timedelta64[s]"), unit="s")
    return [f"{text}Z" for text in texts.tolist()]


def commands(people: Population, day: Day) -> list[dict[str, Any]]:
    """Commands of a date in the order in which things happened.

    The business key is the idempotency key too: sending a date twice posts it once. What a user
    pays or withdraws is authorised just before, and a withdrawal's result follows at once.
    """
    operations = day.operations
    merchant_ids = [m.merchant_id for m in people.merchants]
    user_ids = people.user_ids(np.arange(people.users)).tolist()
    found: list[dict[str, Any]] = []
    for kind, key, origin, party, user, channel, amount, issuer, network, acquirer, at in zip(
        *(getattr(operations, name).tolist() for name in (
            "kind", "key", "origin", "party", "user", "channel", "amount", "issuer_fee",
            "network_fee", "acquirer_fee",
        )),
        utc_texts(day.day, operations.second), strict=True,
    ):
        command: dict[str, Any] = {
            "type": KINDS[kind], "idempotency_key": key, "occurred_at": at,
            "currency_code": CURRENCY, "amount_minor": amount, _KEY_FIELD[kind]: key,
        }
        if kind in (PAYMENT, REFUND):
            command["issuer_fee_minor"] = issuer
            command["network_fee_minor"] = network
            command["acquirer_fee_minor"] = acquirer
        if kind == PAYMENT:
            command["merchant_id"] = merchant_ids[party]
            command["channel"] = ref.CHANNELS[channel]
            if user >= 0:
                command["user_id"] = user_ids[user]
        elif kind in (REFUND, DISPUTE):
            command["original_transaction_id"] = origin
        elif kind in (FEE, SETTLEMENT):
            command["merchant_id"] = merchant_ids[party]
            if kind == SETTLEMENT:
                command["destination_id"] = f"S-{command['merchant_id']}"
            else:
                command["notice_number"] = f"N-{key}"
        else:
            command["user_id"] = user_ids[party]
            if kind == WITHDRAWAL:
                command["fee_minor"] = acquirer
                command["destination_id"] = f"B-{command['user_id']}"
        payee = command.get("destination_id") or command.get("merchant_id")
        if "user_id" in command and payee is not None:
            command["authorisation"] = f"A-{key}"
            found.append(_authorised(command, payee))
        found.append(command)
        if kind == WITHDRAWAL:
            found.append({
                "type": "withdrawal_result", "idempotency_key": f"R-{key}", "occurred_at": at,
                "result_id": f"R-{key}", "withdrawal_id": key, "result": "succeeded",
            })
    return found


def _authorised(command: dict[str, Any], payee: str) -> dict[str, Any]:
    """The payer's authorisation of a command."""
    name = command["authorisation"]
    return {
        "type": "authorise", "idempotency_key": name, "occurred_at": command["occurred_at"],
        "authorisation_id": name, "payer_id": command["user_id"], "payee": payee,
        "amount_minor": command["amount_minor"], "currency_code": command["currency_code"],
        "method": "password",
    }


def parties(people: Population, operations: Operations) -> tuple[list[str], list[str]]:
    """Merchants and users of a date's operations, by id."""
    by_merchant = np.isin(operations.kind, (PAYMENT, REFUND, FEE, SETTLEMENT, DISPUTE))
    by_user = np.isin(operations.kind, (TOP_UP, WITHDRAWAL))
    users = np.unique(np.concatenate([
        operations.party[by_user], operations.user[operations.user >= 0]
    ]))
    merchants = [people.merchants[i].merchant_id for i in
                 np.unique(operations.party[by_merchant]).tolist()]
    return merchants, people.user_ids(users).tolist() if len(users) else []


def accounts(people: Population, operations: Operations) -> list[dict[str, Any]]:
    """Every account that a date's operations move, to be opened before them."""
    by_merchant = np.isin(operations.kind, (PAYMENT, REFUND, FEE, SETTLEMENT, DISPUTE))
    by_user = np.isin(operations.kind, (TOP_UP, WITHDRAWAL))
    merchants = np.unique(operations.party[by_merchant])
    disputed = np.unique(operations.party[operations.kind == DISPUTE])
    users = np.unique(np.concatenate([
        operations.party[by_user], operations.user[operations.user >= 0]
    ]))
    merchant_ids = [m.merchant_id for m in people.merchants]
    wanted = [(code, None) for code in ("1001", "2301", "2401")]
    wanted += [("2201", merchant_ids[index]) for index in merchants.tolist()]
    wanted += [("2202", merchant_ids[index]) for index in disputed.tolist()]
    wanted += [("2101", user) for user in people.user_ids(users).tolist()] if len(users) else []
    return [
        {"account_code": code, "party_id": party, "currency_code": CURRENCY}
        for code, party in wanted
    ]
