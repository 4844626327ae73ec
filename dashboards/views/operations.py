"""Views of 数据质量, over the ``ops`` tables at latest: what came, what is held, what ran."""

from __future__ import annotations

from dashboards.views.expressions import (
    choose,
    day,
    day_label,
    exact,
    html,
    local_time,
    pick,
    scope,
)

FEEDS = {
    "transaction": ("交易流水", "Transactions"),
    "ledger_journal": ("账务分录", "Ledger journal"),
    "ledger_balance": ("账户余额", "Ledger balances"),
    "merchant": ("商户登记", "Merchant registry"),
    "terminal": ("终端登记", "Terminal registry"),
    "custodian_statement": ("存管对账单", "Custodian statement"),
}
QUARANTINE_FEEDS = {
    "raw_switch__transaction": "transaction",
    "raw_ledger__journal": "ledger_journal",
    "raw_ledger__balance": "ledger_balance",
    "raw_registry__merchant": "merchant",
    "raw_registry__terminal": "terminal",
    "raw_custodian__statement": "custodian_statement",
}
STATES = {
    "accepted": ("已接收", "Accepted"),
    "waiting": ("等待", "Waiting"),
    "refused": ("拒收", "Refused"),
    "superseded": ("已被替代", "Superseded"),
}
STEPS = {
    "ingest": ("接入", "Ingest"),
    "build": ("构建", "Build"),
    "gate": ("闸门", "Gate"),
    "publish": ("发布", "Publish"),
    "report": ("报送文件", "Report files"),
}
RESULTS = {
    "done": ("完成", "Done"),
    "nothing": ("无事可做", "Nothing to do"),
    "waiting": ("等待", "Waiting"),
    "held": ("扣住", "Held"),
    "failed": ("失败", "Failed"),
}
CHECK_RESULTS = {
    "pass": ("通过", "Pass"),
    "fail": ("未通过", "Fail"),
    "not_determinable": ("无法判定", "Not determinable"),
    "error": ("出错", "Error"),
}
ITEM_KINDS = {
    "tie": ("账务与交易勾对", "Ledger against transactions"),
    "reserve": ("备付金勾对", "Reserve fund"),
    "gate": ("闸门检查", "Gate check"),
}
ITEM_CLASSES = {
    "fail_fail": ("未通过，阻断", "Failed, blocking"),
    "warn_fail": ("未通过，提醒", "Failed, warning"),
    "fail_error": ("出错，阻断", "Error, blocking"),
    "warn_error": ("出错，提醒", "Error, warning"),
    "quarantined": ("在隔离区", "In quarantine"),
    "delivery_refused_or_waiting": ("交付被拒或未到", "Delivery refused or waiting"),
    "not_received": ("未收到", "Not received"),
    "unexplained": ("未解释", "Unexplained"),
    "book_in_bank_not": ("我方已收、银行未收", "Booked in, not at the bank"),
    "book_out_bank_not": ("我方已付、银行未付", "Booked out, not at the bank"),
    "bank_in_book_not": ("银行已收、我方未收", "At the bank, not booked in"),
    "bank_out_book_not": ("银行已付、我方未付", "Left the bank, not booked out"),
}


