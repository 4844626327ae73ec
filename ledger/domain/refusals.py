"""Why a command is refused: a closed list, in the order in which the reasons are tested.

The first reason that holds is the one given. A refusal has no postings. Those marked `recorded`
bind the idempotency key: the same command sent again gets the same refusal, so a caller who has
removed the cause sends a new key. The others leave no trace, and the key stays free.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: code, HTTP status of a single command, whether it is recorded, meaning in English
    and in Chinese. The code is what programs read; the texts are for people."""

    code: str
    http_status: int
    recorded: bool
    meaning: str
    zh: str

    @property
    def en(self) -> str:
        """The English text, by the name that the console's languages have."""
        return self.meaning


REASONS: tuple[Reason, ...] = (
    # the form
    Reason("not_an_object", 422, False,
           "the command is not a JSON object",
           "命令不是 JSON 对象"),
    Reason("unknown_type", 422, False,
           "`type` is absent or not one of the command types",
           "缺少 type，或不是已有的命令类型"),
    Reason("ledger_only", 403, False,
           "what the ledger alone records (a session and its covers, reads, ends of holds, "
           "reconciliations): nobody sends it as a command",
           "仅由账簿自身记录的类型（会话及其签名、查询留痕、冻结到期、对账），不接受作为命令提交"),
    Reason("unknown_field", 422, False,
           "a field that this type does not take (or `occurred_at` in a service that is not "
           "simulated: there the ledger's clock books)",
           "出现本类型不接受的字段（非模拟账簿也不接受 occurred_at，记账时间以账簿时钟为准）"),
    Reason("missing_field", 422, False,
           "a field that this type needs is absent",
           "缺少本类型必需的字段"),
    Reason("invalid_field", 422, False,
           "a field is not of its form",
           "字段不符合格式"),
    Reason("amount_out_of_range", 422, False,
           "an amount is not a whole number of minor units from 1 (a fee: from 0) to 10^15",
           "金额不是 1（费用为 0）至 10^15 之间的整数最小货币单位"),
    # the key
    Reason("idempotency_key_reused", 409, False,
           "the key was used for a command with other content; `field` names the first field "
           "that differs",
           "幂等键已用于内容不同的命令；field 指出首个不同的字段"),
    Reason("key_not_yours", 403, False,
           "a caller's idempotency key and business key begin with its id and a full stop; or the "
           "key is another sender's",
           "接入方的幂等键与业务编号须以其编号加句点开头；或该键属于其他发送方"),
    # the clock
    Reason("clock_not_set", 409, False,
           "a simulated service whose clock was never set",
           "模拟账簿的时钟尚未设定"),
    Reason("ahead_of_clock", 409, False,
           "`occurred_at` is later than the ledger's clock",
           "发生时间晚于账簿时钟"),
    Reason("date_closed", 409, False,
           "the booking date is closed",
           "记账日期已日终"),
    Reason("value_date_closed", 409, True,
           "`value_date` lies in a closed period, or after the booking date; book an adjustment "
           "of today",
           "起息日在已关账期间内，或晚于记账日期；请在当日调账"),
    # who asks, and who approves
    Reason("no_right", 403, True,
           "the operator has not the right to enter or review in this module",
           "操作员没有在该模块录入或复核的权限"),
    Reason("pending_unknown", 422, True,
           "no entry of this sequence waits for approval",
           "没有此序号的待复核条目"),
    Reason("maker_is_checker", 403, True,
           "who entered it cannot review it",
           "录入人不得复核自己的录入"),
    Reason("signature_wrong", 403, True,
           "the signature does not verify over what is approved with the checker's key",
           "用复核人的密钥验签不通过"),
    # what it refers to
    Reason("unknown_currency", 422, True,
           "the chart of accounts does not keep this currency",
           "科目表不设此币种"),
    Reason("business_key_taken", 422, True,
           "another entry already carries this business key",
           "业务编号已被其他条目使用"),
    Reason("original_unknown", 422, True,
           "there is no such original",
           "没有此原交易"),
    Reason("hold_unknown", 422, True,
           "there is no such hold, or it is used up",
           "没有此冻结，或已用完"),
    Reason("not_your_merchant", 403, True,
           "the caller may not act for this merchant or its users",
           "接入方无权代理该商户或其用户"),
    # whether parties and contracts are such that it may be done
    Reason("party_unknown", 422, True,
           "a party of the command is not registered",
           "命令中的主体未登记"),
    Reason("party_not_active", 409, True,
           "a party of the command is not active: entered, reviewed, suspended, leaving or "
           "cancelled; what may still post then posts",
           "命令中的主体不在正常状态（已录入、已审核、已暂停、退出中或已注销）；此时仍可记账的业务照常记账"),
    Reason("contract_missing", 409, True,
           "the merchant has no contract in force",
           "商户没有生效中的合同"),
    Reason("start_missing", 409, True,
           "what a merchant's start needs is not there: fees that its contract asks at the "
           "start, paid, and the parameters of a channel; `detail` says which",
           "商户启用条件未齐：合同约定的启用费用须已缴清，且须有渠道入网参数；说明中指出所缺"),
    Reason("terminal_not_active", 409, True,
           "the terminal is not reviewed, or was cancelled, or is another merchant's",
           "终端未审核、已注销或属于其他商户"),
    Reason("channel_not_open", 409, True,
           "the merchant is not onboarded to this channel, or the caller may not report for it",
           "商户未在该渠道入网，或接入方无权报送该渠道的业务"),
    Reason("grade_not_allowed", 409, True,
           "the grade of a party does not allow it to start this",
           "主体的等级不允许其发起此类业务"),
    Reason("stopped", 409, True,
           "an emergency stop covers the account, party, rail, caller or everything; `detail` "
           "names it (one of an account, and of whom the accounts belong to, is tested with the "
           "accounts)",
           "紧急止付覆盖该账户、主体、通道、接入方或全部业务；说明中指出止付编号"
           "（账户及其所有人的止付在检查账户时判断）"),
    # the template's own checks of the command
    Reason("fee_not_allowed", 422, True,
           "this fee cannot be taken here, or is not this sender's to say: what the contract does "
           "not name the institution's own systems alone say",
           "此处不得收取该费用，或该费用不由该发送方提出：合同未约定的费用只能由机构自有系统提出"),
    Reason("fees_exceed_amount", 422, True,
           "the fees are more than the amount",
           "费用合计超过金额"),
    Reason("not_whole_yuan", 422, True,
           "the amount is not in whole yuan",
           "金额不是整元"),
    Reason("below_minimum", 422, True,
           "the amount is below the least of this operation",
           "金额低于该业务的最低额"),
    Reason("fee_differs", 422, True,
           "the fee is not that of the tariff or the contract; `detail` says what it must be",
           "费用与费率或合同价格不符；说明中给出应收金额"),
    Reason("ground_missing", 422, True,
           "a user's refund needs one of the three grounds",
           "用户申请退款须注明三种事由之一"),
    Reason("result_incomplete", 422, True,
           "a result does not say all that it must: a person's decision the document behind it, a "
           "redemption that succeeded what arrived; or one that did not succeed says an amount",
           "结果内容不完整：人工裁定须注明依据文件，赎回成功须注明到账金额；未成功的结果不得带金额"),
    Reason("same_account", 422, True,
           "payer and payee are one",
           "付款方与收款方相同"),
    Reason("same_currency", 422, True,
           "the currency sold and the currency bought are one",
           "卖出币种与买入币种相同"),
    Reason("rate_differs", 422, True,
           "the amount bought is not the amount sold times the rate, half up to the minor unit; "
           "`detail` says what it must be",
           "买入金额不等于卖出金额乘以汇率（四舍五入至最小货币单位）；说明中给出应有金额"),
    Reason("mode_differs", 409, True,
           "the merchant's settlement mode does not allow it",
           "商户的结算模式不允许"),
    Reason("parts_differ", 422, True,
           "the parts do not add up to the whole",
           "各分账金额之和不等于总额"),
    Reason("legs_unbalanced", 422, True,
           "the legs given do not balance",
           "所给分录借贷不平"),
    Reason("not_due", 409, True,
           "its date has not come",
           "尚未到期"),
    Reason("register_differs", 409, True,
           "the register does not allow this change; `detail` says why",
           "登记簿不允许此变更；说明中给出原因"),
    Reason("difference_left", 422, True,
           "open items that are closed together, with the journal that corrects them, do not come "
           "to zero; `detail` says what is left",
           "一并核销的对账差异与更正凭证合计不为零；说明中给出余额"),
    # the template's checks of the original
    Reason("already_reversed", 409, True,
           "the journal or the original was reversed before, or the journal is a reversal itself",
           "该凭证或原交易此前已冲正，或该凭证本身即为冲正"),
    Reason("original_differs", 422, True,
           "currency or amount is not that of the original",
           "币种或金额等与原交易不一致"),
    Reason("void_too_late", 409, True,
           "the payment's date is past its cut-off, or settled",
           "已过该笔交易当日的截止时间，或已结算，不能撤销"),
    Reason("already_released", 422, True,
           "the dispute was released or captured before",
           "该争议此前已解除或已扣划"),
    Reason("already_decided", 409, True,
           "the original has its result",
           "原业务已有结果"),
    Reason("already_returned", 409, True,
           "the original was returned before",
           "原业务此前已退回"),
    Reason("not_paid", 409, True,
           "the original was not paid out",
           "原业务并未付出"),
    Reason("receipt_used", 409, True,
           "the bank receipt serves another application",
           "该银行来账已用于其他申请"),
    Reason("exceeds_original", 422, True,
           "more than what is left of the original",
           "超过原交易的剩余金额"),
    Reason("exceeds_position", 422, True,
           "more than what is open of the exchanges of these two currencies",
           "超过该货币对尚未平盘的头寸"),
    Reason("returned_fee_differs", 422, True,
           "a returned fee is not the pro-rata part; `field` and `detail` say which and what it "
           "must be",
           "退还的手续费不是按比例应退的金额；field 与说明给出应退金额"),
    Reason("older_due", 409, True,
           "an older claim on the merchant is taken first",
           "商户有更早的应收款，须先收取"),
    # the payer's consent
    Reason("authorisation_missing", 409, True,
           "a debit of a customer needs an authorisation",
           "客户扣款须有授权"),
    Reason("authorisation_unknown", 409, True,
           "no such authorisation, or it was used or ended",
           "没有此授权，或已使用、已终止"),
    Reason("authorisation_differs", 409, True,
           "the authorisation fixes another payer, payee, amount or currency; `field` says which",
           "授权确定的付款方、收款方、金额或币种不同；field 指出是哪一项"),
    Reason("destination_unknown", 409, True,
           "the destination is not bound to the payer",
           "收款账户未与付款方绑定"),
    # holds
    Reason("hold_not_allowed", 409, True,
           "this kind of hold does not allow it here",
           "此类冻结在此处不允许该操作"),
    Reason("exceeds_hold", 422, True,
           "more than what is left of the hold",
           "超过冻结的剩余金额"),
    # accounts and balances
    Reason("account_not_open", 422, True,
           "an account of the posting is not open",
           "分录涉及的账户未开立"),
    Reason("account_status", 409, True,
           "the account's status does not allow the posting",
           "账户状态不允许记账"),
    Reason("purpose_differs", 409, True,
           "the account's purpose does not allow this operation",
           "账户的限定用途不包括该业务"),
    Reason("books_crossed", 422, True,
           "the legs do not balance within each kind of books",
           "分录在某一账套内借贷不平"),
    Reason("balance_out_of_range", 422, True,
           "a balance would leave the range of 18 digits",
           "余额将超出 18 位数字"),
    Reason("below_floor", 422, True,
           "the posting would lower the available balance (balance less holds) below its floor; "
           "`detail` names the account and the floor",
           "可用余额（余额减冻结）将低于下限；说明中指出账户与下限"),
    Reason("limit_exceeded", 409, True,
           "a limit would be crossed; `detail` names it",
           "将超过限额；说明中指出限额"),
    # the group
    Reason("linked_failed", 409, True,
           "another command of the linked group was refused, or one of them waits for a checker",
           "同组联动命令中有一条被拒绝，或有一条须待复核"),
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
