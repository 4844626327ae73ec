"""A logged-in reader of Superset's API, as a browser would be one. Standard library only."""

from __future__ import annotations

import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from paylake.settings import Settings


class Reader:
    """One user's session."""

    def __init__(self, settings: Settings, user: str) -> None:
        self.base = f"http://127.0.0.1:{settings.superset_port}"
        jar = http.cookiejar.CookieJar()
        self._open = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar)).open
        logins = json.loads(settings.path("keys", "logins.json").read_text("utf-8"))
        page = self._open(f"{self.base}/login/").read().decode()
        token = re.search(r"csrf_token[^>]*value=\"([^\"]+)\"|csrf_token&#34;: &#34;([^&]+)", page)
        form = {"username": user, "password": logins["superset"][user]["password"]}
        if token:
            form["csrf_token"] = token[1] or token[2]
        self._open(f"{self.base}/login/", urllib.parse.urlencode(form).encode())
        self._token = self.get("/api/v1/security/csrf_token/")[1]["result"]

    def _answer(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with self._open(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            body = error.read()
            try:
                return error.code, json.loads(body)
            except ValueError:
                return error.code, body.decode(errors="replace")

    def get(self, path: str) -> tuple[int, Any]:
        return self._answer(urllib.request.Request(self.base + path))

    def page(self, path: str) -> tuple[int, str]:
        """A page as a browser gets it: status and text."""
        try:
            with self._open(self.base + path, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        headers = {
            "Content-Type": "application/json",
            "X-CSRFToken": self._token,
            "Referer": self.base,
        }
        data = json.dumps(body).encode()
        return self._answer(urllib.request.Request(self.base + path, data, headers))

    def _id(self, kind: str, column: str, value: str) -> int:
        query = f"(filters:!((col:{column},opr:eq,value:'{value}')))"
        status, found = self.get(f"/api/v1/{kind}/?q={urllib.parse.quote(query)}")
        assert status == 200, found
        return found["result"][0]["id"] if found["result"] else 0

    def dataset(self, table: str) -> int:
        """Id of a dataset that the user may see, 0 for none."""
        return self._id("dataset", "table_name", table)

    def database(self) -> int:
        status, found = self.get("/api/v1/database/")
        assert status == 200, found
        return next((d["id"] for d in found["result"] if d["database_name"] == "paylake_gold"), 0)

    def data(self, dataset: int, day: str, **query: Any) -> tuple[int, Any]:
        """Run a chart's query on one day."""
        filters = [{"col": "day", "op": "IN", "val": [day]}] if day else []
        body = {
            "datasource": {"id": dataset, "type": "table"},
            "queries": [{"filters": filters, "row_limit": 10000, **query}],
            "result_format": "json",
            "result_type": "full",
        }
        status, answer = self.post("/api/v1/chart/data", body)
        return status, answer["result"][0]["data"] if status == 200 else answer

    def sql(self, database: int, sql: str) -> tuple[int, Any]:
        """Run a statement in SQL Lab."""
        body = {"database_id": database, "sql": sql, "schema": "main", "runAsync": False,
                "queryLimit": 1000,}  # fmt: skip
        return self.post("/api/v1/sqllab/execute/", body)