RULES = {
    "bad_quoting": ("引号不成对", "Quoting"),
    "wrong_column_count": ("列数不符", "Wrong number of columns"),
    "bad_json": ("不是约定的 JSON", "Not the contract's JSON"),
    "bad_encoding": ("编码错误", "Encoding"),
    "missing_value": ("缺值", "Missing value"),
    "too_long": ("过长", "Too long"),
    "bad_enum": ("不在值表中", "Not a listed value"),
    "bad_number": ("不是数", "Not a number"),
    "bad_scale": ("小数位过多", "Too many decimals"),
    "bad_date": ("不是日期或时间", "Not a date or time"),
    "same_record": ("同一业务记录有坏行", "Its record has a bad row"),
    "duplicate_key": ("键重复", "Key seen before"),
}
REASONS = {
    "control_missing": ("没有控制文件", "No control file"),
    "signature_missing": ("没有签名", "No signature"),
    "unknown_feed": ("没有这个数据源的契约", "Unknown feed"),
    "control_unreadable": ("控制文件读不出", "Control file unreadable"),
    "control_invalid": ("控制文件字段有误", "Control file invalid"),
    "unknown_key": ("签名密钥不在信任表", "Unknown key"),
    "wrong_key": ("密钥无权签此数据源", "Key may not sign this feed"),
    "expired_key": ("密钥当时无效", "Key not valid then"),
    "bad_signature": ("签名验不过", "Signature does not verify"),
    "wrong_feed_folder": ("数据源与目录不符", "Feed is not the folder's"),
    "wrong_date_folder": ("日期与目录不符", "Date is not the folder's"),
    "wrong_sequence_folder": ("序号与目录不符", "Sequence is not the folder's"),
    "file_missing": ("缺文件", "File missing"),
    "file_unlisted": ("有控制文件未列的文件", "File not listed"),
    "truncated": ("文件被截短", "File cut short"),
    "bytes_mismatch": ("字节数不符", "Bytes differ"),
    "digest_mismatch": ("摘要不符", "Digest differs"),
    "name_taken": ("同名交付已接收且内容不同", "Other content under an accepted name"),
    "date_closed": ("该日期已发布", "Date already released"),
    "supersedes_unknown": ("所替代的序号不在用", "Replaces a sequence not in force"),
    "unreadable_file": ("数据文件读不出", "Data file unreadable"),
    "bad_header": ("表头有误", "Bad header"),
    "missing_column": ("缺契约中的列", "Column missing"),
    "rows_mismatch": ("行数不符", "Rows differ"),
    "amount_mismatch": ("金额合计不符", "Amount totals differ"),
    "bad_row_in_book": ("账簿类数据有坏行", "Bad line in a book"),
    "too_many_bad_rows": ("坏行过多", "Too many bad rows"),
    "same_content": ("内容与此前相同，已忽略", "Same content, ignored"),
}


def _latest(table: str, key: str) -> str:
    """The newest event of each key: the state of an event log."""
    return (
        f"select * from {table} where {scope()}"
        f" qualify row_number() over (partition by {key} order by recorded_at desc) = 1"
    )


DELIVERIES = _latest("delivery", "feed, business_date, sequence, data_digest")
CHECKS = _latest("gate_result", "business_date, suite, check_code")
ITEMS = _latest("open_item", "kind, item_key")
RELEASES = _latest("release", "release_id")
STEP_RUNS = _latest("run_step", "run_id, step, first_date, last_date")
# A waiver holds for the very inputs that it names.
WAIVED = (
    "exists (select 1 from waiver where waiver.business_date = checked.business_date and"
    " waiver.check_code = checked.check_code and waiver.input_digest = checked.input_digest)"
)


DUE = "getvariable('due_date')::date"


def definitions(language: str) -> dict[str, str]:
    """View name (without the language) → SQL."""
    return {
        "ops_day": _days(),
        "ops_delivery": _deliveries(language),
        "ops_quarantine": _quarantine(language),
        "ops_step": _steps(language),
        "ops_check": _checks(language),
        "ops_date": _dates(language),
        "ops_item": _items(language),
        "open_now": _open_now(language),
    }


def _days() -> str:
    """The dates that something came for, or was checked for; never empty."""
    return f"""
        with days as (
            select {day()} as day from delivery where {scope()}
            union select {day()} from gate_result where {scope()}
        )
        select day from days
        union all
        select '—' where not exists (select 1 from days)
    """


def _deliveries(language: str) -> str:
    return f"""
        with current as ({DELIVERIES})
        select business_date, {day()} as day, {day_label("business_date", language)} as day_name,
            {choose(language, "feed", FEEDS)} as feed_name, delivery_id,
            {choose(language, "state", STATES)} as state_name, state,
            coalesce({choose(language, "reason_code", REASONS)}, '') as reason_name,
            coalesce(reason, '') as reason,
            {local_time("sent_at")} as sent_time, {local_time("received_at")} as received_time,
            coalesce(rows, 0) as rows_sent, coalesce(rows_accepted, 0) as rows_accepted,
            coalesce(rows_quarantined, 0) as rows_quarantined,
            coalesce(nullif(unclassed_columns, '[]'), '') as unclassed_columns
        from current
    """


