"""Release the business dates that passed the gate, in date order."""

from airflow.sdk import DAG, IdentityMapper, PartitionedAssetTimetable

from dags.support.assets import BUILT, RELEASED
from dags.support.defaults import START, common
from dags.support.operator import PaylakeStep

DOC = """
### Publish
Copies audited partitions to gold and appends one release a date. A held date fails here with exit
code 12 and names the check; the former release stays in force. Then, released or held, the summary
of the morning goes to the channels that are set; whether it could be sent does not judge the date.
**Owner**: payments-data. **Tier**: 1.
"""

with DAG(
    "paylake_publish",
    schedule=PartitionedAssetTimetable(assets=BUILT, default_partition_mapper=IdentityMapper()),
    start_date=START,
    description="Releases, one a business date",
    doc_md=DOC,
    tags=["paylake", "tier:1"],
    **common("payments-data"),
):
    publish = PaylakeStep(task_id="publish", step=["publish"], outlets=[RELEASED])
    # A teardown runs whatever became of the date, and leaves the run's state to `publish`.
    summary = PaylakeStep(
        task_id="summary", step=["summary", "--send", "--if-set"], pending=False
    ).as_teardown()
    publish >> summary
