"""Daily upkeep of what is derived from releases."""

from airflow.sdk import DAG
from airflow.timetables.trigger import CronTriggerTimetable

from dags.support.defaults import START, ZONE, common
from dags.support.operator import PaylakeStep

DOC = """
### Maintain
Writes derived serving files anew where one is missing or altered.
It never touches what a kept release or a filed report pins. **Owner**: data-platform. **Tier**: 3.
"""

with DAG(
    "paylake_maintain",
    schedule=CronTriggerTimetable("30 12 * * *", timezone=ZONE),
    start_date=START,
    description="Upkeep of derived files",
    doc_md=DOC,
    tags=["paylake", "tier:3"],
    **common("data-platform"),
):
    PaylakeStep(task_id="maintain", step=["maintain"], dated=False)