def _quarantine(language: str) -> str:
    feed = (
        "case table_name "
        + " ".join(
            f"when '{table}' then '{FEEDS[feed][0 if language == 'zh' else 1]}'"
            for table, feed in QUARANTINE_FEEDS.items()
        )
        + " else table_name end"
    )
    return f"""
        select business_date, {day()} as day, {feed} as feed_name, rule_code,
            {choose(language, "rule_code", RULES)} as rule_name,
            coalesce(rule_detail, '') as rule_detail, coalesce(record_key, '—') as record_key,
            coalesce(merchant_id, '—') as merchant_id, amount, _delivery_id as delivery_id,
            _line_number as line_number
        from quarantine_row
        where {scope()}
    """


def _steps(language: str) -> str:
    return f"""
        with current as ({STEP_RUNS}),
        usual as (
            select step, median(seconds / (date_diff('day', first_date, last_date) + 1))
                as usual_seconds
            from current where result = 'done' group by step
        )
        select last_date as business_date, {day("last_date")} as day, run_id,
            {choose(language, "current.step", STEPS)} as step_name,
            {day("first_date")} as first_day, {day("last_date")} as last_day,
            date_diff('day', first_date, last_date) + 1 as date_count, started_at,
            {local_time("started_at")} as started_time,
            round(seconds, 1) as seconds,
            round(usual_seconds * (date_diff('day', first_date, last_date) + 1), 1)
                as usual_seconds,
            {choose(language, "result", RESULTS)} as result_name, result
        from current
        left join usual on current.step = usual.step
    """


def _checks(language: str) -> str:
    waivable = pick(language, "不可放行", "cannot be waived")
    may = pick(language, "可由责任人放行", "may be waived by its owner")
    waived = pick(language, "已放行", "waived")
    verdict = choose(language, "result", CHECK_RESULTS)
    return f"""
        with checked as ({CHECKS})
        select business_date, {day()} as day, {day_label("business_date", language)} as day_name,
            suite, check_code, severity, result,
            {verdict} || case when result in ('fail', 'error') and {WAIVED}
                then ' · ' || {waived} else '' end as result_name,
            coalesce(observed, '—') as observed, coalesce(expected, '—') as expected,
            coalesce(detail, '') as detail, owner,
            case when is_waivable then {may} else {waivable} end as waivable_name,
            result in ('fail', 'error') and severity = 'fail' and not {WAIVED} as is_blocking
        from checked
    """


def _dates(language: str) -> str:
    """Dates by stage: built, gated, released or held, and by which check."""
    released = pick(language, "已发布", "Released")
    held = pick(language, "被闸门扣住", "Held by the gate")
    behind = pick(language, "等前面的日期", "Behind a held date")
    waiting = pick(language, "等待交付", "Waiting for deliveries")
    return f"""
        with published as ({RELEASES}),
        checked as ({CHECKS}),
        current as ({DELIVERIES}),
        blocking as (
            select business_date, string_agg(check_code, ', ' order by check_code) as checks
            from checked
            where result in ('fail', 'error') and severity = 'fail' and not {WAIVED}
            group by business_date
        ),
        days as (
            select business_date from current
            union select business_date from checked
            union select through from published
        ),
        counted as (
            select business_date, count(*) filter (where state = 'accepted') as accepted_count,
                count(*) filter (where state = 'refused') as refused_count,
                coalesce(sum(rows_quarantined), 0) as rows_quarantined
            from current group by business_date
        )
        select days.business_date, {day("days.business_date")} as day,
            {day_label("days.business_date", language)} as day_name,
            case when published.release_id is not null then {released}
                when blocking.checks is not null then {held}
                when exists (select 1 from checked
                    where checked.business_date = days.business_date) then {behind}
                else {waiting} end as stage_name,
            coalesce(published.release_id, '—') as release_id,
            coalesce(blocking.checks, '—') as held_by,
            coalesce(counted.accepted_count, 0) as accepted_count,
            coalesce(counted.refused_count, 0) as refused_count,
            coalesce(counted.rows_quarantined, 0) as rows_quarantined
        from days
        left join published on published.through = days.business_date
        left join blocking on blocking.business_date = days.business_date
        left join counted on counted.business_date = days.business_date
    """


