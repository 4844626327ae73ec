"""Daily upkeep of what is derived from releases, and the proof that the ledger is whole."""

from airflow.sdk import DAG
from airflow.timetables.trigger import CronTriggerTimetable

from dags.support.defaults import START, ZONE, common
from dags.support.operator import PaylakeStep

DOC = """
### Maintain
Writes derived serving files anew where one is missing or altered.
It never touches what a kept release or a filed report pins. Beside it the ledger's whole log is
verified: digests, signatures, balances, signed heads; a broken row fails the task with exit code 16
and its name, and raises the alarm. **Owner**: data-platform. **Tier**: 3.
"""

with DAG(
    "paylake_maintain",
    schedule=CronTriggerTimetable("30 12 * * *", timezone=ZONE),
    start_date=START,
    description="Upkeep of derived files; proof of the ledger",
    doc_md=DOC,
    tags=["paylake", "tier:3"],
    **common("data-platform"),
):
    PaylakeStep(task_id="maintain", step=["maintain"], dated=False)
    PaylakeStep(
        task_id="verify_ledger", step=["ledger", "verify", "--if-present"], dated=False,
    )
