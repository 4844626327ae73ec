"""Views of 数据质量, over the ``ops`` tables at latest: what came, what is held, what ran."""

from __future__ import annotations

from dashboards.views import checks
from dashboards.views.codes import (
    ALARMS,
    CHANNELS,
    CHECK_RESULTS,
    EXITS,
    FEEDS,
    ITEM_CLASSES,
    ITEM_KINDS,
    QUARANTINE_FEEDS,
    REASONS,
    RESULTS,
    RULES,
    STATES,
    STEPS,
    TASKS,
)
from dashboards.views.expressions import (
    GO,
    choose,
    day,
    day_label,
    exact,
    html,
    literal,
    local_time,
    pick,
    scope,
)


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
# Each released date and the newest release that names it: its own, or one that restated it.
NAMED = f"""
    select business_date, release_id from (
        select unnest(case when release_id like '%-restated'
            then json_keys(document, '$.restatement.dates')::date[] else [through] end)
            as business_date, release_id, sequence
        from ({RELEASES})
    )
    qualify row_number() over (partition by business_date order by sequence desc) = 1
"""
STEP_RUNS = _latest("run_step", "run_id, step, first_date, last_date")
# A waiver holds for the very inputs that it names.
WAIVED = (
    "exists (select 1 from waiver where waiver.business_date = checked.business_date and"
    " waiver.check_code = checked.check_code and waiver.input_digest = checked.input_digest)"
)


DUE = "getvariable('due_date')::date"
SHORT = "strftime(business_date, '%m-%d')"
# Lines of the short list of open matters: what fits its card.
BRIEF = 5


