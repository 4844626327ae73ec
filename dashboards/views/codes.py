"""Codes of feeds, steps, checks and faults as words: (Chinese, English)."""

from __future__ import annotations

FEEDS = {
    "transaction": ("交易流水", "Transactions"),
    "ledger_journal": ("账务分录", "Ledger journal"),
    "ledger_balance": ("账户余额", "Ledger balances"),
    "ledger_head": ("账务链签名头", "Ledger heads"),
    "ledger_event": ("账务事件", "Ledger events"),
    "merchant": ("商户登记", "Merchant registry"),
    "terminal": ("终端登记", "Terminal registry"),
    "custodian_statement": ("存管对账单", "Custodian statement"),
}
QUARANTINE_FEEDS = {
    "raw_switch__transaction": "transaction",
    "raw_ledger__journal": "ledger_journal",
    "raw_ledger__balance": "ledger_balance",
    "raw_ledger__head": "ledger_head",
    "raw_ledger__event": "ledger_event",
    "raw_registry__merchant": "merchant",
    "raw_registry__terminal": "terminal",
    "raw_custodian__statement": "custodian_statement",
}
STATES = {
    "accepted": ("已接收", "Accepted"),
    "waiting": ("等待", "Waiting"),
    "refused": ("拒收", "Refused"),
    "superseded": ("已被替代", "Superseded"),
    "ignored_duplicate": ("重复，已忽略", "Duplicate, ignored"),
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
    "tie": ("账务与交易勾对", "Ledger tie-out"),
    "reserve": ("备付金勾对", "Reserve fund"),
    "gate": ("闸门检查", "Gate check"),
}
ITEM_CLASSES = {
    "fail_fail": ("未通过，阻断", "Failed, blocking"),
    "warn_fail": ("未通过，提醒", "Failed, warning"),
    "waived": ("未通过，已放行", "Failed, waived"),
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
    "wrong_column_count": ("列数不符", "Wrong column count"),
    "bad_json": ("不是约定的 JSON", "Not the contract's JSON"),
    "bad_encoding": ("编码错误", "Encoding"),
    "missing_value": ("缺值", "Missing value"),
    "too_long": ("过长", "Too long"),
    "bad_enum": ("不在值表中", "Not a listed value"),
    "bad_number": ("不是数", "Not a number"),
    "bad_scale": ("小数位过多", "Too many decimals"),
    "bad_date": ("不是日期或时间", "Not a date or time"),
    "not_signed": ("文件签名验不过", "Document not signed"),
    "not_as_signed": ("与签名文件不符", "Not as signed"),
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
    "too_few_rows": ("行数少于约定", "Too few rows"),
    "amount_mismatch": ("金额合计不符", "Amount totals differ"),
    "bad_row_in_book": ("账簿类数据有坏行", "Bad line in a book"),
    "too_many_bad_rows": ("坏行过多", "Too many bad rows"),
    "same_content": ("内容与此前相同，已忽略", "Same content, ignored"),
}
ALARMS = {
    "task_failed": ("任务失败", "Task failed"),
    "unclassed_column": ("有列未归类", "Column not classed"),
    "late_delivery": ("交付迟到", "Late delivery"),
    "channel_failed": ("告警没有送出", "Alarm not delivered"),
}
CHANNELS = {"mail": ("邮件", "Mail"), "webhook": ("网址推送", "Webhook")}
# Tasks of the DAGs, as the step that each runs.
TASKS = {
    f"paylake_{step}.{step}": texts
    for step, texts in {**STEPS, "maintain": ("日常维护", "Upkeep")}.items()
}
# Why a command ended (docs/reference/exit-codes.md).
EXITS = {
    "10": ("永久性错误，见日志", "Permanent failure, see its log"),
    "11": ("等待必到的交付", "A required delivery has not come"),
    "12": ("被闸门或前面的日期扣住", "Held by the gate or an earlier date"),
    "13": ("另一个命令正在写", "Another command was writing"),
    "14": ("运行环境缺东西", "The machine lacks something"),
    "15": ("磁盘已满", "The disk is full"),
    "16": ("签名或摘要验不过", "A signature or digest does not verify"),
    "17": ("暂时性故障，重试未果", "A transient fault outlasted its retries"),
}
