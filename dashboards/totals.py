"""What the dashboard returns for a stretch of dates: the last layer that totals must meet."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from dashboards import queries
from dashboards.client import Client
from dashboards.source.charts import BY_KEY
from dashboards.views.overview import TREND_DAYS
from paylake.errors import PermanentFailure
from paylake.settings import Settings

CHART = "overview_trend"
LANGUAGE = "en"  # its amounts are in yuan; the Chinese chart's are in 万
CURRENCY = "CNY"  # what the chart adds up (`dashboards.source.labels`)


def payments(
    settings: Settings, first: date, last: date, user: str = "management"
) -> tuple[int, Decimal]:
    """Count and amount of payments in CURRENCY that the amount chart's query returns.

    The chart shows the thirty days up to a date, so it is asked once for every thirty; its query
    is asked for the count of payments, too.

    :returns: count, and amount in the currency's unit to four decimals.
    :raises EnvironmentFault: when Superset does not answer.
    :raises PermanentFailure: when it refuses the query.
    """
    client = Client(settings, user)
    chart = BY_KEY[CHART]
    dataset = client.dataset(f"{chart.dataset}_{LANGUAGE}")
    count, amount, day = 0, Decimal(0), last
    while day >= first:
        body = queries.body(chart, dataset, {"day": [str(day)]})
        (query,) = body["queries"]
        query["metrics"] = [*query["metrics"], "payments"]
        query["filters"].append({"col": "point_date", "op": ">=", "val": str(first)})
        status, answer = client.post("/api/v1/chart/data", body)
        if status != 200:
            raise PermanentFailure(
                f"Superset answered {status} to the query of {chart.title[1]!r}: {answer}",
                "See the home's log/superset.log.",
            )
        for row in answer["result"][0]["data"]:
            if row["payments"] is not None:  # a date with other currencies alone
                count += int(row["payments"])
                amount += Decimal(str(row["amount"]))
        day -= timedelta(days=TREND_DAYS)
    return count, amount.quantize(Decimal("0.0001"))
