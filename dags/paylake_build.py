"""Bronze to silver, states, profiles and marts, then the gate."""

from airflow.sdk import DAG, IdentityMapper, PartitionedAssetTimetable

from dags.support.assets import BUILT, DELIVERED
from dags.support.defaults import START, common
from dags.support.operator import PaylakeStep

DOC = """
### Build and gate
Builds the date into `work` and audits it. The gate's verdict is recorded, not raised: a date that
fails is held back by the publish step, which names the check. **Owner**: payments-data.
**Tier**: 1.
"""

with DAG(
    "paylake_build",
    schedule=PartitionedAssetTimetable(
        assets=DELIVERED, default_partition_mapper=IdentityMapper()
    ),
    start_date=START,
    description="Silver, states, profiles, marts, and their audit",
    doc_md=DOC,
    tags=["paylake", "tier:1"],
    **common("payments-data"),
):
    build = PaylakeStep(task_id="build", step=["build"])
    gate = PaylakeStep(task_id="gate", step=["gate"], outlets=[BUILT])
    build >> gate
