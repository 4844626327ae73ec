"""A logged-in reader of Superset's API who also asks what no screen asks."""

from __future__ import annotations

import urllib.error
from typing import Any

from dashboards.client import Client


class Reader(Client):
    """One user's session, with pages, free queries and SQL Lab."""

    def page(self, path: str) -> tuple[int, str]:
        """A page as a browser gets it: status and text."""
        try:
            with self._open(self.base + path, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def database(self) -> int:
        status, found = self.get("/api/v1/database/")
        assert status == 200, found
        return next((d["id"] for d in found["result"] if d["database_name"] == "paylake_gold"), 0)

    def data(self, dataset: int, day: str, **query: Any) -> tuple[int, Any]:
        """Run a query over a dataset on one day."""
        filters = [{"col": "day", "op": "IN", "val": [day]}] if day else []
        body = {
            "datasource": {"id": dataset, "type": "table"},
            "queries": [{"filters": filters, "row_limit": 10000, **query}],
            "result_format": "json",
            "result_type": "full",
        }
        status, answer = self.post("/api/v1/chart/data", body)
        return status, answer["result"][0]["data"] if status == 200 else answer

    def sql_of(self, dataset: int, day: str, **query: Any) -> tuple[int, Any]:
        """The SQL that Superset makes of a query over a dataset on one day."""
        body = {
            "datasource": {"id": dataset, "type": "table"},
            "queries": [
                {"filters": [{"col": "day", "op": "IN", "val": [day]}], "row_limit": 1000, **query}
            ],
            "result_format": "json",
            "result_type": "query",
        }
        status, answer = self.post("/api/v1/chart/data", body)
        return status, answer["result"][0]["query"] if status == 200 else answer

    def sql(self, database: int, sql: str) -> tuple[int, Any]:
        """Run a statement in SQL Lab."""
        body = {"database_id": database, "sql": sql, "schema": "main", "runAsync": False,
                "queryLimit": 1000,}  # fmt: skip
        return self.post("/api/v1/sqllab/execute/", body)
