"""Operations as legs (design.md, section 5). Each gives legs that balance, zero legs left out."""

from __future__ import annotations

from ledger.domain.chain import Leg
from ledger.domain.commands import Command
from ledger.domain.money import returned_fee
from ledger.domain.refusals import Refusal

RESERVE = "1001"
USER = "2101:"
MERCHANT = "2201:"
DISPUTED = "2202:"
FEES = "2301"

#: The journal type of each command type.
JOURNAL_TYPE = {
    "payment": "payment", "refund": "refund", "fee": "fee", "settlement": "settlement",
    "top_up": "top_up", "withdrawal": "withdrawal", "dispute": "dispute",
    "dispute_release": "dispute",
}


class Payment:
    """What later commands need to know of a payment. Amounts in minor units."""

    __slots__ = (
        "acquirer_fee", "channel", "currency_code", "disputed", "gross", "issuer_fee",
        "merchant_id", "network_fee", "refunded", "returned_acquirer_fee",
        "returned_issuer_fee", "returned_network_fee", "sequence", "user_id",
    )

    def __init__(
        self, sequence: int, merchant_id: str, user_id: str | None, channel: str,
        currency_code: str, gross: int, issuer_fee: int, network_fee: int, acquirer_fee: int,
        refunded: int = 0, returned_issuer_fee: int = 0, returned_network_fee: int = 0,
        returned_acquirer_fee: int = 0, disputed: int = 0,
    ) -> None:
        self.sequence = sequence
        self.merchant_id = merchant_id
        self.user_id = user_id
        self.channel = channel
        self.currency_code = currency_code
        self.gross = gross
        self.issuer_fee = issuer_fee
        self.network_fee = network_fee
        self.acquirer_fee = acquirer_fee
        self.refunded = refunded
        self.returned_issuer_fee = returned_issuer_fee
        self.returned_network_fee = returned_network_fee
        self.returned_acquirer_fee = returned_acquirer_fee
        self.disputed = disputed

    @property
    def left(self) -> int:
        """What may still be refunded or disputed: gross less refunds and open disputes."""
        return self.gross - self.refunded - self.disputed


class Dispute:
    """A dispute: its journal, its payment, its amount, and the journal that released it."""

    __slots__ = ("amount", "payment", "released_by", "sequence")

    def __init__(
        self, sequence: int, payment: Payment, amount: int, released_by: int | None = None
    ) -> None:
        self.sequence = sequence
        self.payment = payment
        self.amount = amount
        self.released_by = released_by


def clearing_reference(channel: str, booking_date: str) -> str:
    """The custodian's reference for a channel's one sum of a date: `CLR-unionpay-20260912`."""
    return f"CLR-{channel}-{booking_date.replace('-', '')}"


def payment_legs(command: Command, booking_date: str) -> list[Leg] | Refusal:
    """Legs of a payment; refuses fees that cannot be."""
    values = command.values
    gross = values["amount_minor"]
    issuer, network = values["issuer_fee_minor"], values["network_fee_minor"]
    acquirer = values["acquirer_fee_minor"]
    channel = values["channel"]
    if channel == "internal" and (issuer or network):
        return Refusal(
            "fee_not_allowed", "a payment from a payment account has no issuer or network fee",
            "issuer_fee_minor" if issuer else "network_fee_minor",
        )
    if issuer + network + acquirer > gross:
        return Refusal("fees_exceed_amount", "the three fees are more than the amount")
    return _payment_shape(
        "D", "C", values["merchant_id"], values.get("user_id"), channel, booking_date,
        gross, issuer, network, acquirer,
    )


def _payment_shape(
    debit: str, credit: str, merchant_id: str, user_id: str | None, channel: str,
    booking_date: str, gross: int, issuer: int, network: int, acquirer: int,
) -> list[Leg]:
    merchant = MERCHANT + merchant_id
    legs: list[Leg] = []
    if user_id is not None:
        legs.append((USER + user_id, debit, gross, "gross", None))
    elif gross > issuer + network:
        reference = clearing_reference(channel, booking_date)
        legs.append((RESERVE, debit, gross - issuer - network, "clearing", reference))
    legs.append((merchant, credit, gross, "gross", None))
    if issuer:
        legs.append((merchant, debit, issuer, "issuer_fee", None))
    if network:
        legs.append((merchant, debit, network, "network_fee", None))
    if acquirer:
        legs.append((merchant, debit, acquirer, "acquirer_fee", None))
        legs.append((FEES, credit, acquirer, "acquirer_fee", None))
    return legs


