"""Superset's own Chinese words, corrected where they mislead a reader of tables and empty charts."""

from __future__ import annotations

CHINESE = {
    "%s record": ["%s 行"],
    "Search %s records": ["在 %s 行中查找"],
    "entries": ["行"],
    "entries per page": ["行每页"],
    "Show %s entries": ["显示 %s 行"],
    "Show entries per page": ["每页行数"],
    "No data": ["—"],
    "No results": ["没有数据"],
    "No results were returned for this query": [
        "所选日期与筛选条件下没有数据。可换一个业务日期，或清除筛选；仍没有时请看数据质量屏"
    ],
    "No results match your filter criteria": ["筛选条件下没有数据，可清除筛选"],
}


def correct() -> None:
    """Put the corrections into Superset's language pack of this process."""
    from superset.translations.utils import get_language_pack

    pack = get_language_pack("zh")
    if pack:
        pack["locale_data"]["superset"].update(CHINESE)