def definitions(language: str) -> dict[str, str]:
    """View name (without the language) → SQL."""
    return {
        "ops_check_name": checks.named(language),
        "ops_day": _days(),
        "ops_delivery": _deliveries(language),
        "ops_quarantine": _quarantine(language),
        "ops_step": _steps(language),
        "ops_check": _checks(language),
        "ops_date": _dates(language),
        "ops_item": _items(language),
        "open_now": _open_now(language),
        "open_brief": _open_brief(language),
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
    """Refused rows; one is open until a delivery that corrects it was accepted."""
    feed = choose(
        language,
        "table_name",
        {table: FEEDS[feed] for table, feed in QUARANTINE_FEEDS.items()},
    )
    # A replay's file is named after the line that it corrects (docs/how-to, `quarantine replay`).
    replay = (
        "'replay-' || split_part(_delivery_id, '/', 2) || '-' || split_part(_delivery_id, '/', 3)"
        " || '-L' || _line_number || '-' || _file_name"
    )
    open_, done = pick(language, "待更正", "Open"), pick(language, "已更正", "Corrected")
    return f"""
        with current as ({DELIVERIES}),
        replays as (
            select feed, unnest(from_json(file_names, '["VARCHAR"]')) as file_name
            from current where state = 'accepted' and file_names is not null
        ),
        judged as (
            select *, exists (
                select 1 from replays
                where replays.feed = split_part(_delivery_id, '/', 1)
                    and replays.file_name = {replay}
            ) as is_replayed
            from quarantine_row
            where {scope()}
        )
        select business_date, {day()} as day, {day_label("business_date", language)} as day_name,
            {feed} as feed_name, rule_code,
            {choose(language, "rule_code", RULES)} as rule_name,
            coalesce(rule_detail, '') as rule_detail, coalesce(record_key, '—') as record_key,
            coalesce(merchant_id, '—') as merchant_id, amount, _delivery_id as delivery_id,
            _line_number as line_number, not is_replayed as is_open,
            case when is_replayed then {done} else {open_} end as state_name,
            greatest(0, date_diff('day', business_date, {DUE})) as age_days
        from judged
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
        where current.step in ({", ".join(literal(step) for step in STEPS)})
    """


def _checks(language: str) -> str:
    waivable = pick(language, "不可放行", "cannot be waived")
    may = pick(language, "可由责任人放行", "may be waived by its owner")
    waived = pick(language, "已放行", "waived")
    verdict = choose(language, "result", CHECK_RESULTS)
    name = checks.title(language, "checked.check_code")
    return f"""
        with checked as ({CHECKS})
        select business_date, {day()} as day, {day_label("business_date", language)} as day_name,
            suite, checked.check_code, {name} as check_name, coalesce(n.meaning, '') as meaning,
            '<span title="' || {html("coalesce(n.meaning, '')")} || '">' || {html(name)} ||
                '</span>' as check_label,
            severity, result,
            {verdict} || case when result in ('fail', 'error') and {WAIVED}
                then ' · ' || {waived} else '' end as result_name,
            {checks.observed(language)} as observed, {checks.expected(language)} as expected,
            coalesce(detail, '') as detail, owner,
            case when is_waivable then {may} else {waivable} end as waivable_name,
            result in ('fail', 'error') and severity = 'fail' and not {WAIVED} as is_blocking
        from checked
        left join ops_check_name_{language} as n on n.check_code = checked.check_code
    """


def _dates(language: str) -> str:
    """Dates by stage: built, gated, released or held, and by which check."""
    released = pick(language, "已发布", "Released")
    held = pick(language, "被闸门扣住", "Held by the gate")
    behind = pick(language, "等前面的日期", "Behind a held date")
    waiting = pick(language, "等待交付", "Waiting for deliveries")
    name = checks.title(language, "checked.check_code")
    between = "、" if language == "zh" else ", "
    return f"""
        with published as ({NAMED}),
        checked as ({CHECKS}),
        current as ({DELIVERIES}),
        blocking as (
            select business_date, string_agg({name}, '{between}' order by check_code) as checks
            from checked
            where result in ('fail', 'error') and severity = 'fail' and not {WAIVED}
            group by business_date
        ),
        days as (
            select business_date from current
            union select business_date from checked
            union select business_date from published
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
        left join published on published.business_date = days.business_date
        left join blocking on blocking.business_date = days.business_date
        left join counted on counted.business_date = days.business_date
    """


def _items(language: str) -> str:
    """What is not closed, by business key, reference or check, with its merchant."""
    name = (
        "case current.kind when 'gate' then"
        f" {checks.title(language, 'split_part(current.item_key, chr(58), 2)')}"
        " else split_part(current.item_key, ':', 2) end"
    )
    return f"""
        with checked as ({CHECKS}), events as ({ITEMS}),
        current as (
            select * exclude ("class"),
                case when kind = 'gate' and exists (
                    select 1 from checked
                    where checked.business_date = events.business_date
                        and checked.check_code = split_part(events.item_key, ':', 2) and {WAIVED}
                ) then 'waived' else "class" end as "class"
            from events
        )
        select business_date, {day()} as day,
            {choose(language, "kind", ITEM_KINDS)} as kind_name, item_key, {name} as item_name,
            {_class(language)} as class_name, amount, currency_code,
            coalesce(merchant_id, '—') as merchant_id,
            greatest(age_days, coalesce(date_diff('day', business_date, {DUE}), 0)) as age_days
        from current
        where closed_date is null
    """


def _open_now(language: str) -> str:
    """One line a matter that wants attention, the worst first; one calm line when there is none."""
    between = "；" if language == "zh" else "; "
    name = checks.title(language, "checked.check_code")
    found = (
        f"{name} || {pick(language, '：', ': ')} || {checks.observed(language)} ||"
        f" {pick(language, '，应', ', asked: ')} || {checks.expected(language)}"
    )

    def line(order: int, tone: str, what: str, since: str, detail: str, source: str) -> str:
        return (
            f'select {order} as line_order, \'<span class="pl-line"><span class="pl-{tone}">●'
            f"</span> ' || {what} || '</span>' as matter, {since} as since_day,"
            f" {detail} as detail from {source}"
        )

    held = line(
        1,
        "broken",
        f"{day_label('business_date', language)} || {pick(language, ' 被闸门扣住', ' is held')}",
        SHORT,
        html(f"string_agg({found}, '{between}' order by check_code)"),
        f"checked where result in ('fail', 'error') and severity = 'fail' and not {WAIVED}"
        " and business_date not in (select through from published) group by business_date",
    )
    refused = line(
        2,
        "attention",
        f"{choose(language, 'feed', FEEDS)} ||"
        f" {pick(language, ' 交付被拒，未补送', ' refused, not sent again')}",
        SHORT,
        f"coalesce({choose(language, 'reason_code', REASONS)}, '')",
        "current where state in ('refused', 'waiting') and not exists (select 1 from current as o"
        " where o.feed = current.feed and o.business_date = current.business_date"
        " and o.state = 'accepted')",
    )
    late = line(
        3,
        "attention",
        pick(language, "数据晚于应发布日期", "Data is later than it should be"),
        "coalesce(strftime(max(through), '%m-%d'), '—')",
        f"{pick(language, '应已发布到 ', 'expected through ')} || {day(DUE)}",
        f"published having max(through) < {DUE}",
    )
    items = line(
        4,
        "attention",
        f"{choose(language, 'kind', ITEM_KINDS)} || ' · ' || {_class(language)} || ' ' ||"
        f" count(*) || {pick(language, ' 项', ' open')}",
        "strftime(min(business_date), '%m-%d')",
        f"coalesce({exact('sum(abs(amount))')}, '—')",
        "items where closed_date is null and kind <> 'gate'"
        ' group by kind, "class", currency_code',
    )
    # What a warning said on earlier dates is in the list of items; here stands what it says now.
    warned = line(
        5,
        "attention",
        f"{html(name)} || {pick(language, ' · 未通过（提醒）', ' · fails (warning)')}",
        SHORT,
        f"{checks.observed(language)} || {pick(language, '，应', ', asked: ')} ||"
        f" {checks.expected(language)}",
        "checked where result in ('fail', 'error') and severity = 'warn' and business_date ="
        " (select max(c.business_date) from checked as c where c.check_code = checked.check_code)",
    )
    alarms = line(
        6,
        "attention",
        f"{_alarm(language)} || coalesce(' · ' || {html(_alarm_subject(language))}, '')",
        f"coalesce({SHORT}, '—')",
        html(_alarm_detail(language)),
        # A failed task is over once its date went out.
        "alarms where state <> 'cleared' and severity <> 'info' and not (alarm_code ="
        " 'task_failed' and exists (select 1 from published where through >="
        " alarms.business_date))",
    )
    calm = pick(language, "无：没有未结事项", "None: nothing is open")
    return f"""
        with checked as ({CHECKS}), current as ({DELIVERIES}), published as ({RELEASES}),
        items as ({ITEMS}),
        alarms as ({_latest("alarm", "business_date, alarm_code, subject")}),
        lines as ({" union all ".join((held, refused, late, items, warned, alarms))})
        select * from lines
        union all
        select 9, '<span class="pl-line"><span class="pl-calm">●</span> ' || {calm} || '</span>',
            '', ''
        where not exists (select 1 from lines) and {scope()}
    """


def _alarm(language: str) -> str:
    other = pick(language, "其他告警", "Other alarm")
    return (
        f"case when alarm_code in ({', '.join(literal(c) for c in ALARMS)}) then"
        f" {choose(language, 'alarm_code', ALARMS)} else {other} end"
    )


def _alarm_subject(language: str) -> str:
    """Feed and column, task, or check, by name."""
    feed = choose(language, "split_part(subject, '.', 1)", FEEDS)
    return (
        f"case alarm_code when 'task_failed' then {choose(language, 'subject', TASKS)}"
        f" when 'channel_failed' then {choose(language, 'subject', CHANNELS)}"
        f" when 'unclassed_column' then {feed} || ' ' || split_part(subject, '.', 2)"
        f" else subject end"
    )


def _alarm_detail(language: str) -> str:
    """What a reader needs of an alarm: why a task ended, which checks hold its date."""
    between = "、" if language == "zh" else ", "
    held = (
        f"(select string_agg({checks.title(language, 'checked.check_code')}, '{between}'"
        " order by check_code) from checked where checked.business_date = alarms.business_date"
        f" and result in ('fail', 'error') and severity = 'fail' and not {WAIVED})"
    )
    code = "regexp_extract(coalesce(detail, ''), 'exit (\\d+)', 1)"
    why = f"coalesce({choose(language, code, EXITS)}, '')"
    kept = pick(
        language, "已密封保存，不显示；请在契约中归类", "Kept sealed, shown nowhere; class it"
    )
    return (
        f"case alarm_code when 'task_failed' then {why} || case when {code} = '12' then"
        f" coalesce({pick(language, '：', ': ')} || {held}, '') else '' end"
        f" when 'unclassed_column' then {kept} else '' end"
    )


def _open_brief(language: str) -> str:
    """The first lines of what is open; when there are more, the last one says how many."""
    more = (
        f"{pick(language, '还有 ', '')} || (total - {BRIEF - 1}) ||"
        f" {pick(language, ' 项，见数据质量', ' more: see data quality')}"
    )
    link = f"'<a href=\"{GO}/quality-{language}/\">' || {more} || '</a>'"
    return f"""
        with ranked as (
            select *, row_number() over (order by line_order, since_day, matter) as rank,
                count(*) over () as total
            from open_now_{language}
        )
        select rank as line_order, matter, since_day, detail from ranked
        where rank < {BRIEF} or total <= {BRIEF}
        union all
        select {BRIEF}, {link}, '', '' from ranked where rank = {BRIEF} and total > {BRIEF}
    """


def _class(language: str) -> str:
    return choose(language, '"class"', ITEM_CLASSES)