def _items(language: str) -> str:
    return f"""
        with current as ({ITEMS})
        select business_date, {day()} as day,
            {choose(language, "kind", ITEM_KINDS)} as kind_name, item_key,
            {_class(language)} as class_name, amount, currency_code,
            greatest(age_days, coalesce(
                date_diff('day', business_date, getvariable('due_date')::date), 0)) as age_days,
            coalesce(detail, '') as detail
        from current
        where closed_date is null
    """


def _open_now(language: str) -> str:
    """One line a matter that wants attention, the worst first; one calm line when there is none."""
    zh = language == "zh"

    def line(order: int, tone: str, what: str, since: str, detail: str, source: str) -> str:
        return (
            f"select {order} as line_order, '<span class=\"pl-{tone}\">●</span> ' || {what}"
            f" as matter, {since} as since_day, {detail} as detail from {source}"
        )

    held = line(
        1,
        "broken",
        f"{day_label('business_date', language)} || {pick(language, ' 被闸门扣住', ' is held')}",
        day(),
        html("string_agg(check_code || coalesce('：' || observed, ''), '；' order by check_code)")
        if zh
        else html(
            "string_agg(check_code || coalesce(': ' || observed, ''), '; ' order by check_code)"
        ),
        f"checked where result in ('fail', 'error') and severity = 'fail' and not {WAIVED}"
        " and business_date not in (select through from published) group by business_date",
    )
    refused = line(
        2,
        "attention",
        f"{choose(language, 'feed', FEEDS)} ||"
        f" {pick(language, ' 交付被拒，未补送', ' refused, not sent again')}",
        day(),
        f"coalesce({choose(language, 'reason_code', REASONS)}, '')",
        "current where state in ('refused', 'waiting') and not exists (select 1 from current as o"
        " where o.feed = current.feed and o.business_date = current.business_date"
        " and o.state = 'accepted')",
    )
    late = line(
        3,
        "attention",
        pick(language, "数据晚于应发布日期", "Data is later than it should be"),
        f"coalesce({day('max(through)')}, '—')",
        f"{pick(language, '应已发布到 ', 'expected through ')} || {day(DUE)}",
        "published having max(through) < getvariable('due_date')::date",
    )
    items = line(
        4,
        "attention",
        f"{choose(language, 'kind', ITEM_KINDS)} || ' · ' ||"
        f" {_class(language)} || ' ' ||"
        f" count(*) || {pick(language, ' 项未结', ' open')}",
        day("min(business_date)"),
        f"coalesce({exact('sum(abs(amount))')}, '—')",
        'items where closed_date is null group by kind, "class", currency_code',
    )
    alarms = line(
        5,
        "attention",
        html("subject"),
        day(),
        html("coalesce(detail, '')"),
        "alarms where state <> 'cleared' and severity <> 'info'",
    )
    calm = pick(language, "无：没有未结事项", "None: nothing is open")
    return f"""
        with checked as ({CHECKS}), current as ({DELIVERIES}), published as ({RELEASES}),
        items as ({ITEMS}),
        alarms as ({_latest("alarm", "business_date, alarm_code, subject")}),
        lines as ({" union all ".join((held, refused, late, items, alarms))})
        select * from lines
        union all
        select 9, '<span class="pl-calm">●</span> ' || {calm}, '', ''
        where not exists (select 1 from lines) and {scope()}
    """


def _class(language: str) -> str:
    return choose(language, '"class"', ITEM_CLASSES)
