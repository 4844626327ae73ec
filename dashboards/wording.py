"""Superset's own Chinese words, corrected where they mislead a reader of tables."""

from __future__ import annotations

from typing import Any

CHINESE = {
    "%s record": ["%s 行"],
    "Search %s records": ["在 %s 行中查找"],
    "entries": ["行"],
    "entries per page": ["行每页"],
    "Show %s entries": ["显示 %s 行"],
    "Show entries per page": ["每页行数"],
    "No data": ["—"],
    "No results": ["没有数据"],
    "No results were returned for this query": ["没有数据"],
    "There is currently no information to display.": [
        "此日期与筛选下没有行；可换日期、清除筛选"
    ],
    "The type of visualization to display": [""],
    "Select all": ["全选"],
    "Select All": ["全选"],
    "Deselect all": ["全不选"],
    "No results match your filter criteria": ["筛选条件下没有数据，可清除筛选"],
}


PACK = "/superset/language_pack/zh/"


def serve_corrected(app: Any) -> None:
    """Answer the browser's request for the Chinese words with the corrected ones."""
    from flask import jsonify, request
    from superset.translations.utils import get_language_pack

    def corrected() -> Any:
        if request.path.rstrip("/") + "/" != PACK:
            return None
        pack = get_language_pack("zh") or {}
        words = {**pack["locale_data"]["superset"], **CHINESE}
        return jsonify({**pack, "locale_data": {"superset": words}})

    app.before_request(corrected)
