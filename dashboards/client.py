"""A login on this home's Superset and what it is answered, as a browser's would be."""

from __future__ import annotations

import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from dashboards import queries
from dashboards.source.charts import BY_KEY
from paylake.errors import EnvironmentFault, PermanentFailure
from paylake.settings import Settings

SECONDS = 60.0
_TOKEN = re.compile(r"csrf_token[^>]*value=\"([^\"]+)\"|csrf_token&#34;: &#34;([^&]+)")


class Client:
    """One user's session.

    :raises EnvironmentFault: when this home's Superset is not set up, or does not answer.
    """

    def __init__(self, settings: Settings, user: str) -> None:
        self.base = f"http://127.0.0.1:{settings.superset_port}"
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        # Never through a proxy: Superset is on this host.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), cookies)
        self._open = opener.open
        file = settings.path("keys", "logins.json")
        known = json.loads(file.read_text("utf-8")) if file.exists() else {}
        if user not in known.get("superset", {}):
            raise EnvironmentFault(
                f"There is no Superset login {user!r} in this home", "Run `paylake up`."
            )
        form = {"username": user, "password": known["superset"][user]["password"]}
        try:
            page = self._open(f"{self.base}/login/", timeout=SECONDS).read().decode()
            found = _TOKEN.search(page)
            if found:
                form["csrf_token"] = found[1] or found[2]
            self._open(
                f"{self.base}/login/", urllib.parse.urlencode(form).encode(), timeout=SECONDS
            )
        except urllib.error.URLError as error:
            raise EnvironmentFault(
                f"Superset does not answer at {self.base} ({error})", "Run `paylake up`."
            ) from error
        status, answer = self.get("/api/v1/security/csrf_token/")
        if status != 200:
            raise PermanentFailure(
                f"Superset did not take the login {user!r}",
                "`paylake up` after removing the home's superset folder makes it anew.",
            )
        self._token = answer["result"]

    def _answer(self, request: urllib.request.Request) -> tuple[int, Any]:
        try:
            with self._open(request, timeout=SECONDS) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            text = error.read()
            try:
                return error.code, json.loads(text)
            except ValueError:
                return error.code, text.decode(errors="replace")

    def get(self, path: str) -> tuple[int, Any]:
        """Status and parsed answer."""
        return self._answer(urllib.request.Request(self.base + path))

    def post(self, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        """Status and parsed answer."""
        headers = {
            "Content-Type": "application/json",
            "X-CSRFToken": self._token,
            "Referer": self.base,
        }
        data = json.dumps(body).encode()
        return self._answer(urllib.request.Request(self.base + path, data, headers))

    def dataset(self, table: str) -> int:
        """Id of a dataset that the user may see, 0 for none."""
        question = f"(filters:!((col:table_name,opr:eq,value:'{table}')))"
        status, found = self.get(f"/api/v1/dataset/?q={urllib.parse.quote(question)}")
        if status != 200:
            raise PermanentFailure(
                f"Superset answered {status} to a look-up of dataset {table}", "See its log."
            )
        return found["result"][0]["id"] if found["result"] else 0

    def chart(
        self,
        key: str,
        language: str,
        filters: Mapping[str, Sequence[str]],
        dataset: int | None = None,
    ) -> tuple[int, Any]:
        """What a chart's own query returns.

        :param key: a chart of `dashboards.source.charts`.
        :param filters: column → values, as the screen's filters set them.
        :param dataset: id of its dataset, looked up when left out.
        :returns: status, and its rows, or what the server said.
        """
        chart = BY_KEY[key]
        number = self.dataset(f"{chart.dataset}_{language}") if dataset is None else dataset
        status, answer = self.post("/api/v1/chart/data", queries.body(chart, number, filters))
        return status, answer["result"][0]["data"] if status == 200 else answer