def refund_legs(command: Command, booking_date: str, payment: Payment) -> list[Leg] | Refusal:
    """Legs of a refund: those of its payment with the sides changed and the returned fees."""
    values = command.values
    amount = values["amount_minor"]
    if values["currency_code"] != payment.currency_code:
        return Refusal(
            "original_differs", f"the payment is in {payment.currency_code}", "currency_code"
        )
    if amount > payment.left:
        return Refusal(
            "exceeds_original", f"{payment.left} of {payment.gross} minor units are left",
            "amount_minor",
        )
    for name, fee, returned in (
        ("issuer_fee_minor", payment.issuer_fee, payment.returned_issuer_fee),
        ("network_fee_minor", payment.network_fee, payment.returned_network_fee),
        ("acquirer_fee_minor", payment.acquirer_fee, payment.returned_acquirer_fee),
    ):
        due = returned_fee(fee, payment.gross, payment.refunded, returned, amount)
        if values[name] != due:
            return Refusal("returned_fee_differs", f"{name} must be {due}", name)
    return _payment_shape(
        "C", "D", payment.merchant_id, payment.user_id, payment.channel, booking_date, amount,
        values["issuer_fee_minor"], values["network_fee_minor"], values["acquirer_fee_minor"],
    )


def dispute_legs(command: Command, payment: Payment) -> list[Leg] | Refusal:
    """Legs of a dispute: the amount moves from pending settlement to disputed."""
    values = command.values
    amount = values["amount_minor"]
    if values["currency_code"] != payment.currency_code:
        return Refusal(
            "original_differs", f"the payment is in {payment.currency_code}", "currency_code"
        )
    if amount > payment.left:
        return Refusal(
            "exceeds_original", f"{payment.left} of {payment.gross} minor units are left",
            "amount_minor",
        )
    return [
        (MERCHANT + payment.merchant_id, "D", amount, "dispute", None),
        (DISPUTED + payment.merchant_id, "C", amount, "dispute", None),
    ]


def release_legs(command: Command, dispute: Dispute) -> list[Leg] | Refusal:
    """Legs of a dispute that the merchant won: the reverse of the dispute, whole."""
    values = command.values
    for name, theirs in (
        ("currency_code", dispute.payment.currency_code), ("amount_minor", dispute.amount)
    ):
        if values[name] != theirs:
            return Refusal("original_differs", f"the dispute has {name} {theirs}", name)
    if dispute.released_by is not None:
        return Refusal("already_released", "the dispute was released before")
    merchant_id, amount = dispute.payment.merchant_id, dispute.amount
    return [
        (DISPUTED + merchant_id, "D", amount, "dispute", None),
        (MERCHANT + merchant_id, "C", amount, "dispute", None),
    ]


def simple_legs(command: Command) -> list[Leg]:
    """Legs of a fee, settlement, top-up or withdrawal."""
    values = command.values
    amount, key = values["amount_minor"], command.business_key
    if command.type == "fee":
        return [
            (MERCHANT + values["merchant_id"], "D", amount, "service_fee", None),
            (FEES, "C", amount, "service_fee", None),
        ]
    if command.type == "settlement":
        return [
            (MERCHANT + values["merchant_id"], "D", amount, "payout", None),
            (RESERVE, "C", amount, "payout", key),
        ]
    if command.type == "top_up":
        return [
            (RESERVE, "D", amount, "deposit", key),
            (USER + values["user_id"], "C", amount, "deposit", None),
        ]
    fee = values["fee_minor"]
    legs: list[Leg] = [
        (USER + values["user_id"], "D", amount + fee, "payout", None),
        (RESERVE, "C", amount, "payout", key),
    ]
    if fee:
        legs.append((FEES, "C", fee, "service_fee", None))
    return legs
