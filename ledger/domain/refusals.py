"""Why a command is refused: a closed list, in the order in which the reasons are tested.

The first reason that holds is the one given. A refusal has no postings. Those marked `recorded`
bind the idempotency key: the same command sent again gets the same refusal, so a caller who has
removed the cause sends a new key. The others leave no trace, and the key stays free.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: code, HTTP status of a single command, whether it is recorded, meaning."""

    code: str
    http_status: int
    recorded: bool
    meaning: str


REASONS: tuple[Reason, ...] = (
    Reason("not_an_object", 422, False, "the command is not a JSON object"),
    Reason("unknown_type", 422, False, "`type` is absent or not one of the command types"),
    Reason("unknown_field", 422, False, "a field that this type does not take (or `occurred_at` "
           "in a service that is not simulated: there the ledger's clock books)"),
    Reason("missing_field", 422, False, "a field that this type needs is absent"),
    Reason("invalid_field", 422, False, "a field is not of its form"),
    Reason("amount_out_of_range", 422, False, "an amount is not a whole number of minor units "
           "from 1 (a fee: from 0) to 10^15"),
    Reason("idempotency_key_reused", 409, False, "the key was used for a command with other "
           "content; `field` names the first field that differs"),
    Reason("clock_not_set", 409, False, "a simulated service whose clock was never set"),
    Reason("ahead_of_clock", 409, False, "`occurred_at` is later than the ledger's clock"),
    Reason("date_closed", 409, False, "the booking date is closed"),
    Reason("unknown_currency", 422, True, "the chart of accounts does not keep this currency"),
    Reason("fee_not_allowed", 422, True, "a payment from a payment account has no issuer or "
           "network fee"),
    Reason("fees_exceed_amount", 422, True, "the fees are more than the amount"),
    Reason("business_key_taken", 422, True, "another journal already carries this business key"),
    Reason("original_unknown", 422, True, "no payment (for a release: no dispute) has this "
           "`original_transaction_id`"),
    Reason("original_differs", 422, True, "currency, or for a release the amount, is not that of "
           "the original"),
    Reason("already_released", 422, True, "the dispute was released before"),
    Reason("exceeds_original", 422, True, "more than what is left of the payment after refunds "
           "and open disputes"),
    Reason("returned_fee_differs", 422, True, "a returned fee is not the pro-rata part; `field` "
           "and `detail` say which and what it must be"),
    Reason("account_not_open", 422, True, "an account of the posting is not open"),
    Reason("balance_out_of_range", 422, True, "a balance would leave the range of 18 digits"),
    Reason("below_floor", 422, True, "the posting would lower a balance below its floor; "
           "`detail` names the account code and the floor"),
)
BY_CODE: dict[str, Reason] = {reason.code: reason for reason in REASONS}


class Refusal:
    """A command refused: reason code, what exactly, and the field to blame when there is one."""

    __slots__ = ("code", "detail", "field")

    def __init__(self, code: str, detail: str, field: str | None = None) -> None:
        if code not in BY_CODE:
            raise KeyError(code)
        self.code = code
        self.detail = detail
        self.field = field

    def __repr__(self) -> str:
        return f"Refusal({self.code!r}, {self.detail!r}, {self.field!r})"
