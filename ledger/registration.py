"""Registering an institution's people, merchants and users with a ledger service, by maker and
checker; may be repeated without harm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ledger.client import BATCH_LIMIT, LedgerClient, Signer
from paylake.crypto import PrivateKey
from paylake.errors import PermanentFailure

#: Modules of the operations in which the group may enter and review; `authority` comes last, for
#: with two reviewers in it the first registration ends.
MODULES = (
    "account_status", "accounts", "acquiring", "advances", "authorisations", "bills",
    "callers",
    "compensation", "contracts", "corrections", "deposits", "destinations", "disputes", "fees",
    "holds", "limits", "merchant_balance", "own_funds", "parties", "periods", "points", "prepaid",
    "receipts", "sessions", "settlement", "stops", "wealth", "authority",
)


@dataclass(frozen=True)
class Person:
    """An operator: id, name shown, and the key."""

    operator_id: str
    name: str
    key: PrivateKey

    def signer(self) -> Signer:
        """Signs this person's requests."""
        return Signer(f"operator:{self.operator_id}", self.key)


class Registration:
    """The house's own system and two people, on one ledger.

    :param system: a client with the house's token
    :param maker, checker: clients that sign as two operators
    :param occurred_at: time of the commands, for a simulated ledger; None for a real one
    """

    def __init__(
        self, system: LedgerClient, maker: LedgerClient, checker: LedgerClient, person: Person,
        occurred_at: str | None,
    ) -> None:
        self.system = system
        self.maker = maker
        self.checker = checker
        self.person = person
        self.occurred_at = occurred_at

    def _command(self, type_: str, key: str, **values: Any) -> dict[str, Any]:
        command = {"type": type_, "idempotency_key": key, **values}
        if self.occurred_at is not None:
            command["occurred_at"] = self.occurred_at
        return command

    def people(self, persons: Sequence[Person], group: str = "staff") -> None:
        """The first people, and one group with every right."""
        commands = []
        for person in persons:
            name = person.operator_id
            commands += [
                self._command(
                    "operator", f"operator-{name}", operator_id=name, operator_name=person.name,
                    public_key=person.key.public.point, enabled=True,
                ),
                self._command(
                    "membership", f"member-{group}-{name}", operator_id=name, group_id=group,
                    member=True,
                ),
            ]
        commands += [
            self._command(
                "right", f"right-{group}-{module}-{duty}", group_id=group, module=module,
                duty=duty, allowed=True,
            )
            for module in MODULES for duty in ("enter", "review")
        ]
        send(self.system, commands)

    def reviewed(self, commands: Iterable[Mapping[str, Any]]) -> None:
        """Commands that need a checker: entered by the maker, approved by the checker."""
        listed = [dict(command) for command in commands]
        if not listed:
            return
        send(self.maker, listed, {"posted", "pending"})
        waiting = self.system.pending()
        send(self.checker, [
            self._command(
                "approve", f"approve-{row['sequence']}", pending=row["sequence"],
                operator_id=self.person.operator_id,
                signature=self.person.key.sign(bytes.fromhex(row["digest"])).hex(),
            )
            for row in waiting
        ])

    def merchants(
        self, merchants: Sequence[Mapping[str, Any]], channels: Sequence[str],
        accounts: Iterable[Mapping[str, str]],
    ) -> None:
        """Active merchants with contracts, onboarded to channels, each with a bound account.

        :param merchants: each with `merchant_id`, `settlement_mode`, `settlement_cycle`,
            `minimum_minor`, `fee_choice`, `access_fee_minor`, `use_fee_minor`, `valid_from`;
            both fees 0, for what is asked at the start has to be paid before
        :param channels: the channels that each is paid over
        :param accounts: where they are paid, as for :meth:`bound`
        """
        self.reviewed(
            self._command(
                "party", f"party-{m['merchant_id']}", party_id=m["merchant_id"],
                party_kind="merchant",
            )
            for m in merchants
        )
        self.contracts(merchants)
        self.bound(accounts)
        send(self.system, [
            self._command(
                "channel_onboarded", f"onboarded-{m['merchant_id']}-{channel}",
                onboarding_id=f"ON-{m['merchant_id']}-{channel}", merchant_id=m["merchant_id"],
                channel=channel, details={"merchant_number": m["merchant_id"]},
            )
            for m in merchants for channel in channels
        ])
        send(self.system, [
            self._command(
                "party_state", f"active-{m['merchant_id']}", party_id=m["merchant_id"],
                state="active",
            )
            for m in merchants
        ])

    def contracts(self, contracts: Iterable[Mapping[str, Any]]) -> None:
        """Contracts, or their next versions.

        :param contracts: each as one of :meth:`merchants`
        """
        self.reviewed(
            self._command(
                "contract", f"contract-{m['merchant_id']}-{m['valid_from']}",
                contract_id=f"C-{m['merchant_id']}-{m['valid_from']}", **m,
            )
            for m in contracts
        )

    def ended(self, states: Mapping[str, str], on: str) -> None:
        """Merchants that the institution suspends or whose business it ends (rule D0.46).

        :param states: `suspended` or `cancelled` by merchant
        :param on: the date, as part of the keys and of the evidence's number
        """
        self.reviewed(
            self._command(
                "party_state", f"{state}-{merchant}-{on}", party_id=merchant, state=state,
                suspension_ground="4", evidence=f"E-{merchant}-{on}",
            )
            for merchant, state in states.items()
        )

    def bound(self, accounts: Iterable[Mapping[str, str]]) -> None:
        """The settlement accounts of merchants, `S-<merchant>`: they are paid there alone.

        :param accounts: each with `party_id`, `bound_account`, `bound_name`, `bank_code`
        """
        self.reviewed(
            self._command(
                "destination", f"destination-{account['party_id']}",
                destination_id=f"S-{account['party_id']}", **account,
            )
            for account in accounts
        )

    def users(self, users: Sequence[str]) -> None:
        """Active users, each with a bound account."""
        send(self.system, [
            command for user in users for command in (
                self._command(
                    "party", f"party-{user}", party_id=user, party_kind="user",
                    identity_check=f"ID-{user}",
                ),
                self._command(
                    "bind_account", f"bind-{user}", destination_id=f"B-{user}", party_id=user,
                    bound_account=f"demo account of {user}", bound_name=user,
                    bank_code="ICBC",
                ),
            )
        ])


def send(
    client: LedgerClient, commands: Sequence[dict[str, Any]],
    good: frozenset[str] | set[str] = frozenset({"posted"}),
) -> list[dict[str, Any]]:
    """Send commands in batches.

    :raises PermanentFailure: naming the first that the ledger refused
    """
    results: list[dict[str, Any]] = []
    for start in range(0, len(commands), BATCH_LIMIT):
        part = commands[start : start + BATCH_LIMIT]
        for command, result in zip(part, client.batch(part), strict=True):
            if result["status"] not in good:
                raise PermanentFailure(
                    f"the ledger refused {command['type']} {command['idempotency_key']}: "
                    f"{result['reason']} ({result['detail']})",
                    "correct what it names, then send it again",
                )
            results.append(dict(result))
    return results
