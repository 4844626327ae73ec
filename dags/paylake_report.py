"""Signed report packages of the released business dates."""

from airflow.sdk import DAG, IdentityMapper, PartitionedAssetTimetable

from dags.support.assets import FILED, RELEASED
from dags.support.defaults import START, common
from dags.support.operator import PaylakeStep

DOC = """
### Report
Renders, checks, signs and packages the reports of every released date that has none yet.
**Owner**: regulatory-reporting. **Tier**: 1.
"""

with DAG(
    "paylake_report",
    schedule=PartitionedAssetTimetable(
        assets=RELEASED, default_partition_mapper=IdentityMapper()
    ),
    start_date=START,
    description="Signed report packages",
    doc_md=DOC,
    tags=["paylake", "tier:1"],
    **common("regulatory-reporting"),
):
    PaylakeStep(task_id="report", step=["report"], outlets=[FILED])
