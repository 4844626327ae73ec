"""Deliveries of a business date into bronze, at the run time on the day after it."""

from airflow.sdk import DAG, CronPartitionTimetable

from dags.support.assets import DELIVERED
from dags.support.defaults import START, ZONE, common, daily
from dags.support.operator import PaylakeStep

DOC = """
### Ingest
Checks, seals and parses what has been delivered for the business date (partition key), and for
earlier dates that are not released yet. A date whose required feed is missing fails here with exit
code 11 and is taken up by the next date's run. **Owner**: payments-data. **Tier**: 1.
"""

with DAG(
    "paylake_ingest",
    schedule=CronPartitionTimetable(
        daily(), timezone=ZONE, run_offset=-1, key_format="%Y-%m-%d"
    ),
    start_date=START,
    description="Deliveries of a business date into bronze",
    doc_md=DOC,
    tags=["paylake", "tier:1"],
    **common("payments-data"),
):
    PaylakeStep(task_id="ingest", step=["ingest"], outlets=[DELIVERED])
