"""The institution's people, merchants and users, as the ledger wants to know them."""

from __future__ import annotations

from datetime import date
from typing import Any

from ledger.client import LedgerClient
from ledger.registration import Person, Registration
from paylake.keys import Keyring
from paylake.settings import Settings
from simulator.population import Merchant, Population
from simulator.reference import SETTLEMENT_BANKS

#: Two invented people with demo keys: who enters, and who reviews.
MAKER, CHECKER = "maker-demo", "checker-demo"
#: Every merchant takes cards over both networks and payments from payment accounts.
_CHANNELS = ("unionpay", "netsunion", "internal")
_NAMES = {MAKER: "录入岗（演示）", CHECKER: "复核岗（演示）"}


class Registrar:
    """Registers what a date's operations need, once.

    :param system: the client with the house's token
    """

    def __init__(self, settings: Settings, system: LedgerClient, people: Population) -> None:
        keyring = Keyring(settings)
        self.persons = [
            Person(name, _NAMES[name], keyring.private(f"operator-{name}"))
            for name in (MAKER, CHECKER)
        ]
        self.system = system
        self.population = people
        # Who has an account was registered by an earlier call; what a date had only begun is
        # sent again with the same keys and times.
        balances = system.balances()
        self._known = {row["party_id"] for row in balances} - {None}
        self._people = bool(self._known)
        # Merchants that an older program registered have no bound account, none of them.
        pending = [row["account_id"] for row in balances if row["account_code"] == "2201"]
        self._bound = (
            set(self._known) if pending and system.standing(pending[0])["destinations"] else set()
        )

    def register(self, merchants: list[str], users: list[str], day: date, at: str) -> None:
        """Register people at the first call, and merchants and users that are not yet.

        :param at: time of the commands, UTC text
        """
        maker, checker = self.persons
        with (
            self.system.as_signer(maker.signer()) as entering,
            self.system.as_signer(checker.signer()) as reviewing,
        ):
            registration = Registration(self.system, entering, reviewing, checker, at)
            if not self._people:
                registration.people(self.persons)
                self._people = True
            known = {m.merchant_id: m for m in self.population.merchants} | {
                m.merchant_id: m for m in self.population.merchants_as_of(day) if m is not None
            }
            changed, ended = self._changed(day)
            registration.contracts([_contract(known[name], day) for name in changed])
            registration.ended(ended, day.isoformat())
            new = [name for name in merchants if name not in self._known]
            registration.merchants(
                [_contract(known[name], day) for name in new], _CHANNELS,
                [_account(known[name]) for name in new],
            )
            registration.bound(
                _account(known[name]) for name in merchants
                if name in self._known and name not in self._bound
            )
            registration.users([name for name in users if name not in self._known])
        self._known.update(merchants, users)
        self._bound.update(merchants)

    def _changed(self, day: date) -> tuple[list[str], dict[str, str]]:
        """Merchants of before whose contract changes on a date, and the states of those that stop
        then."""
        changed: dict[str, None] = {}
        ended: dict[str, str] = {}
        for change in self.population.changes:
            name = self.population.merchants[change.index].merchant_id
            if change.day != day or name not in self._known:
                continue
            if change.field == "minimum_payout":
                changed[name] = None
            elif change.field == "status":
                ended[name] = str(change.value)
        return list(changed), ended


def _account(merchant: Merchant) -> dict[str, str]:
    """Where a merchant is paid."""
    return {
        "party_id": merchant.merchant_id, "bound_account": merchant.settlement_account,
        "bound_name": merchant.name,
        "bank_code": f"B{SETTLEMENT_BANKS.index(merchant.settlement_bank) + 1}",
    }


def _contract(merchant: Merchant, day: date) -> dict[str, Any]:
    """The terms of a merchant from a date on. The acquired card money of every merchant is the
    institution's to settle; the registry's mode is about the books of a platform's own users."""
    return {
        "merchant_id": merchant.merchant_id, "settlement_mode": "institution",
        "settlement_cycle": merchant.settlement_cycle, "minimum_minor": merchant.minimum_payout,
        "fee_choice": "bill", "access_fee_minor": 0, "use_fee_minor": 0,
        "valid_from": day.isoformat(),
    }
