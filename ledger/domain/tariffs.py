"""Fees of withdrawals, by currency (rule D1.11). Rates are shares of an amount; the least fee and
the bound above which a checker is asked are minor units, so they are of one currency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.domain.documents import Values, put
from ledger.domain.operations import Context, Plan
from ledger.domain.refusals import Refusal
from ledger.domain.state import State

#: Fees of withdrawals until a tariff is set.
DEFAULT_TARIFF: Mapping[str, Any] = {
    "bank_ppm": 5000, "third_party_ppm": 10000, "least_minor": 0, "approval_above_minor": None,
}
_KEY = "withdrawal"
#: Version of the withdrawal's template up to which the one tariff held for every currency.
ONE_FOR_ALL = 3


def _key(state: State, currency: str | None) -> str:
    base = state.chart.base_currency
    return _KEY if currency in (None, base) else f"{_KEY}/{currency}"


def tariff(state: State, v: Values, c: Context) -> Plan | Refusal:
    """The tariff of a currency; where none is named, of the base currency."""
    return put("tariff", _key(state, v.get("currency_code")), {
        "id": v["tariff_id"], "bank_ppm": v["bank_ppm"],
        "third_party_ppm": v["third_party_ppm"], "least_minor": v["least_minor"],
        "approval_above_minor": v.get("approval_above_minor"),
    })


def in_force(state: State, currency: str | None, version: int | None = None) -> Mapping[str, Any]:
    """The tariff for an amount of a currency. Until one is set for a currency other than the base,
    the base currency's rates hold for it, no least fee, and where the base currency has a bound for
    a checker every withdrawal asks one: its minor units say nothing of another currency.

    :param version: of the template by which it was booked; None: today's
    """
    found = state.tables.get("tariff")
    if not found:
        return DEFAULT_TARIFF
    base = found.get(_KEY, DEFAULT_TARIFF)
    key = _key(state, currency)
    if key == _KEY or (version is not None and version <= ONE_FOR_ALL):
        return base
    return found.get(key) or {
        **base, "least_minor": 0,
        "approval_above_minor": None if base["approval_above_minor"] is None else 0,
    }
