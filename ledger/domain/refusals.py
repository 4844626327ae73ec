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
    # the form
    Reason("not_an_object", 422, False, "the command is not a JSON object"),
    Reason("unknown_type", 422, False, "`type` is absent or not one of the command types"),
    Reason("unknown_field", 422, False, "a field that this type does not take (or `occurred_at` "
           "in a service that is not simulated: there the ledger's clock books)"),
    Reason("missing_field", 422, False, "a field that this type needs is absent"),
    Reason("invalid_field", 422, False, "a field is not of its form"),
    Reason("amount_out_of_range", 422, False, "an amount is not a whole number of minor units "
           "from 1 (a fee: from 0) to 10^15"),
    # the key
    Reason("idempotency_key_reused", 409, False, "the key was used for a command with other "
           "content; `field` names the first field that differs"),
    # the clock
    Reason("clock_not_set", 409, False, "a simulated service whose clock was never set"),
    Reason("ahead_of_clock", 409, False, "`occurred_at` is later than the ledger's clock"),
    Reason("date_closed", 409, False, "the booking date is closed"),
    Reason("value_date_closed", 409, True, "`value_date` lies in a closed period, or after the "
           "booking date; book an adjustment of today"),
    # who asks, and who approves
    Reason("no_right", 403, True, "the operator has not the right to enter or review in this "
           "module"),
    Reason("pending_unknown", 422, True, "no entry of this sequence waits for approval"),
    Reason("maker_is_checker", 403, True, "who entered it cannot review it"),
    Reason("signature_wrong", 403, True, "the signature does not verify over what is approved "
           "with the checker's key"),
    # what it refers to
    Reason("unknown_currency", 422, True, "the chart of accounts does not keep this currency"),
    Reason("business_key_taken", 422, True, "another entry already carries this business key"),
    Reason("original_unknown", 422, True, "there is no such original"),
    Reason("hold_unknown", 422, True, "there is no such hold, or it is used up"),
    Reason("not_your_merchant", 403, True, "the caller may not act for this merchant or its "
           "users"),
    # whether parties and contracts are such that it may be done
    Reason("party_unknown", 422, True, "a party of the command is not registered"),
    Reason("party_not_active", 409, True, "a party of the command is not active: entered, "
           "reviewed, suspended, leaving or cancelled; what may still post then posts"),
    Reason("contract_missing", 409, True, "the merchant has no contract in force"),
    Reason("start_missing", 409, True, "what a merchant's start needs is not there: fees that its "
           "contract asks at the start, paid, and the parameters of a channel; `detail` says "
           "which"),
    Reason("terminal_not_active", 409, True, "the terminal is not reviewed, or was cancelled, or "
           "is another merchant's"),
    Reason("channel_not_open", 409, True, "the merchant is not onboarded to this channel"),
    Reason("stopped", 409, True, "an emergency stop covers the account, merchant, rail or "
           "everything; `detail` names it (one of an account is tested with the accounts)"),
    # the template's own checks of the command
    Reason("fee_not_allowed", 422, True, "this fee cannot be taken here"),
    Reason("fees_exceed_amount", 422, True, "the fees are more than the amount"),
    Reason("not_whole_yuan", 422, True, "the amount is not in whole yuan"),
    Reason("below_minimum", 422, True, "the amount is below the least of this operation"),
    Reason("fee_differs", 422, True, "the fee is not the tariff's; `detail` says what it must be"),
    Reason("ground_missing", 422, True, "a user's refund needs one of the three grounds"),
    Reason("same_account", 422, True, "payer and payee are one"),
    Reason("mode_differs", 409, True, "the merchant's settlement mode does not allow it"),
    Reason("parts_differ", 422, True, "the parts do not add up to the whole"),
    Reason("legs_unbalanced", 422, True, "the legs given do not balance"),
    Reason("not_due", 409, True, "its date has not come"),
    Reason("register_differs", 409, True, "the register does not allow this change; `detail` "
           "says why"),
    # the template's checks of the original
    Reason("original_differs", 422, True, "currency or amount is not that of the original"),
    Reason("void_too_late", 409, True, "the payment's date is past its cut-off, or settled"),
    Reason("already_released", 422, True, "the dispute was released or captured before"),
    Reason("already_decided", 409, True, "the original has its result"),
    Reason("already_returned", 409, True, "the original was returned before"),
    Reason("already_reversed", 409, True, "the journal was reversed before"),
    Reason("not_paid", 409, True, "the original was not paid out"),
    Reason("receipt_used", 409, True, "the bank receipt serves another application"),
    Reason("exceeds_original", 422, True, "more than what is left of the original"),
    Reason("returned_fee_differs", 422, True, "a returned fee is not the pro-rata part; `field` "
           "and `detail` say which and what it must be"),
    Reason("older_due", 409, True, "an older claim on the merchant is taken first"),
    # the payer's consent
    Reason("authorisation_missing", 409, True, "a debit of a customer needs an authorisation"),
    Reason("authorisation_unknown", 409, True, "no such authorisation, or it was used or ended"),
    Reason("authorisation_differs", 409, True, "the authorisation fixes another payer, payee, "
           "amount or currency; `field` says which"),
    Reason("destination_unknown", 409, True, "the destination is not bound to the payer"),
    # holds
    Reason("hold_not_allowed", 409, True, "this kind of hold does not allow it here"),
    Reason("exceeds_hold", 422, True, "more than what is left of the hold"),
    # accounts and balances
    Reason("account_not_open", 422, True, "an account of the posting is not open"),
    Reason("account_status", 409, True, "the account's status does not allow the posting"),
    Reason("purpose_differs", 409, True, "the account's purpose does not allow this operation"),
    Reason("books_crossed", 422, True, "the legs do not balance within each kind of books"),
    Reason("balance_out_of_range", 422, True, "a balance would leave the range of 18 digits"),
    Reason("below_floor", 422, True, "the posting would lower the available balance (balance "
           "less holds) below its floor; `detail` names the account and the floor"),
    Reason("limit_exceeded", 409, True, "a limit would be crossed; `detail` names it"),
    # the group
    Reason("linked_failed", 409, True, "another command of the linked group was refused"),
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
